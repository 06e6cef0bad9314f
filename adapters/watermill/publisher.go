package watermill

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/options"
	"github.com/leatgo/leat/internal/nils"
)

// PublisherOptions are the options of a [Publisher]. The zero value works.
type PublisherOptions struct {
	// Codec says how messages become events. Its Key gives the key, by which messages keep their
	// order; without it, messages have none, and come in no order.
	Codec Codec
	// Middleware wraps every publish, as that of [leat.ProducerOptions].
	Middleware []leat.PublishMiddleware
	// Observer sees the outcome of each event, as that of [leat.ProducerOptions].
	Observer leat.Observer
	// CloseBroker makes Close close the broker as well, for one that nobody else uses.
	CloseBroker bool
	// CloseTimeout bounds the wait of Close for answers of the broker. 0 means 10 s.
	CloseTimeout time.Duration
}

// Publisher is a broker of Leat as a Publisher of Watermill. It is safe for concurrent use.
type Publisher struct {
	o        PublisherOptions
	broker   leat.Broker
	producer *leat.Producer
	closing  sync.Once
	invalid  error // what is wrong with o
}

var _ message.Publisher = (*Publisher)(nil)

// NewPublisher returns a Publisher on a broker. A nil o means the defaults. Wrong options and a
// broker that is nil are reported by Publish.
func NewPublisher(broker leat.Broker, o *PublisherOptions) *Publisher {
	p := &Publisher{broker: broker}
	if o != nil {
		p.o = *o
	}
	closeTimeout := options.Duration("PublisherOptions.CloseTimeout", &p.o.CloseTimeout, 10*time.Second, 1, 24*time.Hour)
	p.invalid = options.Table{closeTimeout}.Check()
	options.Table{closeTimeout}.Fill()
	p.producer = leat.NewProducer(broker, &leat.ProducerOptions{Middleware: p.o.Middleware, Observer: p.o.Observer})
	return p
}

// Publish publishes messages and waits until the broker has confirmed them. All of them are on
// their way at once, so that a call with many takes little longer than one with one; those with the
// same key keep their order. Nil means that the broker has all of them.
//
// A message that cannot become an event, as [Codec.Event] says, is a [*leat.Error], and none of the
// call is published. Otherwise the error is a [*leat.PublishError], which names each message that
// failed, and whether it is refused or may be stored; the others are stored. The context of a
// message bounds the wait for its answer; messages with different contexts are published one group
// after the other, whatever became of the group before.
func (p *Publisher) Publish(topic string, messages ...*message.Message) error {
	if p.invalid != nil {
		return &leat.Error{Op: "publish", Topic: topic, Code: leat.CodeInvalid, Err: p.invalid}
	}
	events := make([]leat.Event, len(messages))
	for i, m := range messages {
		e, err := p.o.Codec.Event(topic, m)
		if err != nil {
			return err
		}
		events[i] = e
	}
	failed := &leat.PublishError{Topic: topic, Total: len(events)}
	for len(events) > 0 {
		ctx, n := messages[0].Context(), 1
		for n < len(events) && same(ctx, messages[n].Context()) {
			n++
		}
		err := p.producer.Publish(ctx, topic, events[:n]...)
		if group, ok := errors.AsType[*leat.PublishError](err); ok {
			failed.Failures = append(failed.Failures, group.Failures...)
		} else if err != nil {
			return err
		}
		events, messages = events[n:], messages[n:]
	}
	if len(failed.Failures) > 0 {
		return failed
	}
	return nil
}

// same reports whether two contexts are one. A context of a type that cannot be compared is like no
// other.
func same(a, b context.Context) bool {
	return reflect.ValueOf(a).Comparable() && reflect.ValueOf(b).Comparable() && a == b
}

// Close refuses further messages, waits for those that are on their way, and closes the broker
// where [PublisherOptions].CloseBroker says so. The error is [leat.CodeUnknown] when answers are
// missing at the CloseTimeout. Closing again returns nil.
func (p *Publisher) Close() (err error) {
	p.closing.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), p.o.CloseTimeout)
		defer cancel()
		err = p.producer.Close(ctx)
		if p.o.CloseBroker && !nils.Is(p.broker) {
			if closing := p.broker.Close(); err == nil {
				err = closing
			}
		}
	})
	return err
}
