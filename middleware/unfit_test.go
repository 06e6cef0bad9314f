package middleware_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/middleware"
)

// TestWrongOptionsAreReportedByRun: a constructor has no error, so Run has it, before the first
// event, and nothing takes a default instead.
func TestWrongOptionsAreReportedByRun(t *testing.T) {
	retry := func(o middleware.RetryOptions) leat.Middleware { return middleware.Retry(&o) }
	idempotent := func(limit int, ttl time.Duration) leat.Middleware {
		return middleware.Idempotent(middleware.NewMemoryStore(limit, ttl), nil)
	}
	for _, c := range []struct {
		field string
		wrong leat.Middleware
	}{
		{"RetryOptions.MaxAttempts is out of its range; use 1 to 2147483647, or 0", retry(middleware.RetryOptions{MaxAttempts: -1})},
		{"RetryOptions.MaxElapsed is out of its range", retry(middleware.RetryOptions{MaxElapsed: -1})},
		{"RetryOptions.InitialDelay is out of its range", retry(middleware.RetryOptions{InitialDelay: -1})},
		{"RetryOptions.MaxDelay is out of its range", retry(middleware.RetryOptions{MaxDelay: -1})},
		{"RetryOptions.Multiplier is out of its range; use 1 to 1000, or 0", retry(middleware.RetryOptions{Multiplier: 0.5})},
		{"RetryOptions.Multiplier is out of its range", retry(middleware.RetryOptions{Multiplier: math.NaN()})},
		{"RetryOptions.Multiplier is out of its range", retry(middleware.RetryOptions{Multiplier: math.Inf(1)})},
		{"RetryOptions.Jitter is out of its range", retry(middleware.RetryOptions{Jitter: -1})},
		{"RetryOptions.Jitter is out of its range", retry(middleware.RetryOptions{Jitter: 1.5})},
		{"RetryOptions.NoJitter contradicts", retry(middleware.RetryOptions{NoJitter: true, Jitter: 0.5})},
		{"RetryOptions.NoLimit contradicts", retry(middleware.RetryOptions{NoLimit: true, MaxAttempts: 1})},
		{"RetryOptions.NoLimit contradicts", retry(middleware.RetryOptions{NoLimit: true, MaxElapsed: 1})},
		{"RateLimit was made with fewer than 1 event", middleware.RateLimit(0, time.Second, nil)},
		{"CircuitBreakerOptions.MinCalls is out of its range",
			middleware.CircuitBreaker(&middleware.CircuitBreakerOptions{MinCalls: -1})},
		{"Timeout was made with a negative duration", middleware.Timeout(-1)},
		{"IdempotentOptions.StoreTimeout is out of its range",
			middleware.Idempotent(newStore(), &middleware.IdempotentOptions{StoreTimeout: -1})},
		{"the limit of a MemoryStore is out of its range", idempotent(-1, 0)},
		{"the ttl of a MemoryStore is out of its range", idempotent(0, -1)},
		{"Idempotent was made without a Store", middleware.Idempotent(nil, nil)},
	} {
		b := memory.New(nil)
		sub := leat.Subscription{Topic: "orders", Group: "billing"}
		none := leat.HandlerFunc(func(context.Context, leat.Event) error {
			t.Errorf("%s: the handler ran", c.field)
			return nil
		})
		for _, chain := range [][]leat.Middleware{{c.wrong}, {middleware.Logging(nil), c.wrong, middleware.Timeout(time.Second)}} {
			err := leat.Run(t.Context(), leat.NewConsumer(b, sub, none, &leat.ConsumerOptions{Middleware: chain}))
			require.Equal(t, leat.CodeInvalid, leat.CodeOf(err), "%v", err)
			require.ErrorContains(t, err, c.field)
		}
		err := c.wrong(none).Handle(t.Context(), newEvent(t, "a", "/test", "1"))
		assert.True(t, leat.IsPaused(err), "%v", err)
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
		require.NoError(t, b.Close())
	}
}

func TestWrongMemoryStore(t *testing.T) {
	s := middleware.NewMemoryStore(-1, 0)
	_, err := s.Seen(t.Context(), "a")
	require.ErrorContains(t, err, "limit of a MemoryStore")
	require.ErrorContains(t, s.Mark(t.Context(), "a"), "limit of a MemoryStore")
}
