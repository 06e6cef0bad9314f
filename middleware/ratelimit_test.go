package middleware_test

import (
	"context"
	"fmt"
	"strings"
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

// limited runs events through a Consumer with a RateLimit, and notes when each began.
type limited struct {
	mu    sync.Mutex
	zero  time.Time
	began map[string][]time.Duration // by source
	ids   []string
}

func (l *limited) Handle(ctx context.Context, e leat.Event) error {
	info, _ := leat.InfoFrom(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	if info.Attempt != 1 {
		l.ids = append(l.ids, fmt.Sprintf("attempt %d of ", info.Attempt))
	}
	l.began[e.Source()] = append(l.began[e.Source()], time.Since(l.zero))
	l.ids = append(l.ids, e.ID())
	return nil
}

// limit handles the events, and returns what began when.
func limit(t *testing.T, patience time.Duration, m leat.Middleware, events ...leat.Event) *limited {
	t.Helper()
	b := memory.New(nil)
	sub := leat.Subscription{Topic: "orders", Group: "billing"}
	require.NoError(t, leat.Declare(t.Context(), b, sub))
	require.NoError(t, leat.NewProducer(b, nil).Publish(t.Context(), "orders", events...))
	l := &limited{zero: time.Now(), began: map[string][]time.Duration{}}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := leat.NewConsumer(b, sub, l, &leat.ConsumerOptions{Middleware: []leat.Middleware{m}})
	require.NoError(t, leat.Run(ctx, c))
	assert.Zero(t, c.Stats().Retried+c.Stats().Poisoned)
	require.NoError(t, b.Close())
	return l
}

func many(t *testing.T, source string, n int, key func(i int) string) (events []leat.Event) {
	t.Helper()
	for i := range n {
		e, err := leat.NewEvent("a", &leat.EventOptions{ID: fmt.Sprintf("%s-%d", source, i), Source: source, Key: key(i)})
		require.NoError(t, err)
		events = append(events, e)
	}
	return events
}

func TestRateLimitIsExact(t *testing.T) {
	none := func(int) string { return "" }
	for name, c := range map[string]struct {
		key   func(i int) string
		burst int
		first int // how many begin at once
		took  time.Duration
	}{
		"without keys":         {none, 0, 1, 9_990 * time.Millisecond},
		"one key":              {func(int) string { return "k" }, 0, 1, 9_990 * time.Millisecond},
		"some keys":            {func(i int) string { return fmt.Sprint(i % 7) }, 0, 1, 9_990 * time.Millisecond},
		"a burst":              {none, 100, 100, 9 * time.Second},
		"a burst with one key": {func(int) string { return "k" }, 100, 100, 9 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := limit(t, time.Minute, middleware.RateLimit(100, time.Second, &middleware.RateLimitOptions{Burst: c.burst}),
					many(t, "/a", 1000, c.key)...)
				began := l.began["/a"]
				require.Len(t, began, 1000)
				assert.Equal(t, c.took, began[999])
				assert.Zero(t, began[c.first-1])
				for i := range began {
					if i >= c.first {
						assert.Equal(t, 10*time.Millisecond, began[i]-began[i-1])
					}
				}
				if c.key(0) == "k" {
					for i, id := range l.ids {
						assert.Equal(t, fmt.Sprintf("/a-%d", i), id, "the order of the key")
					}
				}
			})
		})
	}
}

// Two tenants do not slow each other.
func TestRateLimitByTenant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		by := &middleware.RateLimitOptions{By: func(e leat.Event) string { return e.Source() }}
		key := func(tenant string) func(int) string {
			return func(i int) string { return fmt.Sprint(tenant, i%3) }
		}
		both := append(many(t, "/a", 450, key("a")), many(t, "/b", 450, key("b"))...)
		l := limit(t, time.Minute, middleware.RateLimit(100, time.Second, by), both...)
		for _, tenant := range []string{"/a", "/b"} {
			require.Len(t, l.began[tenant], 450)
			assert.Equal(t, 4_490*time.Millisecond, l.began[tenant][449])
		}
	})
}

// Each attempt takes a turn of its own: the limit protects what the handler calls.
func TestRateLimitCountsRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := middleware.RateLimit(1, time.Second, nil)(returns(errDown))
		e := newEvent(t, "a", "/shop", "1")
		require.Equal(t, errDown, h.Handle(t.Context(), e))
		for range 3 {
			require.True(t, leat.IsPostponed(h.Handle(t.Context(), e)))
			time.Sleep(time.Second)
			require.Equal(t, errDown, h.Handle(t.Context(), e))
		}
	})
}

// A turn is kept for its event, also when others come at that time, and when the event comes too
// early, because the stream does not hold it for so long. A turn that nobody takes is lost.
func TestRateLimitReserves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := middleware.RateLimit(1, time.Minute, nil)(returns(nil))
		wait := func(id string) time.Duration {
			err := h.Handle(t.Context(), newEvent(t, "a", "/shop", id))
			if err == nil {
				return 0
			}
			require.True(t, leat.IsPostponed(err))
			text, found := strings.CutPrefix(err.Error(), "postpone for ")
			require.True(t, found)
			text, found = strings.CutSuffix(text, ": the rate limit is reached")
			require.True(t, found)
			d, err := time.ParseDuration(text)
			require.NoError(t, err)
			return d
		}
		assert.Zero(t, wait("1"))
		assert.Equal(t, time.Minute, wait("2"))
		assert.Equal(t, 2*time.Minute, wait("3"))
		time.Sleep(20 * time.Second)
		assert.Equal(t, 40*time.Second, wait("2"))
		assert.Equal(t, 160*time.Second, wait("4"))
		time.Sleep(40 * time.Second)
		assert.Equal(t, 3*time.Minute, wait("5"), "it is not the turn of 5")
		assert.Zero(t, wait("2"))
		time.Sleep(time.Hour)
		assert.Zero(t, wait("6"), "nobody came for the turns of 3 to 5")
		assert.Equal(t, time.Minute, wait("3"), "it comes too late for its turn")
	})
}

// The number of schedules is bounded: beyond it, values share one, until others have filled up.
func TestRateLimitBoundsItsRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := middleware.RateLimit(1, time.Minute, &middleware.RateLimitOptions{
			By: func(e leat.Event) string { return e.Source() }, MaxRates: 10,
		})(returns(nil))
		passed := func(from, to int) (n int) {
			for i := from; i < to; i++ {
				if h.Handle(t.Context(), newEvent(t, "a", fmt.Sprint("/", i), fmt.Sprint(i))) == nil {
					n++
				}
			}
			return n
		}
		assert.Equal(t, 11, passed(0, 30), "10 have a rate each, all others one")
		time.Sleep(time.Hour)
		assert.Equal(t, 11, passed(1000, 1030))
	})
}

func TestRateLimitRefusesWrongRates(t *testing.T) {
	for _, m := range []leat.Middleware{
		middleware.RateLimit(0, time.Second, nil), middleware.RateLimit(-1, time.Second, nil), middleware.RateLimit(1, 0, nil),
		middleware.RateLimit(1, -time.Second, nil), middleware.RateLimit(1, time.Second, &middleware.RateLimitOptions{Burst: -1}),
		middleware.RateLimit(1, time.Second, &middleware.RateLimitOptions{MaxRates: -1}),
	} {
		b := memory.New(nil)
		c := leat.NewConsumer(b, leat.Subscription{Topic: "orders", Group: "billing"}, returns(nil),
			&leat.ConsumerOptions{Middleware: []leat.Middleware{m}})
		err := leat.Run(t.Context(), c)
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), "%v", err)
		require.NoError(t, b.Close())
	}
}
