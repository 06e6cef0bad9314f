package eventtest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestRecorderSeesEachEventOfABatch: attempts, retries and poisonings are those of single events. A
// publish of the function is caused by none of them.
func TestRecorderSeesEachEventOfABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := eventtest.NewRecorder(t, &eventtest.RecorderOptions{Topics: []string{"payments"}})
		p := leat.NewProducer(rec.Broker(), &leat.ProducerOptions{Source: "/billing"})
		tries := 0
		batch := leat.Batch(&leat.BatchOptions{MaxEvents: 3, MaxWait: time.Second}, func(ctx context.Context, events []leat.Event) error {
			tries++
			outcomes := make(leat.BatchErrors, len(events))
			for i, e := range events {
				switch {
				case e.ID() == "rejected":
					outcomes[i] = leat.Reject(errDeclined)
				case e.ID() == "retried" && tries == 1:
					outcomes[i] = leat.RetryAfter(time.Minute, errDeclined)
				}
			}
			if err := p.Publish(ctx, "payments", newEvent(t, "paid", fmt.Sprint("batch-", tries), "")); err != nil {
				return err
			}
			return outcomes
		})
		serveHandler(t, rec, "orders", "billing", batch, &leat.ConsumerOptions{
			Observer: rec, PoisonQueue: middleware.PoisonQueue(p, nil),
		})
		publishOn(t, rec, "orders",
			newEvent(t, "order", "fine", "a"), newEvent(t, "order", "retried", "b"), newEvent(t, "order", "rejected", "c"))
		rec.Settled(t)

		assert.Equal(t, 2, rec.Handled("billing").Len())
		retried := rec.Retried("billing").One(t)
		assert.Equal(t, "retried", retried.Event.ID())
		assert.Equal(t, time.Minute, retried.Delay)
		poisoned := rec.Poisoned("billing").One(t)
		assert.Equal(t, "rejected", poisoned.Event.ID())
		assert.ErrorIs(t, poisoned.Err, errDeclined)
		paid := rec.Published().Topic("payments")
		require.Equal(t, 2, paid.Len())
		for _, r := range paid {
			assert.Zero(t, r.Cause, "of several events none is the cause")
		}
		assert.Equal(t, strings.TrimLeft(`
0s          orders: order fine, key a
              billing
0s              attempt 1: handled
0s          orders: order retried, key b
              billing
0s              attempt 1: failed, again in 1m0s: retry after 1m0s: the bank does not answer
1m0s            attempt 2: handled, after 1s
0s          orders: order rejected, key c
              billing
0s              attempt 1: rejected: the bank does not answer
0s                orders.billing.poison: order rejected, key c
0s              poisoned: the bank does not answer
0s          payments: paid batch-1
1m1s        payments: paid batch-2
`, "\n"), rec.Timeline())
	})
}

// exploreBatch wires a service whose handler is a Batch in the middleware of every service. It
// returns whether a batch had more than two events.
func exploreBatch(t *testing.T, x *eventtest.Exploration, sameKey bool, fn leat.HandlerFunc) (several *atomic.Bool) {
	t.Helper()
	o := &leat.BatchOptions{MaxEvents: 6, MaxWait: 10 * time.Millisecond, SameKey: sameKey}
	several = &atomic.Bool{}
	x.Service("billing", func(ctx context.Context, b leat.Broker) error {
		p := leat.NewProducer(b, &leat.ProducerOptions{Source: "/billing"})
		batch := leat.Batch(o, func(ctx context.Context, events []leat.Event) error {
			if len(events) > 2 {
				several.Store(true)
			}
			outcomes := make(leat.BatchErrors, len(events))
			failed := map[string]bool{}
			for i, e := range events {
				if !failed[e.Key()] {
					outcomes[i] = fn(ctx, e)
					failed[e.Key()] = outcomes[i] != nil
				}
			}
			return outcomes
		})
		return leat.Run(ctx, leat.NewConsumer(b, leat.Subscription{Topic: "orders", Group: "billing"}, batch, &leat.ConsumerOptions{
			Middleware: []leat.Middleware{middleware.Retry(nil)}, PoisonQueue: middleware.PoisonQueue(p, nil),
		}))
	})
	publishOrders(t, x, 12)
	x.NoLoss()
	return several
}

// TestExplorePassesABatch: crashes, lost leases and late deliveries harm no batch of a handler that
// is idempotent for each event, and its order holds.
func TestExplorePassesABatch(t *testing.T) {
	for _, sameKey := range []bool{false, true} {
		t.Run(fmt.Sprintf("SameKey=%v", sameKey), func(t *testing.T) {
			several := false
			eventtest.Explore(t, 500, func(x *eventtest.Exploration) {
				attempts := &counter{n: map[string]int{}}
				seen := exploreBatch(t, x, sameKey, func(ctx context.Context, e leat.Event) error {
					if attempts.add(e.ID()) == 1 && len(e.ID())%2 == 0 {
						return errors.New("the first attempt fails")
					}
					x.EffectOnce(ctx, e, "charge")
					return nil
				})
				x.ExactlyOnce("charge", func(leat.Event) bool { return true })
				x.OrderPerKey("charge")
				x.NothingPoisoned(nil)
				x.Invariant("count", func() error { several = several || seen.Load(); return nil })
			})
			assert.True(t, several, "no batch had more than two events")
		})
	}
}

// TestFindsMissingIdempotencyInABatch: what a crash in the middle of a batch has done already
// happens again.
func TestFindsMissingIdempotencyInABatch(t *testing.T) {
	found(t, eventtest.Search(t, 500, func(x *eventtest.Exploration) {
		exploreBatch(t, x, true, func(ctx context.Context, e leat.Event) error {
			x.Effect(ctx, e, "charge")
			return nil
		})
		x.ExactlyOnce("charge", func(leat.Event) bool { return true })
	}))
}
