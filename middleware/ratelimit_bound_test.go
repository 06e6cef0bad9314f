package middleware_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
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

func noKey(int) string { return "" }

// run starts a Consumer of events; the function that it returns stops it.
func run(t *testing.T, events []leat.Event, h leat.Handler, o *leat.ConsumerOptions) (*leat.Consumer, func()) {
	t.Helper()
	b := memory.New(&memory.Options{Buffer: len(events) + 1, BufferBytes: 1 << 30})
	sub := leat.Subscription{Topic: "orders", Group: "billing"}
	require.NoError(t, leat.Declare(t.Context(), b, sub))
	require.NoError(t, leat.NewProducer(b, nil).Publish(t.Context(), "orders", events...))
	c := leat.NewConsumer(b, sub, h, o)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- leat.Run(ctx, c) }()
	return c, func() {
		cancel()
		require.NoError(t, <-result)
		require.NoError(t, b.Close())
	}
}

// times notes when events begin.
type times struct {
	mu   sync.Mutex
	zero time.Time
	at   []time.Duration
}

func (b *times) note() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at = append(b.at, time.Since(b.zero))
	return len(b.at)
}

// most is how many events began within any time of that length, its ends included, at most.
func (b *times) most(window time.Duration) (most int) {
	for i, j := 0, 0; j < len(b.at); j++ {
		for b.at[j]-b.at[i] > window {
			i++
		}
		most = max(most, j-i+1)
	}
	return most
}

// After any hold-up, no more events begin than Burst + t × the rate, and the rate is reached.
func TestRateLimitHoldsAfterAHoldUp(t *testing.T) {
	for _, burst := range []int{1, 20} {
		for how, slow := range map[string]bool{"pause": false, "slow handler": true} {
			t.Run(fmt.Sprint(how, burst), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					began := &times{zero: time.Now()}
					h := leat.HandlerFunc(func(context.Context, leat.Event) error {
						if n := began.note(); slow && n == 60 {
							time.Sleep(50 * time.Second)
						}
						return nil
					})
					o := &leat.ConsumerOptions{Middleware: []leat.Middleware{
						middleware.RateLimit(10, time.Second, &middleware.RateLimitOptions{Burst: burst}),
					}}
					if slow {
						o.Concurrency = 1
					}
					c, stop := run(t, many(t, "/a", 900, noKey), h, o)
					time.Sleep(5 * time.Second)
					if !slow {
						c.Pause()
					}
					time.Sleep(50 * time.Second)
					c.Resume()
					time.Sleep(90 * time.Second)
					stop()
					require.Len(t, began.at, 900, "the rate is reached")
					for _, window := range []time.Duration{0, time.Second, 10 * time.Second, time.Minute} {
						assert.LessOrEqual(t, began.most(window), burst+int(10*window/time.Second), "%v", window)
					}
				})
			})
		}
	}
}

// A wait that no time.Duration holds is no wait of 0.
func TestRateLimitOverflow(t *testing.T) {
	h := middleware.RateLimit(1, 365*24*time.Hour, nil)(returns(nil))
	passed := 0
	for _, e := range many(t, "/a", 1000, noKey) {
		if h.Handle(t.Context(), e) == nil {
			passed++
		}
	}
	assert.Equal(t, 1, passed)
}

// What waits for its turn stays in the process, also on a broker that can delay: so MaxInFlight
// bounds what is taken in.
func TestRateLimitLeavesTheBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var handled atomic.Int64
		h := leat.HandlerFunc(func(context.Context, leat.Event) error { handled.Add(1); return nil })
		c, stop := run(t, many(t, "/a", 5000, noKey), h, &leat.ConsumerOptions{
			MaxInFlight: 100, Middleware: []leat.Middleware{middleware.RateLimit(1, time.Second, nil)},
		})
		time.Sleep(10*time.Minute + time.Second/2)
		stats := c.Stats()
		stop()
		assert.EqualValues(t, 601, stats.Handled)
		assert.LessOrEqual(t, int(stats.Received), 701)
		assert.Zero(t, stats.GivenBack)
	})
}

// Two processes with one backlog reach twice the rate.
func TestRateLimitOfTwoProcesses(t *testing.T) {
	for _, keyed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := memory.New(&memory.Options{Buffer: 10_000, BufferBytes: 1 << 30})
			sub := leat.Subscription{Topic: "orders", Group: "billing"}
			require.NoError(t, leat.Declare(t.Context(), b, sub))
			events := many(t, "/a", 5000, func(i int) string {
				if keyed {
					return fmt.Sprint(i % 500)
				}
				return ""
			})
			require.NoError(t, leat.NewProducer(b, nil).Publish(t.Context(), "orders", events...))
			began := &times{zero: time.Now()}
			h := leat.HandlerFunc(func(context.Context, leat.Event) error { began.note(); return nil })
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Second)
			defer cancel()
			var wg sync.WaitGroup
			for range 2 {
				c := leat.NewConsumer(b, sub, h, &leat.ConsumerOptions{Middleware: []leat.Middleware{middleware.RateLimit(10, time.Second, nil)}})
				wg.Go(func() { assert.NoError(t, leat.Run(ctx, c)) })
			}
			wg.Wait()
			assert.Greater(t, len(began.at), 3900, "keyed %v: 4,000 are right", keyed)
			assert.LessOrEqual(t, len(began.at), 4002)
			require.NoError(t, b.Close())
		})
	}
}

// An attempt that ended its goroutine had its turn, and counts: Retry gives the event up.
func TestGoexitUnderARateLimitCounts(t *testing.T) {
	var foreign leat.Middleware = func(next leat.Handler) leat.Handler {
		first := true
		return leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
			if first = !first; first {
				return leat.Postpone(time.Second, nil)
			}
			return next.Handle(ctx, e)
		})
	}
	for name, m := range map[string][]leat.Middleware{
		"RateLimit": {middleware.RateLimit(1, time.Second, nil), middleware.Retry(&middleware.RetryOptions{MaxAttempts: 3})},
		"foreign":   {foreign},
	} {
		synctest.Test(t, func(t *testing.T) {
			var calls, most atomic.Int64
			h := leat.HandlerFunc(func(ctx context.Context, _ leat.Event) error {
				info, _ := leat.InfoFrom(ctx)
				most.Store(int64(info.Attempt))
				if calls.Add(1) == 3 && name != "RateLimit" {
					return nil
				}
				runtime.Goexit()
				return nil
			})
			b := memory.New(nil)
			c, stop := run(t, many(t, "/a", 1, noKey), h, &leat.ConsumerOptions{
				PoisonQueue: middleware.PoisonQueue(leat.NewProducer(b, nil), nil), Middleware: m,
			})
			time.Sleep(20 * time.Second)
			stats := c.Stats()
			stop()
			if name == "RateLimit" {
				assert.EqualValues(t, 1, stats.Poisoned)
			} else {
				assert.EqualValues(t, 1, stats.Handled)
			}
			assert.EqualValues(t, 3, most.Load(), "each call counts")
		})
	}
}
