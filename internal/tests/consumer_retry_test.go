package leat_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestErrorIsRetriedForEverWithCappedBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		var calls []time.Time
		r := start(t, b, func(context.Context, leat.Event) error {
			calls = append(calls, time.Now())
			return errBoom
		}, nil)
		b.deliver(leat.NewLease(), event(t, "1", "k"))
		time.Sleep(time.Hour)
		h := r.consumer.Health()
		assert.Equal(t, leat.Degraded, h.State)
		require.Len(t, h.Problems, 1)
		assert.Equal(t, leat.CodeHandler, leat.CodeOf(h.Problems[0]))
		r.stopClean()
		require.Greater(t, len(calls), 3600/30, "it stopped retrying")
		require.Less(t, len(calls), 300, "it retries too often")
		for i := 1; i < len(calls); i++ {
			gap := calls[i].Sub(calls[i-1])
			require.LessOrEqual(t, gap, 30*time.Second)
			require.GreaterOrEqual(t, gap, min(50*time.Millisecond<<min(i-1, 20), 15*time.Second))
		}
		assert.Equal(t, []string{"1 back"}, b.settlements())
	})
}

func TestRetryAfterIsExactAndCappedByTheLongestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		b.caps.LongestHold = time.Hour
		tr := newTrace()
		r := start(t, b, func(ctx context.Context, _ leat.Event) error {
			info, ok := leat.InfoFrom(ctx)
			assert.True(t, ok)
			tr.at("attempt %d, first %v ago", info.Attempt, time.Since(info.FirstAttempt))
			switch info.Attempt {
			case 1:
				return leat.RetryAfter(90*time.Second, errBoom)
			case 2:
				return leat.RetryAfter(10*time.Hour, errBoom)
			}
			return nil
		}, nil)
		b.deliver(leat.NewLease(), event(t, "1", "k"))
		time.Sleep(2 * time.Hour)
		assert.Equal(t, []string{
			"0s attempt 1, first 0s ago", "1m30s attempt 2, first 1m30s ago", "1h1m30s attempt 3, first 1h1m30s ago",
		}, tr.all())
		r.stopClean()
	})
}

func TestLongDelayWithoutKeyIsLeftToABrokerThatCanDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		b.caps.LongestDelay = time.Hour
		lease := leat.NewLease()
		tr := newTrace()
		r := start(t, b, func(ctx context.Context, e leat.Event) error {
			info, _ := leat.InfoFrom(ctx)
			tr.add("%s attempt %d", e.ID(), info.Attempt)
			if info.Attempt == 1 {
				return leat.RetryAfter(10*time.Minute, errBoom)
			}
			return nil
		}, nil)
		b.deliver(lease, event(t, "free", ""), event(t, "keyed", "k"))
		synctest.Wait()
		require.Equal(t, []string{"free back"}, b.settlements())
		assert.Equal(t, 10*time.Minute, b.settled[0].delay)
		assert.Equal(t, 1, r.consumer.Stats().Parked, "the keyed event waits in the client, for its order")

		again := event(t, "free", "")
		b.deliverRaw(leat.Delivery{Event: again, Lease: lease, Deliveries: 2, Position: leat.Position{ID: "free"}})
		synctest.Wait()
		assert.Contains(t, tr.all(), "free attempt 2", "the redelivery goes on counting attempts")
		r.stopClean()
	})
}

func TestPauseStopsEverythingAndCostsNoAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		lease := leat.NewLease()
		tr := newTrace()
		down := true
		r := start(t, b, func(ctx context.Context, e leat.Event) error {
			info, _ := leat.InfoFrom(ctx)
			tr.at("%s attempt %d", e.ID(), info.Attempt)
			if down {
				down = false
				return leat.Pause(time.Minute, errBoom)
			}
			return nil
		}, &leat.ConsumerOptions{Concurrency: 1})
		b.deliver(lease, event(t, "1", "a"))
		synctest.Wait()
		b.deliver(lease, event(t, "2", "b"))
		time.Sleep(30 * time.Second)
		assert.Equal(t, leat.Paused, r.consumer.Health().State)
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"0s 1 attempt 1", "1m0s 1 attempt 1", "1m0s 2 attempt 1"}, tr.all())
		assert.Equal(t, leat.Healthy, r.consumer.Health().State)
		assert.Zero(t, r.consumer.Stats().Retried)
		r.stopClean()
	})
}

func TestPauseAndResumeByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		lease := leat.NewLease()
		tr := newTrace()
		r := start(t, b, func(_ context.Context, e leat.Event) error {
			tr.at("%s", e.ID())
			return nil
		}, nil)
		r.consumer.Pause()
		time.Sleep(time.Second)
		b.deliver(lease, event(t, "1", ""), event(t, "2", "k"))
		time.Sleep(time.Hour)
		assert.Empty(t, tr.all())
		h := r.consumer.Health()
		assert.Equal(t, leat.Paused, h.State, "%v", h.Problems)
		r.consumer.Resume()
		synctest.Wait()
		assert.ElementsMatch(t, []string{"1h0m1s 1", "1h0m1s 2"}, tr.all())
		r.stopClean()
	})
}

func TestPanicAndGoexitAreRetriedAsErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		lease := leat.NewLease()
		tr := newTrace()
		r := start(t, b, func(ctx context.Context, e leat.Event) error {
			info, _ := leat.InfoFrom(ctx)
			tr.add("%s attempt %d", e.ID(), info.Attempt)
			if info.Attempt == 1 {
				crash(e.ID())
			}
			return nil
		}, &leat.ConsumerOptions{Concurrency: 1})
		b.deliver(lease, event(t, "panic", ""), event(t, "goexit", ""))
		time.Sleep(time.Minute)
		assert.ElementsMatch(t, []string{"panic attempt 1", "goexit attempt 1", "panic attempt 2", "goexit attempt 2"}, tr.all())
		r.stopClean()
		assert.ElementsMatch(t, []string{"panic ack", "goexit ack"}, b.settlements())
	})
}
