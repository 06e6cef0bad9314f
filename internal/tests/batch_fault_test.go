package leat_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// onlyFirst lets the first batch do what do says, and records all of them.
func onlyFirst(tr *trace, do batchFunc) batchFunc {
	var calls atomic.Int64
	return func(ctx context.Context, events []leat.Event) error {
		tr.at("%s", sortedIDs(events))
		if calls.Add(1) == 1 {
			return do(ctx, events)
		}
		return nil
	}
}

// untilEnd waits for the end of ctx.
func untilEnd(ctx context.Context, _ []leat.Event) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// TestBatchIsToldWhenAnEventOfItIsLost: the others count no attempt and come again at once.
func TestBatchIsToldWhenAnEventOfItIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, tr := newFakeBroker(), newTrace()
		lost, kept := leat.NewLease(), leat.NewLease()
		b.deliver(lost, batchEvents(t, "a b")...)
		b.deliver(kept, batchEvents(t, "c d")...)
		var mu sync.Mutex
		attempts := map[string][]int{}
		note := func(next leat.Handler) leat.Handler {
			return leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
				info, _ := leat.InfoFrom(ctx)
				mu.Lock()
				attempts[e.ID()] = append(attempts[e.ID()], info.Attempt)
				mu.Unlock()
				return next.Handle(ctx, e)
			})
		}
		var cause error
		r := startBatch(t, b, &leat.BatchOptions{MaxEvents: 4}, &leat.ConsumerOptions{Middleware: []leat.Middleware{note}},
			onlyFirst(tr, func(ctx context.Context, _ []leat.Event) error {
				<-ctx.Done()
				cause = context.Cause(ctx)
				return ctx.Err()
			}))
		settle(time.Second)
		lost.End(errBoom)
		settle(time.Minute)
		require.ErrorIs(t, cause, leat.ErrLeaseLost)
		require.ErrorIs(t, cause, errBoom)
		assert.Equal(t, []string{"0s a b c d", "1.1s c d"}, tr.all())
		assert.Equal(t, map[string][]int{"a": {1}, "b": {1}, "c": {1, 1}, "d": {1, 1}}, attempts)
		settlements := b.settlements()
		slices.Sort(settlements)
		assert.Equal(t, []string{"c ack", "d ack"}, settlements)
		assert.EqualValues(t, 2, r.consumer.Stats().LeaseLost)
		r.stopClean()
	})
}

// TestBatchThatSucceedsAllTheSameIsDone: what is not lost is acked.
func TestBatchThatSucceedsAllTheSameIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, tr := newFakeBroker(), newTrace()
		lost := leat.NewLease()
		b.deliver(lost, batchEvents(t, "a")...)
		b.deliver(leat.NewLease(), batchEvents(t, "b")...)
		r := startBatch(t, b, &leat.BatchOptions{MaxEvents: 2}, nil, onlyFirst(tr, func(ctx context.Context, _ []leat.Event) error {
			<-ctx.Done()
			return nil
		}))
		lost.End(errBoom)
		settle(time.Minute)
		assert.Equal(t, []string{"0s a b"}, tr.all())
		assert.Equal(t, []string{"b ack"}, b.settlements())
		r.stopClean()
	})
}

// TestBatchLeavesOutWhatIsLostBeforeItStarts, and, with several events of a key, what is behind it.
func TestBatchLeavesOutWhatIsLostBeforeItStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, tr := newFakeBroker(), newTrace()
		lost, kept := leat.NewLease(), leat.NewLease()
		b.deliver(lost, batchEvents(t, "a1 b1")...)
		b.deliver(kept, batchEvents(t, "a2 a3 c1")...)
		o := &leat.BatchOptions{SameKey: true, MaxWait: time.Second}
		r := startBatch(t, b, o, nil, onlyFirst(tr, func(context.Context, []leat.Event) error { return nil }))
		settle(time.Second / 2)
		lost.End(errBoom)
		synctest.Wait()
		assert.Equal(t, []string{"a2 back", "a3 back"}, b.settlements(), "they would overtake the lost one")
		settle(time.Minute)
		assert.Equal(t, []string{"1s c1"}, tr.all())
		assert.Equal(t, []string{"a2 back", "a3 back", "c1 ack"}, b.settlements())
		r.stopClean()
	})
}

// TestBatchStartsAtOnceWhenTheConsumerStops: what is gathered runs, and what waits goes back.
func TestBatchStartsAtOnceWhenTheConsumerStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, tr := newFakeBroker(), newTrace()
		b.deliver(leat.NewLease(), batchEvents(t, "a1 b1 a2 b2")...)
		r := startBatch(t, b, &leat.BatchOptions{MaxWait: time.Hour}, nil, onlyFirst(tr, func(context.Context, []leat.Event) error {
			time.Sleep(time.Second)
			return nil
		}))
		settle(time.Minute)
		assert.Empty(t, tr.all())
		r.stopClean()
		assert.Equal(t, []string{"1m0s a1 b1"}, tr.all())
		settlements := b.settlements()
		assert.Equal(t, []string{"a2 back", "b2 back"}, settlements[:2])
		assert.Len(t, settlements, 4)
	})
}

// TestBatchStartsAtOnceWhenALeaseDrains: the broker waits for it.
func TestBatchStartsAtOnceWhenALeaseDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, tr := newFakeBroker(), newTrace()
		lease := leat.NewLease()
		b.deliver(lease, batchEvents(t, "a1 b1 a2")...)
		o := &leat.BatchOptions{MaxWait: time.Hour}
		r := startBatch(t, b, o, nil, onlyFirst(tr, func(context.Context, []leat.Event) error { return nil }))
		settle(time.Minute)
		released := false
		lease.Drain(func() { released = true })
		synctest.Wait()
		assert.True(t, released)
		assert.Equal(t, []string{"1m0s a1 b1"}, tr.all())
		assert.Equal(t, "a2 back", b.settlements()[0])
		r.stopClean()
	})
}

// TestBatchEndsAtTheShutdownTimeout: its context ends, and its events go back without an attempt.
func TestBatchEndsAtTheShutdownTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, tr := newFakeBroker(), newTrace()
		b.deliver(leat.NewLease(), batchEvents(t, "a1 b1 a2")...)
		o := &leat.BatchOptions{MaxEvents: 3, SameKey: true}
		r := startBatch(t, b, o, &leat.ConsumerOptions{ShutdownTimeout: time.Second}, onlyFirst(tr, untilEnd))
		r.stopClean()
		assert.Equal(t, time.Second, time.Since(tr.start))
		settlements := b.settlements()
		assert.ElementsMatch(t, []string{"a1 back", "b1 back", "a2 back"}, settlements)
		assert.Less(t, slices.Index(settlements, "a1 back"), slices.Index(settlements, "a2 back"))
		assert.EqualValues(t, 3, r.consumer.Stats().GivenBack)
	})
}

// TestBatchThatBlocksPastTheDrainIsReportedOnce, with the batch that had to wait for it.
func TestBatchThatBlocksPastTheDrainIsReportedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		b.deliver(leat.NewLease(), batchEvents(t, "a1 b1 c1 d1 e1")...)
		release := make(chan struct{})
		options := &leat.ConsumerOptions{ShutdownTimeout: time.Second, Concurrency: 1}
		var calls atomic.Int64
		r := startBatch(t, b, &leat.BatchOptions{MaxEvents: 3}, options, func(context.Context, []leat.Event) error {
			calls.Add(1)
			<-release
			return nil
		})
		began := time.Now()
		err := r.stop()
		assert.Less(t, time.Since(began), 1250*time.Millisecond)
		require.Error(t, err)
		assert.Equal(t, leat.CodeHandler, leat.CodeOf(err))
		assert.NotContains(t, err.Error(), "\n", "one error for all events of it")
		assert.ErrorContains(t, err,
			`the batch handler of 3 events that begin with one of type "com.example.test" still runs, 1.1s after it began`)
		assert.ElementsMatch(t, []string{"d1 back", "e1 back"}, b.settlements())
		close(release)
		synctest.Wait()
		assert.EqualValues(t, 1, calls.Load())
	})
}

// TestBatchesRunAsManyAtOnceAsConcurrencySays, whatever they hold.
func TestBatchesRunAsManyAtOnceAsConcurrencySays(t *testing.T) {
	for _, concurrency := range []int{1, 3} {
		t.Run(fmt.Sprint(concurrency), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newFakeBroker()
				for i := range 100 {
					b.deliver(leat.NewLease(), event(t, fmt.Sprint(i), fmt.Sprint("key", i)))
				}
				var now, peakNow, inMiddleware, mostInMiddleware atomic.Int64
				slow := func(next leat.Handler) leat.Handler {
					return leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
						peak(&inMiddleware, &mostInMiddleware)
						time.Sleep(time.Millisecond)
						inMiddleware.Add(-1)
						return next.Handle(ctx, e)
					})
				}
				options := &leat.ConsumerOptions{Concurrency: concurrency, Middleware: []leat.Middleware{slow}}
				began := time.Now()
				r := startBatch(t, b, &leat.BatchOptions{MaxEvents: 10}, options, func(_ context.Context, events []leat.Event) error {
					peak(&now, &peakNow)
					time.Sleep(100 * time.Millisecond)
					now.Add(-1)
					assert.Len(t, events, 10)
					return nil
				})
				for r.consumer.Stats().Handled < 100 {
					settle(10 * time.Millisecond)
				}
				took := time.Since(began)
				assert.EqualValues(t, concurrency, peakNow.Load())
				assert.LessOrEqual(t, mostInMiddleware.Load(), int64(concurrency))
				most := time.Duration(10/concurrency+1)*100*time.Millisecond + 50*time.Millisecond
				assert.LessOrEqual(t, took, most, "the next batch gathers while others run")
				r.stopClean()
			})
		})
	}
}

// peak counts one more and keeps the most.
func peak(now, most *atomic.Int64) {
	if n := now.Add(1); n > most.Load() {
		most.Store(n)
	}
}

// TestBatchHoldsUpNoOtherHandler: events of other routes run while a batch gathers, and while one
// runs.
func TestBatchHoldsUpNoOtherHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, tr := newFakeBroker(), newTrace()
		single, err := leat.NewEvent("com.example.single", &leat.EventOptions{ID: "single", Source: "/test"})
		require.NoError(t, err)
		b.deliver(leat.NewLease(), append(batchEvents(t, "a b c"), single)...)
		router := leat.NewRouter(
			leat.Route{Type: "com.example.test", Handler: leat.Batch(&leat.BatchOptions{MaxEvents: 2, MaxWait: time.Second},
				func(_ context.Context, events []leat.Event) error {
					time.Sleep(time.Hour)
					tr.at("%d", len(events))
					return nil
				})},
			leat.Route{Type: "com.example.single", Handler: leat.HandlerFunc(func(context.Context, leat.Event) error {
				tr.at("single")
				return nil
			})},
		)
		r := startHandler(t, b, router, &leat.ConsumerOptions{Concurrency: 2})
		settle(24 * time.Hour)
		assert.Equal(t, []string{"0s single", "1h0m0s 2", "1h0m1s 1"}, tr.all())
		r.stopClean()
	})
}

// TestBatchPausesTheConsumer: the decision of all pauses once, and counts no attempt.
func TestBatchPausesTheConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, tr := newFakeBroker(), newTrace()
		b.deliver(leat.NewLease(), batchEvents(t, "a1 b1 a2")...)
		o := &leat.BatchOptions{MaxEvents: 3, SameKey: true}
		r := startBatch(t, b, o, nil, onlyFirst(tr, func(context.Context, []leat.Event) error { return leat.Pause(time.Minute, errBoom) }))
		settle(time.Second)
		assert.Equal(t, leat.Paused, r.consumer.Health().State)
		settle(time.Hour)
		assert.Equal(t, []string{"0s a1 a2 b1", "1m0s a1 a2 b1"}, tr.all())
		assert.Zero(t, r.consumer.Stats().Retried)
		r.stopClean()
	})
}

// TestBatchInAMiddlewareThatBreaksTheRules: one that calls the next Handler twice at once, or does
// not wait for it, or calls it later.
func TestBatchInAMiddlewareThatBreaksTheRules(t *testing.T) {
	for name, c := range map[string]struct {
		rude func(ctx context.Context, e leat.Event, next leat.Handler) error
		want string
	}{
		"twice at once": {func(ctx context.Context, e leat.Event, next leat.Handler) error {
			errs := make(chan error, 2)
			for range 2 {
				go func() { errs <- next.Handle(ctx, e) }()
			}
			return errors.Join(<-errs, <-errs)
		}, "the event is in a batch already"},
		"without waiting": {func(ctx context.Context, e leat.Event, next leat.Handler) error {
			go func() { _ = next.Handle(ctx, e) }()
			time.Sleep(time.Millisecond)
			return errBoom
		}, "boom"},
		"while the batch runs": {func(ctx context.Context, e leat.Event, next leat.Handler) error {
			go func() { _ = next.Handle(ctx, e) }()
			time.Sleep(150 * time.Millisecond)
			return errBoom
		}, "boom"},
		"afterwards": {func(ctx context.Context, e leat.Event, next leat.Handler) error {
			go func() {
				time.Sleep(time.Millisecond)
				if err := next.Handle(ctx, e); err == nil || !strings.Contains(err.Error(), "for an attempt that is over") {
					panic(fmt.Sprint(err))
				}
			}()
			return errBoom
		}, "boom"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newFakeBroker()
				b.deliver(leat.NewLease(), batchEvents(t, "a1 b1 a2 a3 -1")...)
				var mu sync.Mutex
				var texts []string
				seen := map[string]bool{}
				rude := func(next leat.Handler) leat.Handler {
					return leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
						mu.Lock()
						first := !seen[e.ID()]
						seen[e.ID()] = true
						mu.Unlock()
						if !first {
							return next.Handle(ctx, e)
						}
						err := c.rude(ctx, e, next)
						mu.Lock()
						defer mu.Unlock()
						texts = append(texts, fmt.Sprint(err))
						return err
					})
				}
				r := startBatch(t, b, &leat.BatchOptions{SameKey: true}, &leat.ConsumerOptions{Middleware: []leat.Middleware{rude}},
					func(context.Context, []leat.Event) error {
						time.Sleep(100 * time.Millisecond)
						return nil
					})
				settle(time.Hour)
				assert.Contains(t, strings.Join(texts, "\n"), c.want)
				assert.EqualValues(t, 5, r.consumer.Stats().Handled)
				assert.Len(t, b.settlements(), 5)
				assert.Zero(t, r.consumer.Stats().InFlight)
				r.stopClean()
			})
		})
	}
}
