package rabbitmq

import (
	"context"
	"errors"
	"fmt"

	"github.com/leatgo/leat"
)

// Publish implements [leat.Broker]. Events are refused with CodeInvalid, CodeTooLarge, CodeNotFound (the topic's exchange, or no queue that
// takes the event), CodePermissionDenied, CodeUnauthenticated, CodeUnavailable (not sent within [Options].DeliveryTimeout),
// CodeCanceled or CodeClosed. CodeUnknown is what was sent and not confirmed: the connection or channel was lost, no answer came within
// the DeliveryTimeout, or the broker answered nack, which it does when one of the topic's queues did not take the event; others may have.
func (b *Broker) Publish(ctx context.Context, topic string, events []leat.Event, done func(i int, err error)) {
	err := b.refusal(ctx, "publish", topic)
	if err == nil && topic == "" {
		err = &leat.Error{Op: "publish", Code: leat.CodeInvalid, Err: errors.New("the topic is empty")}
	}
	var exchange string
	if err == nil {
		exchange, err = b.publisher.exchange(topic)
	}
	if err != nil {
		for i, e := range events {
			done(i, publishError(topic, e, err))
		}
		return
	}
	b.publisher.publish(ctx, topic, exchange, events, done)
}

// publishError makes the error of one event.
func publishError(topic string, e leat.Event, err error) error {
	w := &leat.Error{Op: "publish", Topic: topic, EventID: e.ID(), Code: leat.CodeOf(err), Err: err}
	if inner, ok := errors.AsType[*leat.Error](err); ok {
		w.Err = inner.Err
	}
	return w
}

// exchange returns the name of a topic's exchange.
func (p *publisher) exchange(topic string) (string, error) {
	if name, ok := p.exchanges.Load(topic); ok {
		return name.(string), nil //nolint:forcetypeassert // nothing else is stored
	}
	x, err := p.broker.exchangeOf(topic)
	if err != nil {
		return "", err
	}
	p.exchanges.Store(topic, x.Name)
	return x.Name, nil
}

// publish admits the events, which the writer then sends.
func (p *publisher) publish(ctx context.Context, topic, exchange string, events []leat.Event, done func(i int, err error)) {
	c := &call{topic: topic, exchange: exchange, trace: leat.TraceFrom(ctx), done: done}
	if len(events) == 1 {
		c.entries = c.one[:0]
	} else {
		c.entries = make([]entry, 0, len(events))
	}
	for i, e := range events {
		if err := p.prepare(c, i, e); err != nil {
			done(i, publishError(topic, e, err))
		}
	}
	for len(c.entries) > 0 {
		rest, err := p.admit(ctx, c)
		if err != nil {
			for i := range c.entries {
				done(c.entries[i].index, publishError(topic, c.entries[i].event, err))
			}
			return
		}
		if len(rest) == 0 {
			return
		}
		c = &call{topic: topic, exchange: exchange, trace: c.trace, done: done, entries: rest}
		for i := range rest {
			rest[i].call = c
		}
	}
}

// prepare adds an event to c, unless it cannot be sent.
func (p *publisher) prepare(c *call, i int, e leat.Event) error {
	if e.IsZero() {
		return &leat.Error{Code: leat.CodeInvalid, Err: errors.New("the zero Event is no event")}
	}
	if most := p.o.mostEventBytes(); e.Size() > most {
		return &leat.Error{Code: leat.CodeTooLarge, Err: fmt.Errorf("the event has %d bytes; at most %d are allowed", e.Size(), most)}
	}
	key, err := p.o.routingKey(c.topic, e)
	if err != nil {
		return err
	}
	c.entries = append(c.entries, entry{call: c, event: e, index: i, key: key})
	return nil
}

// leatEventBytes is the largest event that Leat allows on any broker.
const leatEventBytes = 1 << 20

// mostEventBytes is the size of the largest event. One whose attributes do not fit into a frame has to be written as JSON, in which a
// character that is escaped takes two.
func (o *Options) mostEventBytes() int {
	return min((o.MaxMessageBytes-messageOverheadBytes)/2, leatEventBytes)
}
