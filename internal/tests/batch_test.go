package leat_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/middleware"
	"github.com/stretchr/testify/assert"
)

// batchFunc is the function of a Batch.
type batchFunc = func(ctx context.Context, events []leat.Event) error

// startBatch runs a consumer whose handler is a Batch on b.
func startBatch(t *testing.T, b leat.Broker, o *leat.BatchOptions, options *leat.ConsumerOptions, fn batchFunc) *running {
	t.Helper()
	return startHandler(t, b, leat.Batch(o, fn), options)
}

// startHandler is start for a handler that is no function.
func startHandler(t *testing.T, b leat.Broker, h leat.Handler, o *leat.ConsumerOptions) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{t: t, consumer: leat.NewConsumer(b, testSub, h, o), cancel: cancel, result: make(chan error, 1)}
	go func() { r.result <- leat.Run(ctx, r.consumer) }()
	synctest.Wait()
	return r
}

// batchEvents returns an event for each of names, such as "a1", whose key is the letter.
func batchEvents(tb testing.TB, names string) []leat.Event {
	tb.Helper()
	var events []leat.Event
	for name := range strings.FieldsSeq(names) {
		events = append(events, event(tb, name, strings.Trim(name, "-0123456789")))
	}
	return events
}

// ids returns the ids of events, sorted unless they have to be in order.
func ids(events []leat.Event) string {
	var all []string
	for _, e := range events {
		all = append(all, e.ID())
	}
	return strings.Join(all, " ")
}

func sortedIDs(events []leat.Event) string {
	all := strings.Fields(ids(events))
	slices.Sort(all)
	return strings.Join(all, " ")
}

// settle lets d pass, and what is due then happen.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestBatchStartsWhenItIsFullOrHasWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, tr := newFakeBroker(), newTrace()
		b.deliver(leat.NewLease(), batchEvents(t, "a b c d e f g")...)
		o := &leat.BatchOptions{MaxEvents: 3, MaxWait: time.Second}
		r := startBatch(t, b, o, nil, func(_ context.Context, events []leat.Event) error {
			tr.at("%d", len(events))
			return nil
		})
		settle(time.Minute)
		assert.Equal(t, []string{"0s 3", "0s 3", "1s 1"}, tr.all())
		assert.Len(t, b.settlements(), 7)
		s := r.consumer.Stats()
		assert.EqualValues(t, 7, s.Handled)
		assert.Zero(t, s.InFlight)
		assert.Zero(t, s.Running)
		r.stopClean()
	})
}

func TestBatchDoesNotWaitWhenItCannotGetFuller(t *testing.T) {
	for name, c := range map[string]struct {
		events string
		o      leat.ConsumerOptions
	}{
		"MaxInFlight is used up by few keys": {"a1 b1 a2 b2", leat.ConsumerOptions{MaxInFlight: 4}},
		"MaxInFlight is used up":             {"a b c d", leat.ConsumerOptions{MaxInFlight: 4}},
		"MaxInFlightBytes is used up":        {"a b", leat.ConsumerOptions{MaxInFlightBytes: 2}},
		"there is one handler":               {"a1 b1 a2 b2", leat.ConsumerOptions{MaxInFlight: 4, Concurrency: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, tr := newFakeBroker(), newTrace()
				b.deliver(leat.NewLease(), batchEvents(t, c.events)...)
				r := startBatch(t, b, &leat.BatchOptions{MaxEvents: 4, MaxWait: time.Hour}, &c.o, func(_ context.Context, events []leat.Event) error {
					tr.at("%s", sortedIDs(events))
					return nil
				})
				synctest.Wait()
				assert.NotEmpty(t, tr.all())
				r.stopClean()
			})
		})
	}
}

func TestBatchHoldsOneEventOfAKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, tr := newFakeBroker(), newTrace()
		b.deliver(leat.NewLease(), batchEvents(t, "a1 a2 b1 c1 a3 b2 -1 -2")...)
		r := startBatch(t, b, nil, nil, func(_ context.Context, events []leat.Event) error {
			tr.at("%s", sortedIDs(events))
			return nil
		})
		settle(time.Minute)
		assert.Equal(t, []string{"100ms -1 -2 a1 b1 c1", "200ms a2 b2", "300ms a3"}, tr.all())
		r.stopClean()
	})
}

func TestBatchOfOneKeyTakesItsEventsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, tr := newFakeBroker(), newTrace()
		b.deliver(leat.NewLease(), batchEvents(t, "a1 a2 a3 a4 a5 a6 a7")...)
		o := &leat.BatchOptions{MaxEvents: 3, SameKey: true}
		r := startBatch(t, b, o, nil, func(_ context.Context, events []leat.Event) error {
			time.Sleep(time.Second)
			tr.at("%s", ids(events))
			return nil
		})
		time.Sleep(50 * time.Millisecond)
		b.deliver(leat.NewLease(), batchEvents(t, "a8")...)
		settle(time.Minute)
		assert.Equal(t, []string{"1s a1 a2 a3", "2s a4 a5 a6", "3.1s a7 a8"}, tr.all())
		assert.Equal(t, strings.Split("a1 ack,a2 ack,a3 ack,a4 ack,a5 ack,a6 ack,a7 ack,a8 ack", ","), b.settlements())
		r.stopClean()
	})
}

func TestBatchLetsTheNextEventOfAKeyJoinWhileItGathers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, tr := newFakeBroker(), newTrace()
		lease := leat.NewLease()
		b.deliver(lease, batchEvents(t, "a1")...)
		o := &leat.BatchOptions{SameKey: true, MaxWait: time.Second}
		r := startBatch(t, b, o, &leat.ConsumerOptions{Concurrency: 1}, func(_ context.Context, events []leat.Event) error {
			tr.at("%s", ids(events))
			return nil
		})
		time.Sleep(time.Second / 2)
		b.deliver(lease, batchEvents(t, "a2")...)
		settle(time.Minute)
		assert.Equal(t, []string{"1s a1 a2"}, tr.all())
		r.stopClean()
	})
}

// batchOrder puts the outcomes of the events a, b and c into the order in which they are in a
// batch.
type batchOrder = func(a, b, c error) leat.BatchErrors

// TestBatchOutcomes: what the function returns, and what becomes of three events by it.
func TestBatchOutcomes(t *testing.T) {
	errFirst, errThird := errors.New("first"), errors.New("third")
	handled := []string{"a handled", "b handled", "c handled"}
	retried := []string{"a retried", "b retried", "c retried"}
	rejected := []string{"a rejected", "b rejected", "c rejected"}
	for name, c := range map[string]struct {
		fn   func(abc batchOrder) error
		want []string // of the first attempt
		text string   // part of each error
	}{
		"nil":       {func(batchOrder) error { return nil }, handled, ""},
		"one error": {func(batchOrder) error { return errBoom }, retried, "boom"},
		"rejected":  {func(batchOrder) error { return leat.Reject(errBoom) }, rejected, "boom"},
		"each": {
			func(abc batchOrder) error { return abc(errFirst, nil, leat.Reject(errThird)) },
			[]string{"a retried", "b handled", "c rejected"}, "",
		},
		"each, no failure": {func(batchOrder) error { return make(leat.BatchErrors, 3) }, handled, ""},
		"each, wrapped": {
			func(abc batchOrder) error { return fmt.Errorf("insert: %w", abc(nil, errFirst, nil)) },
			[]string{"a handled", "b retried", "c handled"}, "first",
		},
		"each, in a decision for all": {
			func(abc batchOrder) error { return leat.Reject(abc(nil, errFirst, nil)) },
			rejected, "1 of 3 events failed; the first: first",
		},
		"none":     {func(batchOrder) error { return leat.BatchErrors{} }, retried, "returned 0 outcomes (BatchErrors) for 3 events"},
		"too few":  {func(batchOrder) error { return leat.BatchErrors{nil, nil} }, retried, "returned 2 outcomes (BatchErrors) for 3 events"},
		"too many": {func(batchOrder) error { return make(leat.BatchErrors, 4) }, retried, "returned 4 outcomes (BatchErrors) for 3 events"},
		"each, joined with another error": {
			func(abc batchOrder) error { return errors.Join(abc(nil, nil, nil), errBoom) },
			retried, "the batch handler returned BatchErrors together with another error, so it counts for all events; return either: ",
		},
		"panic":  {func(batchOrder) error { panic("oh no") }, retried, "the batch handler panicked: oh no\ngoroutine"},
		"goexit": {func(batchOrder) error { runtime.Goexit(); return nil }, retried, "batch handler called runtime.Goexit\ngoroutine"},
		"an error that panics": {
			func(batchOrder) error { return (*nilError)(nil) }, retried, "error panicked",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newFakeBroker()
				b.deliver(leat.NewLease(), batchEvents(t, "a b c")...)
				var mu sync.Mutex
				first := map[string]string{}
				seen := observerFunc(func(o leat.Observation) {
					mu.Lock()
					defer mu.Unlock()
					if o.Kind != leat.ObservedOutcome || o.Attempt != 1 {
						return
					}
					what := "handled"
					switch {
					case leat.IsRejected(o.Err):
						what = "rejected"
					case o.Err != nil:
						what = "retried"
						assert.ErrorContains(t, o.Err, c.text)
					}
					first[o.Event.ID()] = what
				})
				calls := 0
				o := &leat.BatchOptions{MaxEvents: 3}
				r := startBatch(t, b, o, &leat.ConsumerOptions{Observer: seen}, func(_ context.Context, events []leat.Event) error {
					mu.Lock()
					calls++
					n := calls
					mu.Unlock()
					if n > 1 {
						return nil
					}
					return c.fn(func(a, b, c error) leat.BatchErrors {
						byID := map[string]error{"a": a, "b": b, "c": c}
						var each leat.BatchErrors
						for _, e := range events {
							each = append(each, byID[e.ID()])
						}
						return each
					})
				})
				settle(time.Minute)
				var got []string
				for _, id := range []string{"a", "b", "c"} {
					got = append(got, id+" "+first[id])
				}
				assert.Equal(t, c.want, got)
				stuck := strings.Count(strings.Join(c.want, ","), "rejected")
				assert.Len(t, b.settlements(), 3-stuck, "what was not rejected is done in the end, once")
				r.stopClean()
			})
		})
	}
}

func TestBatchTriesOnlyWhatFailedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, tr := newFakeBroker(), newTrace()
		b.deliver(leat.NewLease(), batchEvents(t, "a b c d")...)
		var mu sync.Mutex
		tries := map[string]int{}
		options := &leat.ConsumerOptions{Middleware: []leat.Middleware{middleware.Retry(&middleware.RetryOptions{
			MaxAttempts: 3, InitialDelay: time.Second, NoJitter: true,
		})}, PoisonQueue: poisonFunc(func(_ context.Context, p leat.Poisoned) error {
			tr.at("poisoned %s after %d: %v", p.Event.ID(), p.Info.Attempt, p.Reason)
			return nil
		})}
		o := &leat.BatchOptions{MaxEvents: 4, MaxWait: 10 * time.Millisecond}
		r := startBatch(t, b, o, options, func(_ context.Context, events []leat.Event) error {
			tr.at("%s", sortedIDs(events))
			mu.Lock()
			defer mu.Unlock()
			outcomes := make(leat.BatchErrors, len(events))
			for i, e := range events {
				if tries[e.ID()]++; e.ID() == "b" || e.ID() == "d" && tries["d"] < 3 {
					outcomes[i] = errBoom
				}
			}
			return outcomes
		})
		settle(time.Minute)
		assert.Equal(t, []string{
			"0s a b c d", "1.01s b d", "3.02s b d", "3.02s poisoned b after 3: gave up after 3 attempts in 3.02s: boom",
		}, tr.all())
		s := r.consumer.Stats()
		assert.EqualValues(t, 3, s.Handled)
		assert.EqualValues(t, 1, s.Poisoned)
		assert.EqualValues(t, 4, s.Retried)
		r.stopClean()
	})
}

// TestBatchOfOneKeyStopsAtTheFirstFailure: the successors of a failure come again behind it,
// without an attempt.
func TestBatchOfOneKeyStopsAtTheFirstFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, tr := newFakeBroker(), newTrace()
		b.deliver(leat.NewLease(), batchEvents(t, "a1 a2 a3 a4 b1 b2")...)
		var mu sync.Mutex
		failed, attempts := false, map[string]int{}
		count := func(next leat.Handler) leat.Handler {
			return leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
				info, _ := leat.InfoFrom(ctx)
				err := next.Handle(ctx, e)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					attempts[e.ID()] = info.Attempt
				}
				return err
			})
		}
		options := &leat.ConsumerOptions{Middleware: []leat.Middleware{
			middleware.Retry(&middleware.RetryOptions{MaxAttempts: 2, InitialDelay: time.Second, NoJitter: true}), count,
		}}
		o := &leat.BatchOptions{MaxEvents: 6, MaxWait: 10 * time.Millisecond, SameKey: true}
		r := startBatch(t, b, o, options, func(_ context.Context, events []leat.Event) error {
			tr.at("%s", sortedIDs(events))
			mu.Lock()
			defer mu.Unlock()
			outcomes := make(leat.BatchErrors, len(events))
			if !failed {
				failed = true
				outcomes[slices.IndexFunc(events, func(e leat.Event) bool { return e.ID() == "a2" })] = errBoom
			}
			return outcomes
		})
		settle(time.Minute)
		assert.Equal(t, []string{"0s a1 a2 a3 a4 b1 b2", "1.01s a2 a3 a4"}, tr.all())
		assert.Equal(t, map[string]int{"a1": 1, "a2": 2, "a3": 1, "a4": 1, "b1": 1, "b2": 1}, attempts)
		assert.EqualValues(t, 6, r.consumer.Stats().Handled)
		r.stopClean()
	})
}
