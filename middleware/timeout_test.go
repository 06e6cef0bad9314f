package middleware_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/middleware"
)

// endsWith is a handler that returns err when its context ends, and not before.
func endsWith(err error) leat.Handler {
	return leat.HandlerFunc(func(ctx context.Context, _ leat.Event) error {
		<-ctx.Done()
		return err
	})
}

func TestTimeoutSaysThatItTimedOut(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"the context's error", context.DeadlineExceeded, "leat: handle: handler: timed out after 10s: context deadline exceeded"},
		{"an error that hides it", errDown, "leat: handle: handler: timed out after 10s: the database is down"},
		{"a rejection", leat.Reject(errDown), "leat: handle: handler: timed out after 10s: the database is down"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				err := middleware.Timeout(10*time.Second)(endsWith(c.err)).Handle(t.Context(), newEvent(t, "a", "/test", "1"))
				assert.EqualError(t, err, c.want)
				assert.ErrorIs(t, err, context.DeadlineExceeded)
				assert.ErrorIs(t, err, c.err, "the handler's error is never lost")
				assert.Equal(t, leat.CodeHandler, leat.CodeOf(err))
				assert.Equal(t, leat.IsRejected(c.err), leat.IsRejected(err), "the decision stands")
				assert.Equal(t, 10*time.Second, time.Since(start))
			})
		})
	}
}

func TestTimeoutIsTheCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := leat.HandlerFunc(func(ctx context.Context, _ leat.Event) error {
			<-ctx.Done()
			return context.Cause(ctx)
		})
		err := middleware.Timeout(time.Second)(h).Handle(t.Context(), newEvent(t, "a", "/test", "1"))
		assert.EqualError(t, err, "leat: handle: handler: timed out after 1s", "said once")
		assert.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestTimeoutKeepsASuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		err := middleware.Timeout(time.Second)(endsWith(nil)).Handle(t.Context(), newEvent(t, "a", "/test", "1"))
		assert.NoError(t, err, "a handler that finishes after its deadline has finished")
	})
}

func TestTimeoutKeepsAnEarlyError(t *testing.T) {
	err := middleware.Timeout(time.Hour)(returns(errDown)).Handle(t.Context(), newEvent(t, "a", "/test", "1"))
	assert.Equal(t, errDown, err)
}

func TestTimeoutNeverAbandonsTheHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		stubborn := leat.HandlerFunc(func(context.Context, leat.Event) error {
			time.Sleep(time.Minute) // whatever its context says
			return errDown
		})
		err := middleware.Timeout(time.Second)(stubborn).Handle(t.Context(), newEvent(t, "a", "/test", "1"))
		assert.Equal(t, time.Minute, time.Since(start), "Timeout returns when the handler has")
		assert.ErrorContains(t, err, "timed out after 1s")
	})
}

func TestTimeoutLeavesTheOuterContextAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := attempt(t.Context(), 3, time.Now())
		h := leat.HandlerFunc(func(inner context.Context, _ leat.Event) error {
			deadline, ok := inner.Deadline()
			assert.True(t, ok)
			assert.Equal(t, time.Now().Add(time.Second), deadline)
			info, ok := leat.InfoFrom(inner)
			assert.True(t, ok)
			assert.Equal(t, 3, info.Attempt)
			<-inner.Done()
			return inner.Err()
		})
		require.Error(t, middleware.Timeout(time.Second)(h).Handle(ctx, newEvent(t, "a", "/test", "1")))
		assert.NoError(t, ctx.Err())
	})
}

func TestTimeoutTellsItsDeadlineFromOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEvent(t, "a", "/test", "1")
		h := middleware.Timeout(time.Minute)(endsWith(errDown))

		lost, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(leat.ErrLeaseLost) })
		assert.Equal(t, errDown, h.Handle(lost, e), "a lost lease is no timeout")

		sooner, cancelSooner := context.WithTimeout(t.Context(), time.Second)
		defer cancelSooner()
		assert.Equal(t, errDown, h.Handle(sooner, e), "a deadline further out is not this one")
	})
}

func TestTimeoutOfNothing(t *testing.T) {
	h := leat.HandlerFunc(func(ctx context.Context, _ leat.Event) error {
		if _, ok := ctx.Deadline(); ok {
			return errors.New("a deadline")
		}
		return ctx.Err()
	})
	assert.NoError(t, middleware.Timeout(0)(h).Handle(context.Background(), newEvent(t, "a", "/test", "1")))
}
