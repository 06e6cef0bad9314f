package cases

import (
	"context"

	"github.com/leatgo/leat/benchmarks/internal/bench"
	"github.com/leatgo/leat/benchmarks/internal/load"
)

// How many events a round publishes.
const (
	publishEvents = 30_000
	slowEvents    = 6_000 // where each waits for the one before
)

const rawAsync = "amqp091-go, deferred confirms"

func (e *Env) async(queue string) bench.Group {
	const leatCase = "Leat, PublishAsync"
	return bench.Group{
		Name: "publish/async/" + queue,
		About: "One goroutine publishes to a durable " + queue + " queue; every message is persistent and confirmed. The base has up to 1,000 " +
			"messages of one channel without a confirm. Watermill and Go CDK have no asynchronous way: 256 goroutines call them. What Go CDK " +
			"publishes is not persistent.",
		Cases: []bench.Case{
			e.publishes(queue, rawAsync, publishEvents, rawPublisher(publishAsync)),
			e.publishes(queue, leatCase, publishEvents, leatPublisher(queue, load.PublishAsync)),
			e.publishes(queue, "Watermill Publish, 256 goroutines and channels", publishEvents/2, watermillPublisher(queue, load.Callers, 1)),
			e.publishes(queue, "Go CDK Send, 256 goroutines", publishEvents/2, cdkPublisher(load.Callers)),
		},
		Goals: []bench.Goal{{Case: leatCase, Min: 0.95}},
	}
}

func (e *Env) batches(queue string) bench.Group {
	const leatCase = "Leat, Publish"
	return bench.Group{
		Name: "publish/batches/" + queue,
		About: "4 goroutines publish 1,000 events per call to a durable " + queue + " queue; the base has a channel for each and waits for the " +
			"confirms of a call. Watermill waits for each message.",
		Cases: []bench.Case{
			e.publishes(queue, rawAsync, publishEvents, rawPublisher(publishBatches)),
			e.publishes(queue, leatCase, publishEvents, leatPublisher(queue, load.PublishBatches)),
			e.publishes(queue, "Watermill Publish", slowEvents, watermillPublisher(queue, load.Batchers, load.Batch)),
		},
		Goals: []bench.Goal{{Case: leatCase, Min: 0.95}},
	}
}

// startPublisher starts a party's producer for a place.
type startPublisher func(ctx context.Context, e *Env, p place) (*load.Publisher, error)

// publishes returns a case that publishes to a queue of that type, its own.
func (e *Env) publishes(queue, name string, events int, start startPublisher) bench.Case {
	return bench.Case{Name: name, Events: events, ShortEvents: shortEvents, Start: func(ctx context.Context, _ int) (bench.Instance, error) {
		p := e.place()
		if err := e.create(p, queue); err != nil {
			return nil, err
		}
		to := load.Destination{
			Stored: func(ctx context.Context, acked int64) (int64, error) {
				n, err := e.stored(ctx, p, int(acked))
				return int64(n), err
			},
			Remove: func(context.Context) error { return e.remove(p) },
		}
		if e.short {
			to.ReadBack = func(_ context.Context, n int) error { return e.readBack(p, n) }
		}
		return to.Open(ctx, func() (*load.Publisher, error) { return start(ctx, e, p) })
	}}
}
