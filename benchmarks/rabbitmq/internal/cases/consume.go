package cases

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/leatgo/leat/benchmarks/internal/bench"
	"github.com/leatgo/leat/benchmarks/internal/load"
)

// How many events a round consumes.
const (
	consumeEvents = 30_000
	prefetch      = 1_000 // of all parties: Leat's MaxInFlight by default
	readers       = 100
	oneByOne      = 1_000 // events where one is in flight at a time
)

func (e *Env) consume(queue string) bench.Group {
	const leatCase, multiple = "Leat", "amqp091-go, an ack for every 500 messages"
	least := 1.3
	if queue == quorum {
		least = 1.1
	}
	return bench.Group{
		Name: "consume/" + queue,
		About: "One consumer of a durable " + queue + " queue that was filled before, with a prefetch of 1,000; the handler only checks that " +
			"each event comes once and in the order of its key. Leat decodes and validates the event and runs 16 handlers behind " +
			"`middleware.Retry`; its queue has one active consumer.",
		Cases: []bench.Case{
			e.consumes(queue, "amqp091-go, an ack for each message", consumeEvents, true, false, rawConsumer(prefetch, 1)),
			e.consumes(queue, multiple, consumeEvents, true, false, rawConsumer(prefetch, prefetch/2)),
			e.consumes(queue, leatCase, consumeEvents, true, true, leatConsumer(queue, 16, prefetch, 0)),
			e.consumes(queue, "Watermill Subscribe", consumeEvents/2, true, false, watermillConsumer(queue, prefetch, 1, 0)),
			e.consumes(queue, "Go CDK Receive", consumeEvents/2, true, false, cdkConsumer(prefetch, 1, 0)),
		},
		Goals: []bench.Goal{{Case: leatCase, Min: least}, {Case: leatCase, Against: multiple, Min: 0.85}},
	}
}

func (e *Env) sleeping(queue string) bench.Group {
	const leatCase = "Leat, 100 handlers"
	least := 1.2
	if queue == quorum {
		least = 0.95
	}
	return bench.Group{
		Name: "consume/1ms/" + queue,
		About: "A handler that sleeps for 1 ms, one durable " + queue + " queue, 10,000 keys. The base gives what it consumes to 100 " +
			"goroutines in no order, which ack each message. Leat keeps the order of each key. Watermill handles one event at a time.",
		Cases: []bench.Case{
			e.consumes(queue, "amqp091-go, 100 goroutines without order", consumeEvents, false, false, rawPool(prefetch, readers, time.Millisecond)),
			e.consumes(queue, leatCase, consumeEvents, true, true, leatConsumer(queue, readers, prefetch, time.Millisecond)),
			e.consumes(queue, "Watermill Subscribe, 100 goroutines", oneByOne, true, false,
				watermillConsumer(queue, prefetch, readers, time.Millisecond)),
			e.consumes(queue, "Go CDK Receive, 100 goroutines without order", consumeEvents, false, false,
				cdkConsumer(prefetch, readers, time.Millisecond)),
		},
		Goals: []bench.Goal{{Case: leatCase, Min: least}},
	}
}

// startConsumer starts a party's consumer that hands every event to a, and returns what ends it.
type startConsumer func(ctx context.Context, e *Env, p place, a *load.Arrivals) (closeIt func() error, err error)

// consuming is a case that consumes a queue that was filled before.
type consuming struct {
	*load.Arrivals

	env     *Env
	place   place
	closeIt func() error
}

// consumes returns a case. With leats, the queue is declared by Leat.
func (e *Env) consumes(queue, name string, events int, ordered, leats bool, start startConsumer) bench.Case {
	return bench.Case{Name: name, Events: events, ShortEvents: shortEvents, Start: func(ctx context.Context, n int) (bench.Instance, error) {
		n += bench.WarmUp(n)
		c := &consuming{Arrivals: load.NewArrivals(n, ordered), env: e, place: e.place()}
		declare := func() error { return e.create(c.place, queue) }
		if leats {
			declare = func() error { return declareLeat(ctx, e, c.place, queue) }
		}
		if err := declare(); err != nil {
			return nil, err
		}
		err := e.fill(ctx, c.place, n)
		if err == nil {
			c.closeIt, err = start(ctx, e, c.place, c.Arrivals)
		}
		if err != nil {
			return nil, errors.Join(err, e.remove(c.place))
		}
		return c, nil
	}}
}

// Run lets n more events through and waits for them.
func (c *consuming) Run(ctx context.Context, n int) error {
	c.Expect(n)
	return errors.Join(c.Wait(ctx), c.Err())
}

// Close ends the consumer and deletes its queue.
func (c *consuming) Close() error {
	c.Release()
	return errors.Join(c.closeIt(), c.Err(), c.env.remove(c.place))
}

// inParallel calls f from n goroutines and waits for them.
func inParallel(n int, f func()) {
	var all sync.WaitGroup
	for range n {
		all.Go(f)
	}
	all.Wait()
}
