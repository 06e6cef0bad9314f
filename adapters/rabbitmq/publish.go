package rabbitmq

import (
	"cmp"
	"context"

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
	var x Exchange
	refusal := b.life.RefusePublish(ctx, topic)
	if refusal == nil {
		x, refusal = b.exchangeOf(topic)
	}
	trace, most := leat.TraceFrom(ctx), b.o.mostEventBytes()
	b.publisher.ledger.Publish(ctx, topic, events, done, func(e leat.Event, m *outgoing) error {
		err := cmp.Or(refusal, publish.Check(e, most))
		if err == nil {
			m.exchange, m.trace = x.Name, trace
			m.key, err = b.o.routingKey(topic, e)
		}
		return err
	}, b.publisher.accept)
}

// leatEventBytes is the largest event that Leat allows on any broker.
const leatEventBytes = 1 << 20

// mostEventBytes is the size of the largest event. One whose attributes do not fit into a frame has
// to be written as JSON, in which a character that is escaped takes two.
func (o *Options) mostEventBytes() int {
	return min((o.MaxMessageBytes-messageOverheadBytes)/2, leatEventBytes)
}
