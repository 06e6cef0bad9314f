package middleware_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/middleware"
)

// dependency is what handlers need. It is down until a time.
type dependency struct {
	mu       sync.Mutex
	zero, up time.Time
	slow     time.Duration
	calls    []time.Duration
	attempts int // the most that one event had
}

var errNetwork = &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}

func (d *dependency) Handle(ctx context.Context, _ leat.Event) error {
	info, _ := leat.InfoFrom(ctx)
	d.mu.Lock()
	d.calls = append(d.calls, time.Since(d.zero))
	d.attempts = max(d.attempts, info.Attempt)
	d.mu.Unlock()
	time.Sleep(d.slow)
	if time.Now().Before(d.up) {
		return fmt.Errorf("charge: %w", errNetwork)
	}
	return nil
}

// While what the handlers need is down, the Consumer pauses, one event probes after each pause, the
// pauses grow up to their cap, and nothing is poisoned. Then all events are handled.
func TestCircuitBreakerPausesAndProbes(t *testing.T) {
	for _, concurrency := range []int{1, 16} {
		t.Run(fmt.Sprint(concurrency), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, records := logger(t, slog.LevelDebug)
				d := &dependency{zero: time.Now(), up: time.Now().Add(10 * time.Minute), slow: 10 * time.Millisecond}
				b := memory.New(nil)
				sub := leat.Subscription{Topic: "orders", Group: "billing"}
				require.NoError(t, leat.Declare(t.Context(), b, sub))
				events := many(t, "/shop", 300, func(i int) string { return fmt.Sprint(i % 50) })
				require.NoError(t, leat.NewProducer(b, nil).Publish(t.Context(), "orders", events...))
				c := leat.NewConsumer(b, sub, d, &leat.ConsumerOptions{
					Concurrency: concurrency, PoisonQueue: middleware.PoisonQueue(leat.NewProducer(b, nil), nil),
					Middleware: []leat.Middleware{
						middleware.Retry(&middleware.RetryOptions{MaxAttempts: 3}),
						middleware.CircuitBreaker(&middleware.CircuitBreakerOptions{MinCalls: 10, Logger: l}),
					},
				})
				ctx, cancel := context.WithCancel(t.Context())
				result := make(chan error, 1)
				go func() { result <- leat.Run(ctx, c) }()
				time.Sleep(5 * time.Minute)
				paused := c.Health()
				assert.Equal(t, leat.Paused, paused.State)
				require.Len(t, paused.Problems, 1)
				require.ErrorContains(t, paused.Problems[0], "the circuit is open")
				require.ErrorIs(t, paused.Problems[0], errNetwork)
				time.Sleep(6 * time.Minute)
				assert.Equal(t, leat.Health{}, c.Health())
				stats := c.Stats()
				cancel()
				require.NoError(t, <-result)
				assert.EqualValues(t, 300, stats.Handled)
				assert.Zero(t, stats.Poisoned)
				assert.LessOrEqual(t, d.attempts, 2, "only the failures before it opened count")

				down, probes := 0, 0
				for i, at := range d.calls {
					if at < 10*time.Minute {
						down++
					}
					if i > 0 && at > time.Second && at < 10*time.Minute {
						probes++
						assert.GreaterOrEqual(t, at-d.calls[i-1], 5*time.Second)
						assert.Less(t, at-d.calls[i-1], 62*time.Second)
					}
				}
				assert.LessOrEqual(t, probes, 13, "5, 10, 20, 40 and then 60 s apart")
				assert.LessOrEqual(t, down-probes, 10+2*concurrency, "10 to open, and those that began before it did")
				var said []string
				for _, r := range records() {
					said = append(said, r["msg"].(string)[:13])
					assert.Equal(t, "orders", r["topic"])
				}
				assert.Equal(t, "circuit opens", said[0])
				assert.Equal(t, "circuit close", said[len(said)-1])
				assert.Len(t, said, probes+2, "one record for each change")
				require.NoError(t, b.Close())
			})
		})
	}
}

// breakerStep is one call and what must become of it.
func TestCircuitBreakerStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var outcome error
		calls := 0
		h := middleware.CircuitBreaker(&middleware.CircuitBreakerOptions{
			MinCalls: 4, FailureRate: 0.5, Window: 10 * time.Second, InitialPause: time.Second, MaxPause: 3 * time.Second,
		})(leat.HandlerFunc(func(context.Context, leat.Event) error { return outcome }))
		call := func(err error) error {
			outcome = err
			calls++
			return h.Handle(t.Context(), newEvent(t, "a", "/shop", fmt.Sprint(calls)))
		}
		business := errors.New("the card is blocked")
		require.Equal(t, errNetwork, call(errNetwork))
		require.Equal(t, errNetwork, call(errNetwork))
		require.Equal(t, errNetwork, call(errNetwork))
		time.Sleep(11 * time.Second)
		for range 3 {
			require.Equal(t, business, call(business), "three failures are out of the window, and this is none")
		}
		for range 2 {
			require.Equal(t, errNetwork, call(errNetwork))
		}
		undecided := []error{leat.Reject(errNetwork), leat.Pause(1, errNetwork), leat.Postpone(1, errNetwork)}
		for _, err := range undecided {
			require.Equal(t, err, call(err), "a decision says nothing")
		}
		opened := call(errNetwork)
		require.True(t, leat.IsPaused(opened))
		require.ErrorIs(t, opened, errNetwork)
		require.ErrorContains(t, opened, "pause for 1s: the circuit is open since 2000-01-01T00:00:11Z: dial tcp")

		time.Sleep(400 * time.Millisecond)
		require.ErrorContains(t, call(nil), "pause for 600ms: the circuit is open")
		time.Sleep(600 * time.Millisecond)
		for _, err := range undecided {
			require.Equal(t, err, call(err), "nor does it as a probe")
		}
		require.ErrorContains(t, call(errNetwork), "pause for 2s:")
		time.Sleep(2 * time.Second)
		require.ErrorContains(t, call(errNetwork), "pause for 3s:", "the cap")
		time.Sleep(3 * time.Second)
		require.Equal(t, business, call(business), "what it needs has answered")
		require.Equal(t, errNetwork, call(errNetwork), "the circuit is closed, and counts anew")
	})
}

// One event probes at a time, also where the probe panics.
func TestCircuitBreakerProbesWithOneEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls int
		var answer func() error
		h := middleware.CircuitBreaker(&middleware.CircuitBreakerOptions{MinCalls: 1, InitialPause: time.Second})(
			leat.HandlerFunc(func(context.Context, leat.Event) error {
				calls++
				return answer()
			}))
		e := newEvent(t, "a", "/shop", "1")
		answer = func() error { return errNetwork }
		require.True(t, leat.IsPaused(h.Handle(t.Context(), e)))
		time.Sleep(time.Second)

		answer = func() error { panic("no") }
		require.Panics(t, func() { _ = h.Handle(t.Context(), e) })
		probed := make(chan error)
		answer = func() error {
			time.Sleep(time.Minute)
			return nil
		}
		go func() { probed <- h.Handle(t.Context(), e) }()
		synctest.Wait()
		for range 100 {
			require.ErrorContains(t, h.Handle(t.Context(), e), "pause for 200ms: the circuit is open, and one event probes since")
		}
		assert.Equal(t, 3, calls)
		require.NoError(t, <-probed)
		require.NoError(t, h.Handle(t.Context(), e))
	})
}

// A drain is not held up by an open circuit, and what was not handled goes back.
func TestCircuitBreakerDuringDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &dependency{zero: time.Now(), up: time.Now().Add(time.Hour)}
		b := memory.New(nil)
		sub := leat.Subscription{Topic: "orders", Group: "billing"}
		require.NoError(t, leat.Declare(t.Context(), b, sub))
		require.NoError(t, leat.NewProducer(b, nil).Publish(t.Context(), "orders", many(t, "/shop", 100, func(int) string { return "" })...))
		c := leat.NewConsumer(b, sub, d, &leat.ConsumerOptions{Middleware: []leat.Middleware{
			middleware.CircuitBreaker(&middleware.CircuitBreakerOptions{MinCalls: 1, InitialPause: time.Hour}),
		}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.NoError(t, leat.Run(ctx, c))
		assert.Equal(t, time.Minute, time.Since(d.zero))
		queued, unsettled, err := b.Depth("orders", "billing")
		require.NoError(t, err)
		assert.Equal(t, []int{100, 0}, []int{queued, unsettled})
		require.NoError(t, b.Close())
	})
}

func TestIsInfrastructure(t *testing.T) {
	for _, err := range []error{
		context.DeadlineExceeded, errNetwork, driver.ErrBadConn, sql.ErrConnDone, &leat.Error{Op: "publish", Code: leat.CodeUnavailable},
		&net.DNSError{IsTimeout: true},
	} {
		assert.True(t, middleware.IsInfrastructure(fmt.Errorf("charge: %w", err)), "%v", err)
	}
	for _, err := range []error{nil, errDown, context.Canceled, sql.ErrNoRows, &leat.Error{Op: "publish", Code: leat.CodeTooLarge}} {
		assert.False(t, middleware.IsInfrastructure(err), "%v", err)
	}
}

func TestCircuitBreakerRefusesWrongOptions(t *testing.T) {
	for field, o := range map[string]middleware.CircuitBreakerOptions{
		"FailureRate": {FailureRate: 1.5}, "MinCalls": {MinCalls: -1}, "Window": {Window: 1}, "InitialPause": {InitialPause: -1},
		"MaxPause": {MaxPause: -1},
	} {
		b := memory.New(nil)
		c := leat.NewConsumer(b, leat.Subscription{Topic: "orders", Group: "billing"}, returns(nil),
			&leat.ConsumerOptions{Middleware: []leat.Middleware{middleware.CircuitBreaker(&o)}})
		err := leat.Run(t.Context(), c)
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), "%v", err)
		assert.ErrorContains(t, err, "CircuitBreakerOptions."+field)
		require.NoError(t, b.Close())
	}
}
