package amqp

import (
	"cmp"
	"maps"

	wm "github.com/ThreeDotsLabs/watermill"
	wmamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/leatgo/leat/internal/rabbit"
	native "github.com/rabbitmq/amqp091-go"
)

// topology declares what another TopologyBuilder does, and a dead-letter queue beside a quorum
// queue that has none.
type topology struct {
	inner wmamqp.TopologyBuilder
	skip  bool
}

var _ wmamqp.TopologyBuilder = topology{}

// deadLetters reports whether a queue gets a dead-letter queue.
func deadLetters(c *wmamqp.Config) bool {
	_, given := c.Queue.Arguments[rabbit.ArgDeadTo]
	return !given && c.Queue.Arguments[native.QueueTypeArg] == native.QueueTypeQuorum
}

// checkNames returns what is wrong with the names that belong to a topic. Where one is too long,
// amqp091-go ends the connection, which others use.
func checkNames(c *wmamqp.Config, topic string) error {
	queue := c.Queue.GenerateName(topic)
	if deadLetters(c) {
		queue += rabbit.DeadSuffix
	}
	return cmp.Or(
		rabbit.CheckName("queue", queue), rabbit.CheckName("exchange", c.Exchange.GenerateName(topic)),
		rabbit.CheckName("routing key", c.Publish.GenerateRoutingKey(topic)),
		rabbit.CheckName("routing key of the queue", c.QueueBind.GenerateRoutingKey(topic)),
	)
}

// BuildTopology declares the queue of a group and its exchange.
func (t topology) BuildTopology(ch *native.Channel, params wmamqp.BuildTopologyParams, c wmamqp.Config, logger wm.LoggerAdapter) error {
	if t.skip {
		return nil
	}
	if deadLetters(&c) {
		dead := params.QueueName + rabbit.DeadSuffix
		if _, err := ch.QueueDeclare(dead, true, false, false, false, rabbit.DeadLetterArguments(rabbit.DeliveryLimit)); err != nil {
			return err
		}
		c.Queue.Arguments = maps.Clone(c.Queue.Arguments)
		c.Queue.Arguments[rabbit.ArgDeadTo], c.Queue.Arguments[rabbit.ArgDeadKey] = "", dead
	}
	return t.inner.BuildTopology(ch, params, c, logger)
}

// ExchangeDeclare declares the exchange of a topic.
func (t topology) ExchangeDeclare(ch *native.Channel, exchange string, c wmamqp.Config) error {
	if t.skip {
		return nil
	}
	return t.inner.ExchangeDeclare(ch, exchange, c)
}
