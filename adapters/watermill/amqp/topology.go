package amqp

import (
	"maps"

	wm "github.com/ThreeDotsLabs/watermill"
	wmamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	native "github.com/rabbitmq/amqp091-go"
)

// topology declares what another TopologyBuilder does, and a dead-letter queue beside a quorum queue that has none.
type topology struct {
	inner wmamqp.TopologyBuilder
	skip  bool
}

var _ wmamqp.TopologyBuilder = topology{}

// BuildTopology declares the queue of a group and its exchange.
func (t topology) BuildTopology(ch *native.Channel, params wmamqp.BuildTopologyParams, c wmamqp.Config, logger wm.LoggerAdapter) error {
	if t.skip {
		return nil
	}
	if _, given := c.Queue.Arguments[argDeadTo]; !given && c.Queue.Arguments[native.QueueTypeArg] == native.QueueTypeQuorum {
		dead := params.QueueName + deadSuffix
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
