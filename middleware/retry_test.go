package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/middleware"
)

var errDown = errors.New("the database is down")

// delayOf returns the delay of a RetryAfter. Its text is all that the API shows of it.
func delayOf(t *testing.T, err error) time.Duration {
	t.Helper()
	require.True(t, leat.IsDecided(err) && !leat.IsRejected(err) && !leat.IsPaused(err), "want RetryAfter, got %v", err)
	text, found := strings.CutPrefix(err.Error(), "retry after ")
	require.True(t, found, "%v", err)
	text, _, _ = strings.Cut(text, ":")
	d, parseErr := time.ParseDuration(text)
	require.NoError(t, parseErr)
	return d
}

func TestRetryDelaysGrow(t *testing.T) {
	h := middleware.Retry(&middleware.RetryOptions{NoLimit: true, NoJitter: true})(returns(errDown))
	e := newEvent(t, "a", "/test", "1")
	for n, want := range map[int]time.Duration{
		-1: 100 * time.Millisecond, 0: 100 * time.Millisecond, 1: 100 * time.Millisecond, 2: 200 * time.Millisecond,
		10: 51_200 * time.Millisecond, 11: time.Minute, math.MaxInt: time.Minute,
	} {
		err := h.Handle(attempt(t.Context(), n, time.Now()), e)
		assert.Equal(t, want, delayOf(t, err), "attempt %d", n)
		assert.ErrorIs(t, err, errDown)
	}
}

func TestRetryJitter(t *testing.T) {
	h := middleware.Retry(nil)(returns(errDown))
	e := newEvent(t, "a", "/test", "1")
	seen := map[time.Duration]bool{}
	for range 200 {
		d := delayOf(t, h.Handle(attempt(t.Context(), 3, time.Now()), e))
		assert.LessOrEqual(t, d, 400*time.Millisecond, "jitter never adds")
		assert.GreaterOrEqual(t, d, 320*time.Millisecond, "jitter takes at most 20 %")
		seen[d] = true
	}
	assert.Greater(t, len(seen), 100, "delays spread")
}

func TestRetryGivesUp(t *testing.T) {
	for _, c := range []struct {
		name    string
		options *middleware.RetryOptions
		attempt int
		elapsed time.Duration
		want    string // the reason of the Reject; empty for another attempt
	}{
		{"the default has attempts left", nil, 14, time.Hour, ""},
		{"the default is 15 attempts", nil, 15, 5 * time.Minute, "gave up after 15 attempts in 5m0s: the database is down"},
		{"the last of MaxAttempts", &middleware.RetryOptions{MaxAttempts: 3}, 3, 310 * time.Millisecond,
			"gave up after 3 attempts in 310ms: the database is down"},
		{"beyond MaxAttempts, after the option was lowered", &middleware.RetryOptions{MaxAttempts: 3}, 7, time.Second,
			"gave up after 7 attempts in 1s: the database is down"},
		{"one attempt", &middleware.RetryOptions{MaxAttempts: 1}, 1, 0, "gave up after 1 attempt in 0s: the database is down"},
		{"no limit", &middleware.RetryOptions{NoLimit: true}, 1_000_000, 24 * time.Hour, ""},
		{"MaxElapsed not reached", &middleware.RetryOptions{MaxElapsed: time.Hour}, 2, time.Hour - 1, ""},
		{"MaxElapsed reached", &middleware.RetryOptions{MaxElapsed: time.Hour}, 2, time.Hour,
			"gave up after 2 attempts in 1h0m0s: the database is down"},
		{"MaxElapsed alone has no limit of attempts", &middleware.RetryOptions{MaxElapsed: time.Hour}, 100, time.Minute, ""},
		{"MaxElapsed beside MaxAttempts", &middleware.RetryOptions{MaxAttempts: 5, MaxElapsed: time.Hour}, 5, time.Minute,
			"gave up after 5 attempts in 1m0s: the database is down"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				first := time.Now()
				time.Sleep(c.elapsed)
				h := middleware.Retry(c.options)(returns(errDown))
				err := h.Handle(attempt(t.Context(), c.attempt, first), newEvent(t, "a", "/test", "1"))
				require.ErrorIs(t, err, errDown, "the handler's error is never lost")
				if c.want == "" {
					delayOf(t, err)
					return
				}
				assert.True(t, leat.IsRejected(err))
				assert.EqualError(t, err, c.want)
			})
		})
	}
}

func TestRetryCutsTheLastDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &middleware.RetryOptions{MaxElapsed: time.Minute, NoJitter: true}
		e, first := newEvent(t, "a", "/test", "1"), time.Now()
		time.Sleep(59 * time.Second)
		err := middleware.Retry(o)(returns(errDown)).Handle(attempt(t.Context(), 9, first), e)
		assert.Equal(t, time.Second, delayOf(t, err), "the last attempt begins when MaxElapsed is over")

		err = middleware.Retry(o)(returns(leat.RetryAfter(time.Hour, errDown))).Handle(attempt(t.Context(), 9, first), e)
		assert.Equal(t, time.Hour, delayOf(t, err), "but a delay that the handler asked for is not cut")
	})
}

func TestRetryLeavesDecisionsAlone(t *testing.T) {
	e := newEvent(t, "a", "/test", "1")
	never := func(error) bool { return false }
	for _, decision := range []error{
		leat.Reject(errDown), leat.Pause(time.Second, errDown), leat.RetryAfter(time.Second, errDown),
		fmt.Errorf("wrapped: %w", leat.Reject(errDown)), fmt.Errorf("wrapped: %w", leat.Pause(time.Second, errDown)),
	} {
		h := middleware.Retry(&middleware.RetryOptions{MaxAttempts: 3, If: never})(returns(decision))
		assert.Equal(t, decision, h.Handle(attempt(t.Context(), 2, time.Time{}), e), "the decision %q", decision)

		err := h.Handle(attempt(t.Context(), 3, time.Time{}), e)
		if leat.IsRejected(decision) || leat.IsPaused(decision) {
			assert.Equal(t, decision, err, "the decision %q at the limit", decision)
			continue
		}
		assert.True(t, leat.IsRejected(err), "a RetryAfter counts against the limit")
		assert.EqualError(t, err, "gave up after 3 attempts in 0s: retry after 1s: the database is down")
	}
}

func TestRetryIf(t *testing.T) {
	errBad := errors.New("no such customer")
	o := &middleware.RetryOptions{If: func(err error) bool { return !errors.Is(err, errBad) }}
	e := newEvent(t, "a", "/test", "1")

	err := middleware.Retry(o)(returns(fmt.Errorf("charge: %w", errBad))).Handle(attempt(t.Context(), 1, time.Now()), e)
	assert.True(t, leat.IsRejected(err))
	assert.EqualError(t, err, "charge: no such customer")

	delayOf(t, middleware.Retry(o)(returns(errDown)).Handle(attempt(t.Context(), 1, time.Now()), e))
}

func TestRetryKnowsShutdownFromFailure(t *testing.T) {
	e := newEvent(t, "a", "/test", "1")
	// The handler gives up when its context ends; MaxAttempts would reject its error.
	waits := leat.HandlerFunc(func(ctx context.Context, _ leat.Event) error {
		<-ctx.Done()
		return fmt.Errorf("charge: %w", ctx.Err())
	})
	once := middleware.Retry(&middleware.RetryOptions{MaxAttempts: 1})

	for name, cause := range map[string]error{"lease lost": leat.ErrLeaseLost, "shutdown": errors.New("shutdown"), "no cause": nil} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(cause)
			err := once(waits).Handle(attempt(ctx, 1, time.Now()), e)
			assert.ErrorIs(t, err, context.Canceled)
			assert.False(t, leat.IsDecided(err), "an attempt that the Consumer ended is no failure: %v", err)
		})
	}
	t.Run("a timeout inside", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			err := leat.Chain(waits, once, middleware.Timeout(time.Second)).Handle(attempt(t.Context(), 1, time.Now()), e)
			assert.True(t, leat.IsRejected(err), "%v", err)
		})
	})
	t.Run("a timeout outside", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			err := leat.Chain(waits, middleware.Timeout(time.Second), once).Handle(attempt(t.Context(), 1, time.Now()), e)
			assert.True(t, leat.IsRejected(err), "%v", err)
		})
	})
	t.Run("success", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		assert.NoError(t, once(returns(nil)).Handle(ctx, e))
	})
}

func TestRetryOutsideOfAConsumer(t *testing.T) {
	e := newEvent(t, "a", "/test", "1")
	h := middleware.Retry(&middleware.RetryOptions{MaxAttempts: 2, MaxElapsed: time.Nanosecond, NoJitter: true})(returns(errDown))
	assert.LessOrEqual(t, delayOf(t, h.Handle(t.Context(), e)), 100*time.Millisecond)
	err := middleware.Retry(&middleware.RetryOptions{MaxAttempts: 1})(returns(errDown)).Handle(t.Context(), e)
	assert.True(t, leat.IsRejected(err))
}

func TestRetryNeverSleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		for n := range 100 {
			_ = middleware.Retry(nil)(returns(errDown)).Handle(attempt(t.Context(), n, start), newEvent(t, "a", "/test", "1"))
		}
		assert.Zero(t, time.Since(start))
	})
}

func TestRetryOptionsAreNotKept(t *testing.T) {
	o := &middleware.RetryOptions{MaxAttempts: 5}
	h := middleware.Retry(o)(returns(errDown))
	o.MaxAttempts = 1
	delayOf(t, h.Handle(attempt(t.Context(), 1, time.Now()), newEvent(t, "a", "/test", "1")))
	assert.Equal(t, &middleware.RetryOptions{MaxAttempts: 1}, o, "the caller's options are not written to")
}

func TestRetryTakesOddOptions(t *testing.T) {
	e := newEvent(t, "a", "/test", "1")
	for _, o := range []*middleware.RetryOptions{
		{InitialDelay: 1, MaxDelay: 1, Multiplier: 1, Jitter: 1},
		{InitialDelay: 365 * 24 * time.Hour, MaxDelay: 365 * 24 * time.Hour, Multiplier: 1_000, Jitter: math.SmallestNonzeroFloat64},
		{InitialDelay: time.Hour, MaxDelay: time.Second},
	} {
		for _, n := range []int{1, 2, 14} {
			d := delayOf(t, middleware.Retry(o)(returns(errDown)).Handle(attempt(t.Context(), n, time.Now()), e))
			assert.GreaterOrEqual(t, d, time.Duration(0), "%+v", o)
		}
	}
}

func TestRetrySuccessDoesNotAllocate(t *testing.T) {
	h, e, ctx := middleware.Retry(nil)(returns(nil)), newEvent(t, "a", "/test", "1"), attempt(t.Context(), 1, time.Now())
	assert.Zero(t, testing.AllocsPerRun(100, func() { _ = h.Handle(ctx, e) }))
}
