package amqp

import (
	"time"

	wmamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/watermill"
	native "github.com/rabbitmq/amqp091-go"
)

const (
	// longestHold is less than RabbitMQ's consumer_timeout of 30 minutes, after which it takes a
	// message away.
	longestHold = 25 * time.Minute
	// maxEventBytes is what the other adapters over Watermill take.
	maxEventBytes = 1_000_000
)

// New returns a [watermill.Broker] over watermill-amqp. It connects: once for publishing, and once
// for each group when that is first used. The error is an [*leat.Error]: [leat.CodeInvalid] for
// wrong options, [leat.CodeUnauthenticated] for a wrong password, [leat.CodeUnavailable] when the
// broker cannot be reached.
//
// A new group gets what is published after it was declared, or has subscribed first.
func New(o *Options) (*watermill.Broker, error) {
	full := o.withDefaults()
	if err := full.validate(); err != nil {
		return nil, &leat.Error{Op: "open", Code: leat.CodeInvalid, Err: err}
	}
	pub, err := newPublisher(&full)
	if err != nil {
		return nil, err
	}
	order := leat.OrderNone
	c := pub.config
	single, _ := c.Queue.Arguments[native.SingleActiveConsumerArg].(bool)
	if single && c.Consume.Qos.PrefetchCount == 1 {
		order = leat.OrderPerGroup
	}
	b, err := watermill.New(pub, nil, &watermill.Options{
		Codec: full.Codec, Mapping: full.Mapping, Order: order, Standby: single, Durable: durable(&c), LongestHold: longestHold,
		NewSubscriber: func(group string) (message.Subscriber, error) { return newSubscriber(&full, group) },
		Lanes:         full.Channels, MaxEventBytes: maxEventBytes, Refused: refused, Logger: full.Logger,
		DeliveryTimeout: full.DeliveryTimeout, Buffer: full.Buffer, BufferBytes: full.BufferBytes, CloseTimeout: full.CloseTimeout,
		Closing: pub.closing,
	})
	if err != nil {
		_ = pub.Close() // nothing was published
		return nil, err
	}
	return b, nil
}

// durable reports whether nothing of a topic and its groups ends with the broker's process or with
// a connection.
func durable(c *wmamqp.Config) bool {
	return c.Exchange.Durable && !c.Exchange.AutoDeleted && c.Queue.Durable && !c.Queue.AutoDelete && !c.Queue.Exclusive
}
