package amqp

import (
	"fmt"
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
	_, given := c.Queue.Arguments[argDeadTo]
	return !given && c.Queue.Arguments[native.QueueTypeArg] == native.QueueTypeQuorum
}

// longestName is what AMQP allows, in bytes. amqp091-go ends the connection, which others use,
// where a name is longer.
const longestName = 255

// checkNames returns what is wrong with the names that belong to a topic.
func checkNames(c *wmamqp.Config, topic string) error {
	queue := c.Queue.GenerateName(topic)
	if deadLetters(c) {
		queue += rabbit.DeadSuffix
	}
	for _, n := range [][2]string{
		{"queue", queue}, {"exchange", c.Exchange.GenerateName(topic)}, {"routing key", c.Publish.GenerateRoutingKey(topic)},
		{"routing key of the queue", c.QueueBind.GenerateRoutingKey(topic)},
	} {
		if len(n[1]) > longestName {
			return fmt.Errorf("the name of the %s, %.40q and so on, has %d bytes; at most %d are allowed: use a shorter topic or group",
				n[0], n[1], len(n[1]), longestName)
		}
	}
	return nil
}

// BuildTopology declares the queue of a group and its exchange.
func (t topology) BuildTopology(ch *native.Channel, params wmamqp.BuildTopologyParams, c wmamqp.Config, logger wm.LoggerAdapter) error {
	if t.skip {
		return nil
	}
	if deadLetters(&c) {
		dead := params.QueueName + rabbit.DeadSuffix
		arguments := native.Table{native.QueueTypeArg: native.QueueTypeQuorum, argLimit: int64(deliveryLimit)}
		if _, err := ch.QueueDeclare(dead, true, false, false, false, arguments); err != nil {
			return err
		}
		c.Queue.Arguments = maps.Clone(c.Queue.Arguments)
		c.Queue.Arguments[argDeadTo], c.Queue.Arguments[argDeadKey] = "", dead
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
