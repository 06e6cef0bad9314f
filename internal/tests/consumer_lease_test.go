package leat_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLostLeaseEndsTheHandlersContextAndDropsItsOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		lease, next := leat.NewLease(), leat.NewLease()
		tr := newTrace()
		r := start(t, b, func(ctx context.Context, e leat.Event) error {
			info, _ := leat.InfoFrom(ctx)
			tr.at("%s attempt %d begins", e.ID(), info.Attempt)
			if info.Deliveries == 0 && e.ID() == "1" {
				<-ctx.Done()
				tr.at("ended: %t", errors.Is(context.Cause(ctx), leat.ErrLeaseLost))
				time.Sleep(10 * time.Second) // it ignores that for a while
				return nil
			}
			return nil
		}, nil)
		b.deliver(lease, event(t, "1", "k"), event(t, "2", "k"), event(t, "3", "other"))
		synctest.Wait()
		time.Sleep(time.Second)
		lease.End(errors.New("rebalanced"))
		// Both come again on a new lease; they wait for the old handler, because they have its key.
		for _, id := range []string{"1", "2"} {
			b.deliverRaw(leat.Delivery{Event: event(t, id, "k"), Lease: next, Deliveries: 2, Position: leat.Position{ID: id + "'"}})
		}
		time.Sleep(time.Minute)
		assert.Equal(t, []string{
			"0s 1 attempt 1 begins", "0s 3 attempt 1 begins", "1s ended: true", "11s 1 attempt 1 begins", "11s 2 attempt 1 begins",
		}, sortedByTime(tr.all()))
		assert.Equal(t, []string{"3 ack", "1' ack", "2' ack"}, b.settlements(), "nothing is settled on the lost lease")
		s := r.consumer.Stats()
		assert.EqualValues(t, 2, s.LeaseLost)
		assert.EqualValues(t, 3, s.Handled)
		r.stopClean()
	})
}

// sortedByTime puts the two lines of time 0 into a fixed order; they come from different handlers.
func sortedByTime(lines []string) []string {
	if len(lines) > 1 && lines[0] > lines[1] {
		lines[0], lines[1] = lines[1], lines[0]
	}
	return lines
}

func TestDrainedLeaseStopsItsDispatchAndIsReleasedWhenNothingRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		draining, staying := leat.NewLease(), leat.NewLease()
		tr := newTrace()
		r := start(t, b, func(ctx context.Context, e leat.Event) error {
			if e.ID() == "parked" {
				return leat.RetryAfter(time.Hour, errBoom)
			}
			time.Sleep(2 * time.Second)
			tr.at("%s done, context alive: %t", e.ID(), ctx.Err() == nil)
			return nil
		}, &leat.ConsumerOptions{Concurrency: 2})
		b.deliver(draining, event(t, "parked", "p"))
		synctest.Wait()
		b.deliver(draining, event(t, "1", "a"), event(t, "2", "a"))
		b.deliver(staying, event(t, "3", "b"), event(t, "4", "b"))
		synctest.Wait()
		time.Sleep(time.Second)
		draining.Drain(func() {
			tr.at("released")
			draining.End(nil)
		})
		b.deliver(draining, event(t, "5", "c")) // it was on its way already
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"2s 1 done", "2s 3 done", "2s released", "4s 4 done"}, sortedPairs(tr.all()))
		assert.ElementsMatch(t, []string{"parked back", "2 back", "5 back", "1 ack", "3 ack", "4 ack"}, b.settlements())
		r.stopClean()
	})
}

// sortedPairs drops what is the same in all lines and orders the first three, which happen at one
// moment.
func sortedPairs(lines []string) []string {
	out := []string{}
	for _, l := range lines {
		if cut, ok := cutSuffix(l, ", context alive: true"); ok {
			l = cut
		}
		out = append(out, l)
	}
	for i := range min(3, len(out)) {
		for j := i + 1; j < min(3, len(out)); j++ {
			if out[j] < out[i] {
				out[i], out[j] = out[j], out[i]
			}
		}
	}
	return out
}

func cutSuffix(s, suffix string) (string, bool) {
	if len(s) > len(suffix) && s[len(s)-len(suffix):] == suffix {
		return s[:len(s)-len(suffix)], true
	}
	return s, false
}

func TestLeaseThatIsDrainedOrEndedBeforeItIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		drained, ended := leat.NewLease(), leat.NewLease()
		released := 0
		drained.Drain(func() { released++ })
		drained.Drain(func() { released++ })
		ended.End(errors.New("gone"))
		ended.End(nil)
		r := start(t, b, func(context.Context, leat.Event) error {
			t.Error("no event of these leases may be handled")
			return nil
		}, nil)
		b.deliver(drained, event(t, "1", "a"))
		b.deliver(ended, event(t, "2", "b"))
		synctest.Wait()
		assert.Equal(t, []string{"1 back"}, b.settlements())
		assert.Equal(t, 1, released)
		assert.True(t, ended.Ended())
		assert.True(t, drained.Draining())
		assert.False(t, drained.Ended())
		r.stopClean()
	})
}

func TestAttemptsSurviveALostLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		tr := newTrace()
		r := start(t, b, func(ctx context.Context, _ leat.Event) error {
			info, _ := leat.InfoFrom(ctx)
			tr.at("attempt %d, first %v ago, delivery %d", info.Attempt, time.Since(info.FirstAttempt), info.Deliveries)
			if info.Attempt < 3 {
				return leat.RetryAfter(10*time.Second, errBoom)
			}
			return nil
		}, nil)
		for n := range 3 {
			lease := leat.NewLease()
			b.deliverRaw(leat.Delivery{Event: event(t, "1", "k"), Lease: lease, Deliveries: n + 1, Position: leat.Position{ID: "1"}})
			time.Sleep(time.Second)
			lease.End(errors.New("channel recycled"))
		}
		assert.Equal(t, []string{
			"0s attempt 1, first 0s ago, delivery 1", "1s attempt 2, first 1s ago, delivery 2", "2s attempt 3, first 2s ago, delivery 3",
		}, tr.all())
		assert.Equal(t, []string{"1 ack"}, b.settlements())
		// It is settled: an event with that id is new again.
		b.deliverRaw(leat.Delivery{Event: event(t, "1", "k"), Lease: leat.NewLease(), Deliveries: 2})
		synctest.Wait()
		require.Len(t, tr.all(), 4)
		assert.Contains(t, tr.all()[3], "attempt 1, first 0s ago")
		r.stopClean()
	})
}

func TestDrainOfALeaseOnAWatermarkStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		b.caps.Watermark = true
		lease := leat.NewLease()
		r := start(t, b, func(ctx context.Context, _ leat.Event) error {
			time.Sleep(time.Second)
			return nil
		}, &leat.ConsumerOptions{Concurrency: 2})
		b.deliver(lease, event(t, "a1", "a"), event(t, "a2", "a"), event(t, "b1", "b"), event(t, "b2", "b"))
		synctest.Wait()
		began := time.Now()
		released := make(chan time.Duration, 1)
		lease.Drain(func() { released <- time.Since(began) })
		assert.Equal(t, 2*time.Second, <-released, "a2 lies below b1, which had started, and is run first")
		assert.ElementsMatch(t, []string{"b2 back", "a1 ack", "b1 ack", "a2 ack"}, b.settlements())
		r.stopClean()
	})
}
