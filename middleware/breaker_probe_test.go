package middleware_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/middleware"
)

// An error that panics when it is read does not stop the Consumer.
func TestCircuitBreakerSurvivesAnErrorThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		h := leat.HandlerFunc(func(context.Context, leat.Event) error {
			calls.Add(1)
			var err *net.ParseError // a net.Error whose Error panics
			return err
		})
		_, stop := run(t, many(t, "/a", 50, noKey), h, &leat.ConsumerOptions{Middleware: []leat.Middleware{
			middleware.CircuitBreaker(&middleware.CircuitBreakerOptions{MinCalls: 5, InitialPause: time.Millisecond, MaxPause: time.Second}),
		}})
		time.Sleep(time.Minute)
		before := calls.Load()
		time.Sleep(time.Minute)
		stop()
		assert.Greater(t, calls.Load(), before)
	})
}

// A panic that opens the circuit is told of the events that ran, and of no other.
func TestCircuitBreakerTellsAPanicOfItsOwnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ran, zero := map[any]bool{}, time.Now()
		l, records := logger(t, slog.LevelDebug)
		h := leat.HandlerFunc(func(_ context.Context, e leat.Event) error {
			ran[e.ID()] = true
			if time.Since(zero) > 6*time.Second {
				return nil
			}
			panic("the database is nil")
		})
		_, stop := run(t, many(t, "/a", 50, noKey), h, &leat.ConsumerOptions{Logger: l, Concurrency: 1, Middleware: []leat.Middleware{
			middleware.CircuitBreaker(&middleware.CircuitBreakerOptions{MinCalls: 5, If: func(error) bool { return true }}),
		}})
		time.Sleep(6 * time.Second)
		synctest.Wait()
		told, ran6 := records(), maps.Clone(ran)
		time.Sleep(2 * time.Minute)
		stop()
		panics := 0
		for _, r := range told {
			if r["msg"] == "handler panicked" {
				panics++
				assert.True(t, ran6[r["id"]], "%v has not run", r["id"])
			}
		}
		assert.Positive(t, panics)
	})
}

// An event that always fails does not keep the circuit open: its probes count, and Retry gives it
// up.
func TestCircuitBreakerGivesUpAPill(t *testing.T) {
	for _, keys := range []int{1, 7} {
		synctest.Test(t, func(t *testing.T) {
			zero := time.Now()
			var handled atomic.Int64
			h := leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
				if e.ID() == "/a-30" {
					<-ctx.Done()
					return ctx.Err()
				}
				if time.Since(zero) < 5*time.Minute && handled.Load() >= 25 {
					return context.DeadlineExceeded
				}
				handled.Add(1)
				return nil
			})
			b := memory.New(nil)
			c, stop := run(t, many(t, "/a", 300, func(i int) string { return fmt.Sprint(i % keys) }), h, &leat.ConsumerOptions{
				PoisonQueue: middleware.PoisonQueue(leat.NewProducer(b, nil), nil),
				Middleware: []leat.Middleware{
					middleware.Retry(&middleware.RetryOptions{MaxAttempts: 20}),
					middleware.CircuitBreaker(&middleware.CircuitBreakerOptions{MinCalls: 2}), middleware.Timeout(2 * time.Second),
				},
			})
			time.Sleep(3 * time.Hour)
			stats := c.Stats()
			stop()
			require.NoError(t, b.Close())
			assert.EqualValues(t, 299, stats.Handled, "%d keys", keys)
			assert.EqualValues(t, 1, stats.Poisoned)
		})
	}
}

// A probe that never returns does not keep the circuit open.
func TestCircuitBreakerOutlivesAHungProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		var calls atomic.Int64
		h := leat.HandlerFunc(func(context.Context, leat.Event) error {
			switch calls.Add(1) {
			case 1:
				return context.DeadlineExceeded
			case 2:
				<-hang
			}
			return nil
		})
		c, stop := run(t, many(t, "/a", 50, noKey), h, &leat.ConsumerOptions{Concurrency: 2, Middleware: []leat.Middleware{
			middleware.CircuitBreaker(&middleware.CircuitBreakerOptions{MinCalls: 1}),
		}})
		time.Sleep(2 * time.Minute)
		assert.EqualValues(t, 49, c.Stats().Handled)
		close(hang)
		stop()
	})
}

// An outage that is certain counts no attempt of any event, however long it lasts, also where all
// have one key and the first is the only one that can probe.
func TestCircuitBreakerPoisonsNothingInAnOutage(t *testing.T) {
	for name, down := range map[string]error{
		"refused":    &net.OpError{Op: "dial", Err: errors.New("connection refused")},
		"connection": fmt.Errorf("the database: %w", driver.ErrBadConn),
		"publish":    &leat.Error{Op: "publish", Code: leat.CodeUnavailable, Err: errors.New("no broker")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				zero := time.Now()
				h := leat.HandlerFunc(func(ctx context.Context, _ leat.Event) error {
					if time.Since(zero) < 3*time.Hour {
						return down
					}
					return nil
				})
				b := memory.New(nil)
				c, stop := run(t, many(t, "/a", 50, func(int) string { return "k" }), h, &leat.ConsumerOptions{
					PoisonQueue: middleware.PoisonQueue(leat.NewProducer(b, nil), nil),
					Middleware: []leat.Middleware{
						middleware.Retry(nil), middleware.CircuitBreaker(&middleware.CircuitBreakerOptions{MinCalls: 1}),
					},
				})
				time.Sleep(4 * time.Hour)
				stats := c.Stats()
				stop()
				require.NoError(t, b.Close())
				assert.EqualValues(t, 50, stats.Handled)
				assert.Zero(t, stats.Poisoned)
			})
		})
	}
}
