package cases

import (
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/leatgo/leat/benchmarks/internal/bench"
)

const memoryEvents = 50_000

func (e *Env) memory() bench.Group {
	const leatCase = "Leat, MaxInFlight 10,000"
	r := reading{what: "many", partitions: manyPartitions, events: consumeEvents}
	return bench.Group{
		Name: "memory",
		About: "The live heap of a consumer whose handlers block until it holds all it can: what the client has fetched, and with Leat " +
			"10,000 events in flight besides. It is measured after a collection, above what the process had before the consumer was there. The " +
			"rates mean nothing here: they include the wait.",
		Cases: []bench.Case{
			e.holds(r, "franz-go, poll loop", franzConsumer(recordIndex, 0, 0)),
			e.holds(r, leatCase, leatConsumer(16, 10_000, 0)),
		},
		Goals: []bench.Goal{{Case: leatCase, Metric: bench.HeapAbove, Max: 64}},
	}
}

// holding is a consumer whose heap is measured while nothing is let through.
type holding struct {
	*consuming

	before, held uint64
}

func (e *Env) holds(r reading, name string, start startConsumer) bench.Case {
	set := func(ctx context.Context, _ int) (bench.Instance, error) {
		if _, err := e.fill(ctx, r.what, r.partitions, r.size(e.short)); err != nil {
			return nil, err
		}
		before := liveHeap()
		c, err := e.startConsuming(ctx, r, true, start)
		return &holding{consuming: c, before: before}, err
	}
	return bench.Case{Name: name, Events: memoryEvents, ShortEvents: shortEvents, Start: set}
}

// Run waits until the consumer holds as much as it will, measures, and lets n events through.
func (h *holding) Run(ctx context.Context, n int) error {
	if err := h.settle(ctx); err != nil {
		return err
	}
	h.held = max(liveHeap(), h.before) - h.before
	return h.consuming.Run(ctx, n)
}

// settle waits until an event is held and the number of events that the consumer has stays the same
// for a second.
func (h *holding) settle(ctx context.Context) error {
	last, since := -1, 0
	for since < 10 {
		if now := h.party.buffered(); now == last && h.Holding() {
			since++
		} else {
			last, since = now, 0
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return errors.Join(ctx.Err(), h.Err())
		}
	}
	return nil
}

// Held returns the live heap that the last Run measured.
func (h *holding) Held() uint64 { return h.held }

// liveHeap returns the bytes of live heap.
func liveHeap() uint64 {
	for range 2 { // a pool gives up what it has at the second collection
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
