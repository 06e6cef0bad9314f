package amqp

import (
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/watermill"
	native "github.com/rabbitmq/amqp091-go"
)

const (
	// longestHold is less than RabbitMQ's consumer_timeout of 30 minutes, after which it takes a message away.
	longestHold = 25 * time.Minute
	// maxEventBytes is what the other adapters over Watermill take.
	maxEventBytes = 1_000_000
)

// New returns a [watermill.Broker] over watermill-amqp. It connects: once for publishing, and once for each group when that is first used.
// The error is an [*leat.Error]: [leat.CodeInvalid] for wrong options, [leat.CodeUnauthenticated] for a wrong password,
// [leat.CodeUnavailable] when the broker cannot be reached.
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
	if single, _ := c.Queue.Arguments[native.SingleActiveConsumerArg].(bool); single && c.Consume.Qos.PrefetchCount == 1 {
		order = leat.OrderPerGroup
	}
	b, err := watermill.New(pub, nil, &watermill.Options{
		Codec: full.Codec, Order: order, Durable: c.Exchange.Durable && c.Queue.Durable, LongestHold: longestHold,
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
