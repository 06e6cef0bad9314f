package publish

import (
	"context"

	"github.com/leatgo/leat"
)

// Publish is the whole Publish of an adapter: encode sets what the adapter keeps for an event, and
// accept gets what is admitted, as in [Ledger.Admit]. With one queue, accept is [Queue.PushAll]. An
// event for which encode returns an error is refused, see [Error].
func (l *Ledger[T]) Publish(
	ctx context.Context, topic string, events []leat.Event, done func(i int, err error),
	encode func(e leat.Event, value *T) error, accept func(entries []Entry[T]),
) {
	batch := l.Batch(topic, len(events), done)
	for i, e := range events {
		if err := encode(e, &batch.Add(i, e).Value); err != nil {
			batch.Refuse(err)
		}
	}
	l.Admit(ctx, batch, accept)
}

// PushAll is Push for several entries, in order.
func (q *Queue[T]) PushAll(entries []Entry[T]) {
	for i := range entries {
		q.Push(&entries[i])
	}
}
