package scenario

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat/benchmarks/peerlab/internal/party"
	"github.com/leatgo/leat/internal/brokertest"
)

// The deadline of a Publish and of a Close, and what may come on top of it.
const (
	deadline = 500 * time.Millisecond
	grace    = 250 * time.Millisecond
)

// deadlines are about a broker that takes nothing, and says so or not.
func deadlines() []Scenario {
	const what = " Publish and Close, each with 500 ms, 100 times (10 in a short run): they have to return within 250 ms after that."
	return []Scenario{{
		Name: "alarm", Title: "Publish and close under a memory alarm",
		What: "The broker has an alarm of memory and reads nothing more from connections that publish." + what,
		run:  kept(func(ctx context.Context, n *brokertest.RabbitMQNode) error { return n.MemoryAlarm(ctx, true) }),
	}, {
		Name: "paused", Title: "Publish and close while the broker hangs",
		What: "The broker is stopped (SIGSTOP), its connections stay." + what,
		run:  kept(func(_ context.Context, n *brokertest.RabbitMQNode) error { return n.Pause() }),
	}}
}

// kept opens connections while all is well, and times their Publish and Close under the fault.
func kept(fault func(ctx context.Context, n *brokertest.RabbitMQNode) error) func(ctx context.Context, e *env) (Result, error) {
	return func(ctx context.Context, e *env) (Result, error) {
		t := e.target()
		t.CloseTimeout = deadline
		total := e.count(10, 100)
		peers := make([]party.Peer, total)
		for i := range peers {
			p, err := e.open(ctx, t)
			if err != nil {
				return Result{}, err
			}
			if err := tell(ctx, p, 5*time.Second, fmt.Sprint("before-", i)); err != nil {
				return Result{}, err
			}
			peers[i] = p
		}
		if err := fault(ctx, e.node); err != nil {
			return Result{}, err
		}
		var published, closed, slowest atomic.Int64
		var all sync.WaitGroup
		for i, p := range peers { // at once: later, heartbeats would have ended the connections
			all.Go(func() {
				took, ok := timed(ctx, func(ctx context.Context) { p.Publish(ctx, fmt.Sprint("during-", i)) })
				count(&published, &slowest, took, ok)
				took, ok = timed(ctx, func(ctx context.Context) { _ = p.Close(ctx) })
				count(&closed, &slowest, took, ok)
			})
		}
		all.Wait()
		r := Result{
			Held: published.Load() == int64(total) && closed.Load() == int64(total),
			Seen: fmt.Sprintf("kept by %d of %d publishes and %d of %d closes", published.Load(), total, closed.Load(), total),
		}
		if worst := time.Duration(slowest.Load()); worst > 0 {
			r.Seen += fmt.Sprintf(", the slowest %d ms", worst.Milliseconds())
		} else {
			r.Seen += fmt.Sprintf("; given up after %v", hopeless)
		}
		return r, nil
	}
}

// hopeless is when a call is not waited for any longer.
const hopeless = 3 * time.Second

// timed returns how long a call with the deadline took; false means that it is not over, or too
// late.
func timed(ctx context.Context, call func(ctx context.Context)) (time.Duration, bool) {
	begun := time.Now()
	over := make(chan time.Duration, 1)
	go func() {
		ctx, cancel := context.WithDeadline(ctx, begun.Add(deadline))
		defer cancel()
		call(ctx)
		over <- time.Since(begun)
	}()
	select {
	case took := <-over:
		return took, took <= deadline+grace
	case <-time.After(hopeless):
		return 0, false
	}
}

// count enters a call. The slowest is 0 as soon as one is not over.
func count(kept, slowest *atomic.Int64, took time.Duration, ok bool) {
	if ok {
		kept.Add(1)
	}
	for {
		was := slowest.Load()
		is := max(was, int64(took))
		if took == 0 || was < 0 {
			is = -1
		}
		if slowest.CompareAndSwap(was, is) {
			return
		}
	}
}
