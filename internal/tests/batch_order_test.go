package leat_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// onEvent is a middleware that does do for one event.
func onEvent(id string, do func(ctx context.Context, e leat.Event, next leat.Handler) error) leat.Middleware {
	return func(next leat.Handler) leat.Handler {
		return leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
			if e.ID() == id {
				return do(ctx, e, next)
			}
			return next.Handle(ctx, e)
		})
	}
}

// failing returns a batch function that fails with the given errors, and then succeeds.
func failing(errs ...error) batchFunc {
	var mu sync.Mutex
	return func(context.Context, []leat.Event) error {
		mu.Lock()
		defer mu.Unlock()
		if len(errs) == 0 {
			return nil
		}
		err := errs[0]
		errs = errs[1:]
		return err
	}
}

// TestBatchPoisonsAKeyInOrder: what a middleware rejects does not pass the event ahead of it.
func TestBatchPoisonsAKeyInOrder(t *testing.T) {
	for _, same := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b, tr := newFakeBroker(), newTrace()
			b.deliver(leat.NewLease(), batchEvents(t, "a1 a2")...)
			reject := onEvent("a2", func(context.Context, leat.Event, leat.Handler) error { return leat.Reject(errBoom) })
			r := startBatch(t, b, &leat.BatchOptions{SameKey: same}, &leat.ConsumerOptions{
				Middleware: []leat.Middleware{reject}, PoisonQueue: poisonTrace(tr),
			}, failing(errBoom, errBoom, leat.Reject(errBoom)))
			settle(time.Hour)
			assert.Equal(t, []string{"poison a1", "poison a2"}, tr.all(), "SameKey %v", same)
			assert.Equal(t, []string{"a1 ack", "a2 ack"}, b.settlements())
			r.stopClean()
		})
	}
}

func poisonTrace(tr *trace) poisonFunc {
	return func(_ context.Context, p leat.Poisoned) error {
		tr.add("poison %s", p.Event.ID())
		return nil
	}
}

// TestBatchPoisonsWhatItCannotDecodeInOrder: the same for data that does not fit.
func TestBatchPoisonsWhatItCannotDecodeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, tr := newFakeBroker(), newTrace()
		typ := leat.EventType[struct{ N int }]{Name: "com.example.test", Topic: "orders"}
		b.deliver(leat.NewLease(), jsonEvent(t, "a1", `{"n":1}`), jsonEvent(t, "a2", "oh no"))
		route := typ.Batch(&leat.BatchOptions{SameKey: true}, func(context.Context, []leat.Event, []struct{ N int }) error {
			return leat.Reject(errBoom)
		})
		r := startHandler(t, b, leat.NewRouter(route), &leat.ConsumerOptions{PoisonQueue: poisonTrace(tr)})
		settle(time.Hour)
		assert.Equal(t, []string{"poison a1", "poison a2"}, tr.all())
		r.stopClean()
	})
}

func jsonEvent(t *testing.T, id, data string) leat.Event {
	t.Helper()
	e, err := leat.NewEvent("com.example.test", &leat.EventOptions{
		ID: id, Source: "/test", Key: "a", Data: []byte(data), DataContentType: "application/json",
	})
	require.NoError(t, err)
	return e
}

// TestBatchAcksInOrderWhatAMiddlewareAnswers: an event that a middleware keeps from the Batch is
// acked behind the one ahead of it, and has one attempt.
func TestBatchAcksInOrderWhatAMiddlewareAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		b.deliver(leat.NewLease(), batchEvents(t, "a1 a2 a3")...)
		attempts := 0
		drop := onEvent("a2", func(ctx context.Context, _ leat.Event, _ leat.Handler) error {
			info, _ := leat.InfoFrom(ctx)
			attempts = info.Attempt
			return nil
		})
		r := startBatch(t, b, &leat.BatchOptions{SameKey: true},
			&leat.ConsumerOptions{Middleware: []leat.Middleware{drop}}, failing(errBoom, errBoom))
		settle(time.Hour)
		assert.Equal(t, []string{"a1 ack", "a2 ack", "a3 ack"}, b.settlements())
		assert.Equal(t, 1, attempts)
		r.stopClean()
	})
}

// TestBatchOfAMiddlewareThatDoesNotWait: the attempt ends while its event is in a batch. With -race
// it shows that nobody looks at the item then.
func TestBatchOfAMiddlewareThatDoesNotWait(t *testing.T) {
	const events = 1000
	b := newFakeBroker()
	for i := range events {
		b.deliver(leat.NewLease(), event(t, fmt.Sprint(i), fmt.Sprint("k", i)))
	}
	var calls sync.WaitGroup
	var handled atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	rude := func(next leat.Handler) leat.Handler {
		return leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
			if info, _ := leat.InfoFrom(ctx); info.Attempt > 1 {
				if handled.Add(1) == events {
					cancel()
				}
				return nil
			}
			calls.Go(func() { _ = next.Handle(ctx, e) })
			return errBoom
		})
	}
	h := leat.Batch(&leat.BatchOptions{MaxEvents: 1}, func(context.Context, []leat.Event) error { return nil })
	c := leat.NewConsumer(b, testSub, h, &leat.ConsumerOptions{Middleware: []leat.Middleware{rude}, Concurrency: 64})
	require.NoError(t, leat.Run(ctx, c))
	calls.Wait()
	assert.EqualValues(t, events, handled.Load())
}

// TestBatchOfAMiddlewareThatCallsLate: with another event, when the attempt is over.
func TestBatchOfAMiddlewareThatCallsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		b.deliver(leat.NewLease(), batchEvents(t, "a1 a2")...)
		other, err := leat.NewEvent("com.example.other", &leat.EventOptions{ID: "x", Source: "/test"})
		require.NoError(t, err)
		late := make(chan error, 8)
		rude := onEvent("a2", func(ctx context.Context, _ leat.Event, next leat.Handler) error {
			go func() {
				time.Sleep(time.Millisecond)
				late <- next.Handle(ctx, other)
			}()
			return nil
		})
		h := leat.Batch(&leat.BatchOptions{SameKey: true}, func(context.Context, []leat.Event) error { return nil })
		r := startHandler(t, b, leat.NewRouter(leat.Route{Type: "com.example.test", Handler: h}),
			&leat.ConsumerOptions{Middleware: []leat.Middleware{rude}})
		settle(time.Hour)
		assert.True(t, leat.IsPostponed(<-late))
		assert.Equal(t, []string{"a1 ack", "a2 ack"}, b.settlements())
		r.stopClean()
	})
}

// TestBatchStartsWhenTheConsumerPauses: with what it has gathered.
func TestBatchStartsWhenTheConsumerPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, tr := newFakeBroker(), newTrace()
		b.deliver(leat.NewLease(), batchEvents(t, "a b")...)
		r := startBatch(t, b, &leat.BatchOptions{MaxWait: time.Hour}, nil, func(_ context.Context, events []leat.Event) error {
			tr.at("%s", sortedIDs(events))
			return nil
		})
		settle(time.Second)
		r.consumer.Pause()
		settle(time.Minute)
		assert.Equal(t, []string{"1s a b"}, tr.all())
		r.stopClean()
	})
}
