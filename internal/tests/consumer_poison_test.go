package leat_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRejectedEventIsPoisonedBeforeItIsAcked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		var got []leat.Poisoned
		r := start(t, b, func(_ context.Context, e leat.Event) error {
			if e.ID() == "bad" {
				return fmt.Errorf("wrapped: %w", leat.Reject(errBoom))
			}
			return nil
		}, &leat.ConsumerOptions{PoisonQueue: poisonFunc(func(_ context.Context, p leat.Poisoned) error {
			assert.Empty(t, b.settlements(), "confirmed before the ack")
			got = append(got, p)
			return nil
		})})
		lease := leat.NewLease()
		b.deliverRaw(leat.Delivery{
			Event: event(t, "bad", "k"), Lease: lease, Deliveries: 4, Position: leat.Position{Partition: 3, Offset: 42},
		})
		b.deliver(lease, event(t, "good", "k"))
		synctest.Wait()
		require.Len(t, got, 1)
		p := got[0]
		assert.Equal(t, "bad", p.Event.ID())
		require.ErrorIs(t, p.Reason, errBoom)
		assert.Equal(t, "orders", p.Info.Topic)
		assert.Equal(t, "billing", p.Info.Group)
		assert.Equal(t, 1, p.Info.Attempt)
		assert.Equal(t, 4, p.Info.Deliveries)
		assert.Equal(t, "3/42", p.Info.Position.String())
		assert.Equal(t, time.Now(), p.At)
		assert.Equal(t, []string{" ack", "good ack"}, b.settlements())
		assert.EqualValues(t, 1, r.consumer.Stats().Poisoned)
		assert.EqualValues(t, 1, r.consumer.Stats().Handled)
		r.stopClean()
	})
}

func TestWhileThePoisonQueueIsDownNothingIsAckedAndTheHandlerIsNotRunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		var handled, tries, tryingNow, mostTrying atomic.Int64
		var down atomic.Bool
		down.Store(true)
		tr := newTrace()
		r := start(t, b, func(_ context.Context, e leat.Event) error {
			if e.Key() == "good" {
				tr.at("good")
				return nil
			}
			if e.ID() == "after" {
				tr.at("after")
				return nil
			}
			handled.Add(1)
			return leat.Reject(errBoom)
		}, &leat.ConsumerOptions{Concurrency: 4, PoisonQueue: poisonFunc(func(ctx context.Context, _ leat.Poisoned) error {
			tries.Add(1)
			if n := tryingNow.Add(1); n > mostTrying.Load() {
				mostTrying.Store(n)
			}
			defer tryingNow.Add(-1)
			if down.Load() {
				<-ctx.Done() // as a broker that does not answer
				return ctx.Err()
			}
			return nil
		})})
		lease := leat.NewLease()
		for i := range 20 {
			b.deliver(lease, event(t, fmt.Sprint(i), fmt.Sprintf("k%d", i)))
		}
		b.deliver(lease, event(t, "after", "k0"))
		time.Sleep(30 * time.Second)
		mostTrying.Store(0)
		b.deliver(lease, event(t, "fine", "good"))
		time.Sleep(10 * time.Minute)
		assert.Equal(t, []string{"30s good"}, tr.all(), "other keys go on, the poisoned event's own key waits")
		assert.Equal(t, []string{"fine ack"}, b.settlements())
		assert.EqualValues(t, 20, handled.Load())
		assert.EqualValues(t, 1, mostTrying.Load(), "one probe at a time")
		assert.Less(t, tries.Load(), int64(100))
		h := r.consumer.Health()
		assert.Equal(t, leat.Degraded, h.State)
		require.Len(t, h.Problems, 1)
		assert.Equal(t, leat.CodePoisonQueue, leat.CodeOf(h.Problems[0]))
		down.Store(false)
		time.Sleep(2 * time.Minute)
		assert.Len(t, b.settlements(), 22)
		assert.EqualValues(t, 20, handled.Load())
		assert.EqualValues(t, 20, r.consumer.Stats().Poisoned)
		assert.Equal(t, leat.Healthy, r.consumer.Health().State)
		r.stopClean()
	})
}

func TestMalformedDeliveryGoesStraightToThePoisonQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		var got []leat.Poisoned
		r := start(t, b, func(context.Context, leat.Event) error { return nil },
			&leat.ConsumerOptions{PoisonQueue: poisonFunc(func(_ context.Context, p leat.Poisoned) error {
				got = append(got, p)
				return nil
			})})
		lease := leat.NewLease()
		m := &leat.Malformed{Body: []byte("no event"), Reason: errors.New("no id")}
		b.deliverRaw(leat.Delivery{Malformed: m, Lease: lease, Position: leat.Position{ID: "m"}})
		b.deliver(lease, event(t, "1", "k"))
		synctest.Wait()
		require.Len(t, got, 1)
		assert.Equal(t, m, got[0].Malformed)
		assert.Equal(t, m.Reason, got[0].Reason)
		assert.Zero(t, got[0].Info.Attempt)
		assert.ElementsMatch(t, []string{"m ack", "1 ack"}, b.settlements())
		r.stopClean()
	})
}

func TestRejectWithoutPoisonQueue(t *testing.T) {
	t.Run("the broker's own dead letters where it has them", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newFakeBroker()
			b.caps.NativeReject = true
			r := start(t, b, func(context.Context, leat.Event) error { return leat.Reject(errBoom) }, nil)
			b.deliver(leat.NewLease(), event(t, "1", "k"))
			synctest.Wait()
			assert.Equal(t, []string{"1 reject"}, b.settlements())
			r.stopClean()
		})
	})
	t.Run("else it stays and health says so", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newFakeBroker()
			var calls atomic.Int64
			r := start(t, b, func(context.Context, leat.Event) error {
				calls.Add(1)
				return leat.Reject(errBoom)
			}, nil)
			b.deliver(leat.NewLease(), event(t, "1", "k"), event(t, "2", "k"))
			time.Sleep(time.Hour)
			assert.EqualValues(t, 1, calls.Load())
			assert.Equal(t, 1, r.consumer.Stats().Parked)
			h := r.consumer.Health()
			assert.Equal(t, leat.Degraded, h.State)
			require.Len(t, h.Problems, 1)
			assert.Equal(t, leat.CodePoisonQueue, leat.CodeOf(h.Problems[0]))
			r.stopClean()
			assert.Equal(t, []string{"1 back", "2 back"}, b.settlements())
		})
	})
}

func TestPoisonQueueThatPanicsOrLeavesIsAFailureOfThePoisonQueue(t *testing.T) {
	for _, how := range []string{"panic", "goexit"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newFakeBroker()
				var calls, tries atomic.Int64
				r := start(t, b, func(context.Context, leat.Event) error {
					calls.Add(1)
					return leat.Reject(errBoom)
				}, &leat.ConsumerOptions{PoisonQueue: poisonFunc(func(context.Context, leat.Poisoned) error {
					if tries.Add(1) < 3 {
						crash(how)
					}
					return nil
				})})
				b.deliver(leat.NewLease(), event(t, "1", "k"))
				time.Sleep(time.Minute)
				assert.EqualValues(t, 1, calls.Load())
				assert.EqualValues(t, 3, tries.Load())
				assert.Equal(t, []string{"1 ack"}, b.settlements())
				r.stopClean()
			})
		})
	}
}

func TestPoisonVerdictIsCarriedOutDuringTheDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		r := start(t, b, func(context.Context, leat.Event) error {
			time.Sleep(time.Second)
			return leat.Reject(errBoom)
		}, &leat.ConsumerOptions{PoisonQueue: poisonFunc(func(ctx context.Context, _ leat.Poisoned) error {
			time.Sleep(time.Second)
			return ctx.Err()
		})})
		b.deliver(leat.NewLease(), event(t, "1", "k"), event(t, "2", "k"))
		synctest.Wait()
		r.stopClean()
		assert.Equal(t, []string{"2 back", "1 ack"}, b.settlements())
		assert.EqualValues(t, 1, r.consumer.Stats().Poisoned)
	})
}
