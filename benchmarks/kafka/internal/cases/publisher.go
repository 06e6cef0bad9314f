package cases

import (
	"context"

	"github.com/leatgo/leat/benchmarks/internal/bench"
	"github.com/leatgo/leat/benchmarks/internal/load"
)

// startPublisher starts a party's producer for a topic.
type startPublisher func(ctx context.Context, e *Env, topic string) (*load.Publisher, error)

// publishes returns a case that publishes to a topic of its own with 12 partitions.
func (e *Env) publishes(name string, events int, start startPublisher) bench.Case {
	return bench.Case{Name: name, Events: events, ShortEvents: shortEvents, Start: func(ctx context.Context, _ int) (bench.Instance, error) {
		topic := e.name("publish")
		if err := e.create(ctx, topic, manyPartitions, nil); err != nil {
			return nil, err
		}
		to := load.Destination{
			Stored: func(ctx context.Context, _ int64) (int64, error) { return e.stored(ctx, topic) },
			Remove: func(ctx context.Context) error { return e.remove(ctx, topic) },
		}
		if e.short {
			to.ReadBack = func(ctx context.Context, n int) error { return e.readBack(ctx, topic, n) }
		}
		return to.Open(ctx, func() (*load.Publisher, error) { return start(ctx, e, topic) })
	}}
}
