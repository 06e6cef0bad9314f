package publish

import (
	"context"

	"github.com/leatgo/leat"
)

// Publish is the whole Publish of an adapter with one queue: encode makes what is sent of an event,
// and what is admitted goes to the queue. An event for which encode returns an error is refused,
// see [Error].
func (l *Ledger[T]) Publish(
	ctx context.Context, topic string, events []leat.Event, done func(i int, err error),
	encode func(e leat.Event) (T, error), q *Queue[T],
) {
	batch := l.Batch(topic, len(events), done)
	for i, e := range events {
		value, err := encode(e)
		batch.Add(i, e).Value = value
		if err != nil {
			batch.Refuse(err)
		}
	}
	l.Admit(ctx, batch, func(entries []Entry[T]) {
		for i := range entries {
			q.Push(&entries[i])
		}
	})
}
