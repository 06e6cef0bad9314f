package poisonload

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/leatgo/leat"
)

// refusing is a poison queue whose Producer lacks a permission.
type refusing struct{ leat.PoisonQueue }

// Poison implements [leat.PoisonQueue].
func (q refusing) Poison(_ context.Context, p leat.Poisoned) error {
	return &leat.Error{Op: "poison", Code: leat.CodePoisonQueue, Err: &leat.Error{
		Op: "publish", Topic: leat.PoisonTopic(p.Info.Topic, p.Info.Group), Code: leat.CodePermissionDenied,
	}}
}

// until waits until ok is true.
func until(ctx context.Context, tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			tb.Fatalf("%s: %v", what, context.Cause(ctx))
		}
	}
}

// lateness is how late the machine ran a goroutine, summed up where that was more than 10 ms at a
// time.
type lateness struct {
	mu    sync.Mutex
	total time.Duration
}

func (l *lateness) sum() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

// watch notes until ctx ends how late the machine is.
func watch(ctx context.Context) *lateness {
	const step = 5 * time.Millisecond
	l := &lateness{}
	go func() {
		timer := time.NewTimer(step)
		for due := time.Now().Add(step); ; due = time.Now().Add(step) {
			select {
			case <-timer.C:
			case <-ctx.Done():
				return
			}
			if late := time.Since(due); late > 2*step {
				l.mu.Lock()
				l.total += late
				l.mu.Unlock()
			}
			timer.Reset(step)
		}
	}()
	return l
}

// publish publishes events past a Producer and returns the first error.
func publish(ctx context.Context, b leat.Broker, topic string, events []leat.Event) error {
	answers := make(chan error, len(events))
	b.Publish(ctx, topic, events, func(_ int, err error) { answers <- err })
	var first error
	for range events {
		if err := <-answers; first == nil {
			first = err
		}
	}
	return first
}
