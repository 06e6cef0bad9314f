package cases

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/benchmarks/internal/bench"
)

const parkedType = "com.example.order.parked.v1"

var errParked = errors.New("parked for the benchmark")

// parked compares the cost of an event while others wait for a retry.
func parked() bench.Group {
	g := bench.Group{
		Name: "parked",
		About: "Leat in memory, 64 handlers, events with 10,000 keys, while other events, each with a key of its own, are parked by " +
			"`RetryAfter(1h)`. `MaxInFlight` is 1,000 more than are parked, so that the others have the same room in every case. The " +
			"base has none parked.",
	}
	for _, n := range []int{0, 1, 100, 10_000} {
		g.Cases = append(g.Cases, bench.Case{
			Name:   count(n) + " parked",
			Events: 250_000,
			Start:  startLeat(pathOptions{keys: 10_000, concurrency: 64, inFlight: n + 1_000, parked: n}),
		})
		if n > 0 {
			g.Goals = append(g.Goals, flat(count(n)+" parked"))
		}
	}
	return g
}

// park publishes n events whose handler asks for a retry in an hour, and waits until all of them
// are parked.
func (p *leatPath) park(ctx context.Context, n int) error {
	for i := range n {
		e, err := leat.NewEvent(parkedType, &leat.EventOptions{
			ID: eventID(distinctEvents + i), Source: eventSource, Key: fmt.Sprintf("parked-%07d", i), Data: payload(),
		})
		if err != nil {
			return err
		}
		if err := p.producer.Publish(ctx, topic, e); err != nil {
			return err
		}
	}
	for p.consumer.Stats().Parked < n {
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%d of %d events are parked: %w", p.consumer.Stats().Parked, n, context.Cause(ctx))
		}
	}
	return nil
}
