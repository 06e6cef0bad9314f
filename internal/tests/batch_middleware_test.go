package leat_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type runKey struct{}

// TestBatchContext: it has what Run's context has, and nothing of an event.
func TestBatchContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		b.deliver(leat.NewLease(), batchEvents(t, "a b")...)
		called := false
		named := func(next leat.Handler) leat.Handler {
			return leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
				return next.Handle(context.WithValue(ctx, runKey{}, e.ID()), e)
			})
		}
		h := leat.Chain(leat.Batch(&leat.BatchOptions{MaxEvents: 2}, func(ctx context.Context, _ []leat.Event) error {
			called = true
			_, ok := leat.InfoFrom(ctx)
			assert.False(t, ok)
			assert.Equal(t, "run", ctx.Value(runKey{}))
			assert.NoError(t, ctx.Err())
			return nil
		}), named)
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), runKey{}, "run"))
		result := make(chan error, 1)
		go func() { result <- leat.Run(ctx, leat.NewConsumer(b, testSub, h, nil)) }()
		synctest.Wait()
		assert.True(t, called)
		cancel()
		require.NoError(t, <-result)
	})
}

// TestBatchOutsideAConsumer: an event is a batch of one, with its own context.
func TestBatchOutsideAConsumer(t *testing.T) {
	e := event(t, "1", "k")
	h := leat.Batch(nil, func(ctx context.Context, events []leat.Event) error {
		_, ok := leat.InfoFrom(ctx)
		assert.False(t, ok)
		assert.Equal(t, "run", ctx.Value(runKey{}))
		assert.Equal(t, []leat.Event{e}, events)
		return leat.BatchErrors{errBoom}
	})
	ctx := leat.ContextWithInfo(context.WithValue(t.Context(), runKey{}, "run"), leat.Info{Attempt: 3})
	assert.Equal(t, errBoom, h.Handle(ctx, e))

	typed := orderPlaced.Batch(nil, func(_ context.Context, events []leat.Event, vs []order) error {
		assert.Len(t, events, 1)
		assert.Equal(t, []order{{ID: "o1"}}, vs)
		return nil
	})
	placed, err := orderPlaced.New(order{ID: "o1"})
	require.NoError(t, err)
	require.NoError(t, typed.Handler.Handle(t.Context(), placed))
	assert.True(t, leat.IsRejected(typed.Handler.Handle(t.Context(), e)))
}

// TestBatchOfDecodedData: the data is next to its event, and what cannot be decoded is in no batch.
func TestBatchOfDecodedData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := memory.New(nil)
		producer := leat.NewProducer(broker, nil)
		sub := leat.Subscription{Topic: "orders", Group: "billing"}
		require.NoError(t, leat.Declare(t.Context(), broker, sub))
		var mu sync.Mutex
		var batches, poisoned []string
		o := &leat.BatchOptions{MaxEvents: 10, MaxWait: time.Second}
		route := orderPlaced.Batch(o, func(_ context.Context, events []leat.Event, vs []order) error {
			mu.Lock()
			defer mu.Unlock()
			batches = append(batches, fmt.Sprint(len(events)))
			for i, v := range vs {
				assert.Equal(t, "orders/"+v.ID, events[i].Subject())
			}
			return nil
		})
		queue := poisonFunc(func(_ context.Context, p leat.Poisoned) error {
			mu.Lock()
			defer mu.Unlock()
			poisoned = append(poisoned, p.Reason.Error())
			return nil
		})
		consumer := leat.NewConsumer(broker, sub, leat.NewRouter(route), &leat.ConsumerOptions{PoisonQueue: queue})
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- leat.Run(ctx, consumer) }()
		require.NoError(t, orderPlaced.Publish(ctx, producer, order{ID: "1"}, order{ID: "2"}, order{ID: "3"}))
		wrong, err := leat.NewEvent(orderPlaced.Name, &leat.EventOptions{Source: "/shop", Data: []byte("{")})
		require.NoError(t, err)
		require.NoError(t, producer.Publish(ctx, "orders", wrong))
		settle(time.Minute)
		mu.Lock()
		assert.Equal(t, []string{"3"}, batches)
		assert.Len(t, poisoned, 1)
		mu.Unlock()
		assert.EqualValues(t, 3, consumer.Stats().Handled)
		cancel()
		require.NoError(t, <-result)
		require.NoError(t, errors.Join(producer.Close(t.Context()), broker.Close()))
	})
}

// TestBatchTimeout: a Timeout around a Batch counts for the event that has waited longest. The
// others come again at once, without an attempt.
func TestBatchTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, tr := newFakeBroker(), newTrace()
		lease := leat.NewLease()
		b.deliver(lease, batchEvents(t, "a")...)
		var mu sync.Mutex
		var failures []string
		options := &leat.ConsumerOptions{
			Middleware: []leat.Middleware{
				middleware.Retry(&middleware.RetryOptions{MaxAttempts: 2, InitialDelay: time.Minute, NoJitter: true}), middleware.Timeout(time.Second),
			},
			Observer: observerFunc(func(o leat.Observation) {
				mu.Lock()
				defer mu.Unlock()
				if o.Kind == leat.ObservedOutcome && o.Err != nil {
					failures = append(failures, fmt.Sprint(o.Event.ID(), " ", o.Attempt, " ", errors.Is(o.Err, context.DeadlineExceeded)))
				}
			}),
		}
		var cause error
		o := &leat.BatchOptions{MaxEvents: 2, MaxWait: time.Minute}
		r := startBatch(t, b, o, options, onlyFirst(tr, func(ctx context.Context, _ []leat.Event) error {
			<-ctx.Done()
			cause = context.Cause(ctx)
			return ctx.Err()
		}))
		settle(100 * time.Millisecond)
		b.deliver(lease, batchEvents(t, "b")...)
		settle(10 * time.Minute)
		assert.Equal(t, []string{"100ms a b", "1.5s b", "1m1.5s a"}, tr.all())
		require.ErrorContains(t, cause, "timed out after 1s")
		assert.EqualValues(t, 1, r.consumer.Stats().Retried)
		assert.ElementsMatch(t, []string{"a 1 true", "b 1 false"}, failures)
		r.stopClean()
	})
}

// TestBatchTimeoutPoisonsNoOther: one event times out, and has no other attempt.
func TestBatchTimeoutPoisonsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, tr := newFakeBroker(), newTrace()
		lease := leat.NewLease()
		b.deliver(lease, batchEvents(t, "a")...)
		o := &leat.BatchOptions{MaxEvents: 2, MaxWait: 90 * time.Millisecond}
		r := startBatch(t, b, o, &leat.ConsumerOptions{
			Middleware: []leat.Middleware{middleware.Retry(&middleware.RetryOptions{MaxAttempts: 1}), middleware.Timeout(200 * time.Millisecond)},
			PoisonQueue: poisonFunc(func(_ context.Context, p leat.Poisoned) error {
				tr.at("poison %s", p.Event.ID())
				return nil
			}),
		}, onlyFirst(tr, untilEnd))
		settle(80 * time.Millisecond)
		b.deliver(lease, batchEvents(t, "b")...)
		settle(time.Minute)
		assert.Equal(t, []string{"80ms a b", "200ms poison a", "290ms b"}, tr.all())
		assert.Equal(t, []string{"a ack", "b ack"}, b.settlements())
		r.stopClean()
	})
}

// TestBatchStartsWithinATimeout: an event waits for half of its Timeout at most, whoever came
// first, and also when it is left behind by a batch that is full.
func TestBatchStartsWithinATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, tr := newFakeBroker(), newTrace()
		lease := leat.NewLease()
		b.deliver(lease, batchEvents(t, "a")...)
		hasty := func(next leat.Handler) leat.Handler {
			timeout := middleware.Timeout(time.Second)(next)
			return leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
				if e.ID() == "a" {
					return next.Handle(ctx, e)
				}
				return timeout.Handle(ctx, e)
			})
		}
		o := &leat.BatchOptions{MaxEvents: 3, MaxWait: time.Minute}
		r := startBatch(t, b, o, &leat.ConsumerOptions{Middleware: []leat.Middleware{hasty}}, func(_ context.Context, events []leat.Event) error {
			tr.at("%s", sortedIDs(events))
			return nil
		})
		settle(time.Second)
		b.deliver(lease, batchEvents(t, "b")...)
		settle(time.Second)
		b.deliver(lease, batchEvents(t, "c")...)
		settle(time.Second)
		b.deliver(lease, batchEvents(t, "d e f g")...)
		settle(time.Hour)
		all := tr.all()
		require.Len(t, all, 4)
		assert.Equal(t, []string{"1.5s a b", "2.5s c"}, all[:2])
		assert.Regexp(t, "^3s . . .$", all[2])
		assert.Regexp(t, "^3.5s .$", all[3])
		assert.Zero(t, r.consumer.Stats().Retried)
		r.stopClean()
	})
}

// TestBatchTimeoutBehindABatchThatRuns: an event that was never in a batch has no attempt.
func TestBatchTimeoutBehindABatchThatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, tr := newFakeBroker(), newTrace()
		lease := leat.NewLease()
		b.deliver(lease, batchEvents(t, "a")...)
		r := startBatch(t, b, &leat.BatchOptions{MaxWait: 10 * time.Millisecond}, &leat.ConsumerOptions{
			Concurrency: 1,
			Middleware:  []leat.Middleware{middleware.Retry(&middleware.RetryOptions{MaxAttempts: 1}), middleware.Timeout(time.Second)},
			PoisonQueue: poisonFunc(func(_ context.Context, p leat.Poisoned) error {
				tr.at("poison %s: %v", p.Event.ID(), p.Reason)
				return nil
			}),
		}, onlyFirst(tr, func(context.Context, []leat.Event) error {
			time.Sleep(10 * time.Second)
			return nil
		}))
		settle(time.Second)
		b.deliver(lease, batchEvents(t, "b")...)
		settle(time.Minute)
		all := tr.all()
		require.Len(t, all, 2)
		assert.Equal(t, "10ms a", all[0])
		assert.Regexp(t, "^10.*s b$", all[1])
		assert.ElementsMatch(t, []string{"a ack", "b ack"}, b.settlements(), "in any order, as they have no key")
		r.stopClean()
	})
}

// TestBatchTimeoutWhileItGathers: the event comes again without an attempt, and what is behind it
// in its key does not run before it.
func TestBatchTimeoutWhileItGathers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, tr := newFakeBroker(), newTrace()
		b.deliver(leat.NewLease(), batchEvents(t, "a1 a2 b1")...)
		var calls atomic.Int64
		first := func(next leat.Handler) leat.Handler {
			return leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
				if e.ID() == "a1" && calls.Add(1) == 1 {
					ctx, cancel := context.WithCancel(ctx) // without a deadline that the batch could see
					defer cancel()
					time.AfterFunc(time.Second, cancel)
					return next.Handle(ctx, e)
				}
				return next.Handle(ctx, e)
			})
		}
		options := &leat.ConsumerOptions{Middleware: []leat.Middleware{
			middleware.Retry(&middleware.RetryOptions{MaxAttempts: 2, InitialDelay: time.Second, NoJitter: true}), first,
		}}
		o := &leat.BatchOptions{SameKey: true, MaxWait: 10 * time.Second}
		r := startBatch(t, b, o, options, func(_ context.Context, events []leat.Event) error {
			tr.at("%s", ids(events))
			return nil
		})
		settle(time.Minute)
		require.Len(t, tr.all(), 1)
		assert.ElementsMatch(t, strings.Fields("10s b1 a1 a2"), strings.Fields(tr.all()[0]))
		assert.Zero(t, r.consumer.Stats().Retried)
		r.stopClean()
	})
}

// TestBatchIdempotent: an event that was handled before is in no batch, each of the others is
// marked by itself, and a mark that fails lets only its own event come again.
func TestBatchIdempotent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, tr := newFakeBroker(), newTrace()
		store := &batchStore{MemoryStore: middleware.NewMemoryStore(0, 0)}
		b.deliver(leat.NewLease(), batchEvents(t, "a1 b1 b2 c1")...)
		options := &leat.ConsumerOptions{Middleware: []leat.Middleware{middleware.Retry(nil), middleware.Idempotent(store, nil)}}
		o := &leat.BatchOptions{MaxEvents: 4, SameKey: true}
		r := startBatch(t, b, o, options, func(_ context.Context, events []leat.Event) error {
			tr.at("%s", sortedIDs(events))
			outcomes := make(leat.BatchErrors, len(events))
			for i, e := range events {
				if e.ID() == "c1" && len(events) == 4 {
					outcomes[i] = leat.RetryAfter(time.Minute, errBoom)
				}
			}
			return outcomes
		})
		settle(time.Hour)
		b.deliver(leat.NewLease(), batchEvents(t, "a1 b1 b2 c1")...)
		settle(time.Hour)
		// The mark of b1 failed once, so b2 was done too early.
		assert.Equal(t, []string{"0s a1 b1 b2 c1", "1.1s b2", "1m0.1s c1"}, tr.all())
		assert.EqualValues(t, 8, r.consumer.Stats().Handled)
		r.stopClean()
	})
}

// batchStore fails to mark b1 once.
type batchStore struct {
	*middleware.MemoryStore

	failed atomic.Bool
}

func (s *batchStore) Mark(ctx context.Context, key string) error {
	if strings.HasSuffix(key, "b1") && !s.failed.Swap(true) {
		return errBoom
	}
	return s.MemoryStore.Mark(ctx, key)
}

// TestBatchOfSuspectsHoldsOne: nothing runs with it, and it waits for nobody.
func TestBatchOfSuspectsHoldsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3)
		g.publish(batchEvents(t, "a1 b1 a2 c1")...)
		var mu sync.Mutex
		sizes := map[int]int{}
		o := g.o
		r := startHandler(t, newLife(g.broker, asSuspect), leat.Batch(&leat.BatchOptions{SameKey: true, MaxWait: time.Hour},
			func(_ context.Context, events []leat.Event) error {
				mu.Lock()
				defer mu.Unlock()
				sizes[len(events)]++
				return nil
			}), &o)
		settle(time.Minute)
		mu.Lock()
		assert.Equal(t, map[int]int{1: 4}, sizes)
		mu.Unlock()
		assert.EqualValues(t, 4, r.consumer.Stats().Handled)
		assert.Equal(t, leat.Health{}, r.consumer.Health())
		r.stopClean()
	})
}

// TestBatchOfSeveralConsumers: one Batch may serve them; their events do not meet.
func TestBatchOfSeveralConsumers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrace()
		h := leat.Batch(&leat.BatchOptions{MaxEvents: 2}, func(_ context.Context, events []leat.Event) error {
			tr.add("%s", sortedIDs(events))
			return nil
		})
		one, two := newFakeBroker(), newFakeBroker()
		one.deliver(leat.NewLease(), batchEvents(t, "a b c")...)
		two.deliver(leat.NewLease(), batchEvents(t, "x y z")...)
		r, s := startHandler(t, one, h, nil), startHandler(t, two, h, nil)
		settle(time.Minute)
		for _, line := range tr.all() {
			assert.Regexp(t, "^[abc ]+$|^[xyz ]+$", line)
		}
		assert.Len(t, tr.all(), 4)
		r.stopClean()
		s.stopClean()
	})
}

// TestBatchWhoseWayIsHidden: where the Consumer cannot see that the next event of the key goes to
// the same Batch, or a middleware decides otherwise, there is one event of each key.
func TestBatchWhoseWayIsHidden(t *testing.T) {
	for name, wrap := range map[string]func(batch, single leat.Handler) (leat.Handler, leat.Middleware){
		"in a function": func(batch, single leat.Handler) (leat.Handler, leat.Middleware) {
			return leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
				if strings.HasSuffix(e.ID(), "1") {
					return batch.Handle(ctx, e)
				}
				return single.Handle(ctx, e)
			}), nil
		},
		"with another type": func(batch, single leat.Handler) (leat.Handler, leat.Middleware) {
			router := leat.NewRouter(leat.Route{Type: "com.example.test", Handler: batch}, leat.Route{Type: "single", Handler: single})
			return router, func(next leat.Handler) leat.Handler {
				return leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
					if strings.HasSuffix(e.ID(), "1") {
						return next.Handle(ctx, e)
					}
					other, err := leat.NewEvent("single", &leat.EventOptions{ID: e.ID(), Source: e.Source(), Key: e.Key()})
					if err != nil {
						return err
					}
					return next.Handle(ctx, other)
				})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, tr := newFakeBroker(), newTrace()
				b.deliver(leat.NewLease(), batchEvents(t, "a1 a2 a3")...)
				batch := leat.Batch(&leat.BatchOptions{SameKey: true}, func(_ context.Context, events []leat.Event) error {
					tr.at("batch %s", ids(events))
					time.Sleep(time.Second)
					return nil
				})
				single := leat.HandlerFunc(func(_ context.Context, e leat.Event) error {
					tr.at("%s", e.ID())
					return nil
				})
				h, m := wrap(batch, single)
				options := &leat.ConsumerOptions{}
				if m != nil {
					options.Middleware = []leat.Middleware{m}
				}
				r := startHandler(t, b, h, options)
				settle(time.Minute)
				assert.Equal(t, []string{"100ms batch a1", "1.1s a2", "1.1s a3"}, tr.all())
				assert.Equal(t, []string{"a1 ack", "a2 ack", "a3 ack"}, b.settlements())
				assert.Zero(t, r.consumer.Stats().Retried)
				r.stopClean()
			})
		})
	}
}

func TestBatchIsRefused(t *testing.T) {
	fn := func(context.Context, []leat.Event) error { return nil }
	for name, c := range map[string]struct {
		h    leat.Handler
		o    *leat.ConsumerOptions
		want string
	}{
		"no function":       {leat.Batch(nil, nil), nil, "the function of the Batch is nil"},
		"a negative number": {leat.Batch(&leat.BatchOptions{MaxEvents: -1}, fn), nil, "BatchOptions.MaxEvents"},
		"a negative time":   {leat.Batch(&leat.BatchOptions{MaxWait: -1}, fn), nil, "BatchOptions.MaxWait"},
		"more than there is": {
			leat.Batch(&leat.BatchOptions{MaxEvents: 51}, fn), &leat.ConsumerOptions{MaxInFlight: 50},
			"a batch of BatchOptions.MaxEvents (51) is never full, because MaxInFlight is 50",
		},
		"in a Chain": {leat.Chain(leat.Batch(&leat.BatchOptions{MaxWait: -1}, fn)), nil, "BatchOptions.MaxWait"},
		"in a route": {
			leat.NewRouter(leat.Route{Type: "a", Handler: leat.Batch(&leat.BatchOptions{MaxWait: -1}, fn)}), nil, "BatchOptions.MaxWait",
		},
		"a typed one without a function": {leat.NewRouter(orderPlaced.Batch(nil, nil)), nil, "has no Handler"},
	} {
		t.Run(name, func(t *testing.T) {
			err := leat.Run(t.Context(), leat.NewConsumer(newFakeBroker(), testSub, c.h, c.o))
			require.ErrorContains(t, err, c.want)
			assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
			if strings.HasPrefix(c.want, "BatchOptions.MaxWait") && !strings.Contains(name, "route") {
				require.ErrorContains(t, c.h.Handle(t.Context(), event(t, "1", "")), c.want, "without Run")
			}
		})
	}
}

func TestDescribeShowsBatches(t *testing.T) {
	fn := func(context.Context, []leat.Event) error { return nil }
	typed := orderPlaced.Batch(&leat.BatchOptions{MaxEvents: 500}, func(context.Context, []leat.Event, []order) error { return nil })
	typed.Handler = leat.Chain(typed.Handler, middleware.Timeout(time.Second))
	p := leat.Describe([]*leat.Consumer{
		leat.NewConsumer(newFakeBroker(), testSub, leat.Batch(nil, fn), nil),
		leat.NewConsumer(newFakeBroker(), testSub, leat.NewRouter(typed, leat.RejectUnhandled()), nil),
		leat.NewConsumer(newFakeBroker(), testSub, leat.HandlerFunc(func(context.Context, leat.Event) error { return nil }), nil),
	})
	assert.Equal(t, 100, p.Consumes[0].Batch)
	assert.Nil(t, p.Consumes[0].Types)
	assert.Zero(t, p.Consumes[1].Batch)
	assert.Equal(t, []leat.TypeInfo{
		{Type: orderPlaced.Name, Topic: "orders", Data: reflect.TypeFor[order](), Batch: 500}, {Type: leat.AnyType},
	}, p.Consumes[1].Types)
	assert.Zero(t, p.Consumes[2].Batch)
}

func TestBatchErrorsSaysHowManyFailed(t *testing.T) {
	assert.EqualError(t, leat.BatchErrors{nil, errBoom, errors.New("other")}, "leat: batch: 2 of 3 events failed; the first: boom")
	assert.EqualError(t, leat.BatchErrors{nil}, "leat: batch: none of 1 events failed")
	assert.EqualError(t, leat.BatchErrors(nil), "leat: batch: none of 0 events failed")
}
