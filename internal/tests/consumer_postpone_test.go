package leat_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An event that is put off has not failed: however often that happens, no attempt counts and
// nothing is poisoned. Its key waits, other keys do not, and no handler is held.
func TestPostponeHoldsOneKeyAndCountsNoAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		tr := newTrace()
		turn := time.Now().Add(time.Hour)
		r := start(t, b, func(ctx context.Context, e leat.Event) error {
			info, _ := leat.InfoFrom(ctx)
			assert.Equal(t, 1, info.Attempt)
			assert.Zero(t, time.Since(info.FirstAttempt), "the time of waiting is not the event's")
			if e.ID() == "1" && time.Now().Before(turn) {
				return fmt.Errorf("not yet: %w", leat.Postpone(time.Minute, errBoom))
			}
			tr.at("%s", e.ID())
			return nil
		}, &leat.ConsumerOptions{
			Concurrency: 1,
			Middleware: []leat.Middleware{middleware.Retry(&middleware.RetryOptions{
				MaxAttempts: 2, MaxElapsed: time.Minute, If: func(error) bool { return false },
			})},
			PoisonQueue: poisonFunc(func(context.Context, leat.Poisoned) error {
				assert.Fail(t, "poisoned")
				return nil
			}),
		})
		b.deliver(leat.NewLease(), event(t, "1", "k"), event(t, "2", "k"), event(t, "other", "o"), event(t, "free", ""))
		time.Sleep(30*time.Minute + 30*time.Second)
		assert.Equal(t, 1, r.consumer.Stats().Parked)
		assert.Zero(t, r.consumer.Stats().Retried)
		assert.Equal(t, leat.Health{}, r.consumer.Health(), "an event whose turn has not come is no fault")
		time.Sleep(time.Hour)
		assert.Equal(t, []string{"0s other", "0s free", "1h0m0s 1", "1h0m0s 2"}, tr.all())
		r.stopClean()
	})
}

// The attempts before count on, with the time that they took and no more.
func TestPostponeBetweenAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		tr := newTrace()
		outcomes := []error{
			leat.RetryAfter(time.Second, errBoom), leat.Postpone(time.Hour, errBoom), leat.Postpone(-time.Hour, errBoom),
			leat.RetryAfter(2*time.Second, errBoom), nil,
		}
		r := start(t, b, func(ctx context.Context, _ leat.Event) error {
			info, _ := leat.InfoFrom(ctx)
			tr.at("attempt %d, first %v ago", info.Attempt, time.Since(info.FirstAttempt))
			defer func() { outcomes = outcomes[1:] }()
			return outcomes[0]
		}, nil)
		b.deliver(leat.NewLease(), event(t, "1", "k"))
		time.Sleep(2 * time.Hour)
		assert.Equal(t, []string{
			"0s attempt 1, first 0s ago", "1s attempt 2, first 1s ago", "1h0m1s attempt 2, first 1s ago",
			"1h0m1.001s attempt 2, first 1s ago", "1h0m3.001s attempt 3, first 3s ago",
		}, tr.all())
		r.stopClean()
	})
}

func TestPostponeIsCappedByTheLongestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		b.caps.LongestHold = time.Hour
		tr := newTrace()
		r := start(t, b, func(context.Context, leat.Event) error {
			tr.at("call")
			return leat.Postpone(10*time.Hour, errBoom)
		}, nil)
		b.deliver(leat.NewLease(), event(t, "1", "k"))
		time.Sleep(90 * time.Minute)
		assert.Equal(t, []string{"0s call", "1h0m0s call"}, tr.all())
		r.stopClean()
		assert.Equal(t, []string{"1 back"}, b.settlements(), "the drain gives it back at once")
	})
}

// A long delay of an event without a key is the broker's, as that of RetryAfter is; what it takes
// there is not the event's time either.
func TestPostponeAtTheBrokerCountsNoAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		b.caps.LongestDelay = time.Hour
		lease := leat.NewLease()
		tr := newTrace()
		outcomes := []error{leat.RetryAfter(time.Second, errBoom), leat.Postpone(10*time.Minute, errBoom), nil}
		r := start(t, b, func(ctx context.Context, _ leat.Event) error {
			info, _ := leat.InfoFrom(ctx)
			tr.at("attempt %d, first %v ago", info.Attempt, time.Since(info.FirstAttempt))
			defer func() { outcomes = outcomes[1:] }()
			return outcomes[0]
		}, nil)
		b.deliver(lease, event(t, "1", ""))
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, []string{"1 back"}, b.settlements())
		assert.Equal(t, 10*time.Minute, b.settled[0].delay)
		time.Sleep(10 * time.Minute)
		b.deliverRaw(leat.Delivery{Event: event(t, "1", ""), Lease: lease, Deliveries: 2, Position: leat.Position{ID: "1"}})
		synctest.Wait()
		assert.Equal(t, []string{
			"0s attempt 1, first 0s ago", "1s attempt 2, first 1s ago", "10m1s attempt 2, first 1s ago",
		}, tr.all())
		r.stopClean()
	})
}

// An outage that the handler gives a time is one all the same: health tells of it.
func TestPostponeOfAnOutageShowsInHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		tr := newTrace()
		r := start(t, b, func(context.Context, leat.Event) error {
			tr.at("call")
			return leat.Postpone(20*time.Minute, &leat.Error{Op: "publish", Code: leat.CodeUnavailable, Err: errBoom})
		}, nil)
		b.deliver(leat.NewLease(), event(t, "1", "k"))
		time.Sleep(30 * time.Minute)
		assert.Equal(t, []string{"0s call", "20m0s call"}, tr.all())
		assert.Equal(t, leat.Degraded, r.consumer.Health().State)
		r.stopClean()
	})
}

func TestIsPostponed(t *testing.T) {
	put := leat.Postpone(3*time.Second, errBoom)
	require.EqualError(t, put, "postpone for 3s: boom")
	require.EqualError(t, leat.Postpone(0, nil), "postpone for 0s: no reason given")
	require.ErrorIs(t, put, errBoom)
	for _, err := range []error{put, fmt.Errorf("wrapped: %w", put), errors.Join(errBoom, put)} {
		assert.True(t, leat.IsPostponed(err))
		assert.True(t, leat.IsDecided(err))
		assert.False(t, leat.IsPaused(err) || leat.IsRejected(err) || leat.IsOutage(err))
	}
	for _, err := range []error{nil, errBoom, leat.Pause(1, errBoom), leat.RetryAfter(1, errBoom), leat.Reject(errBoom)} {
		assert.False(t, leat.IsPostponed(err), "%v", err)
	}
}
