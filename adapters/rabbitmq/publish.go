package rabbitmq

import (
	"context"
	"errors"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/publish"
)

// Publish implements [leat.Broker]: it admits the events, which the writer then sends. Events are
// refused with CodeInvalid, CodeTooLarge, CodeNotFound (the topic's exchange, or no queue that
// takes the event), CodePermissionDenied, CodeUnauthenticated, CodeUnavailable (not sent within
// [Options].DeliveryTimeout), CodeCanceled or CodeClosed. CodeUnknown is what was sent and not
// confirmed: the connection or channel was lost, no answer came within the DeliveryTimeout, or the
// broker answered nack, which it does when one of the topic's queues did not take the event; others
// may have.
func (b *Broker) Publish(ctx context.Context, topic string, events []leat.Event, done func(i int, err error)) {
	p, err := b.publisher, b.life.Refuse(ctx, "publish", topic)
	if err == nil && topic == "" {
		err = &leat.Error{Op: "publish", Code: leat.CodeInvalid, Err: errors.New("the topic is empty")}
	}
	var x Exchange
	if err == nil {
		x, err = b.exchangeOf(topic)
	}
	if err != nil {
		for i, e := range events {
			done(i, publish.Error(topic, e, err))
		}
		return
	}
	batch, trace := p.ledger.Batch(topic, len(events), done), leat.TraceFrom(ctx)
	for i, e := range events {
		m := &batch.Add(i, e).Value
		m.exchange, m.trace = x.Name, trace
		err := publish.Check(e, p.o.mostEventBytes())
		if err == nil {
			m.key, err = p.o.routingKey(topic, e)
		}
		if err != nil {
			batch.Refuse(err)
		}
	}
	p.ledger.Admit(ctx, batch, p.accept)
}

// leatEventBytes is the largest event that Leat allows on any broker.
const leatEventBytes = 1 << 20

// mostEventBytes is the size of the largest event. One whose attributes do not fit into a frame has
// to be written as JSON, in which a character that is escaped takes two.
func (o *Options) mostEventBytes() int {
	return min((o.MaxMessageBytes-messageOverheadBytes)/2, leatEventBytes)
}
