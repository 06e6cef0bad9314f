package poison_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/middleware"
	"github.com/leatgo/leat/poison"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var ok = leat.HandlerFunc(func(context.Context, leat.Event) error { return nil })

func TestLimitHoldsUntilEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New(nil)
		t.Cleanup(func() { require.NoError(t, b.Close()) })
		require.NoError(t, leat.Declare(t.Context(), b, orders, leat.ReplayOf(orders)))
		q := middleware.PoisonQueue(leat.NewProducer(b, nil), nil)
		for i := range 30 {
			e, err := leat.NewEvent("order.placed", &leat.EventOptions{ID: fmt.Sprint(i), Source: "/shop", Key: fmt.Sprint("k", i)})
			require.NoError(t, err)
			require.NoError(t, q.Poison(t.Context(), leat.Poisoned{Event: e, Reason: errAgain, Info: leat.Info{Topic: "orders", Group: "billing"}}))
		}
		r, err := poison.Replay(t.Context(), b, orders, leat.HandlerFunc(func(context.Context, leat.Event) error {
			time.Sleep(time.Millisecond)
			return nil
		}), &poison.ReplayOptions{UntilEmpty: true, Limit: 5})
		require.NoError(t, err)
		assert.Equal(t, 5, r.Replayed)
	})
}

func TestARateEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := fill(t, 30)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Millisecond, cancel)
		var after atomic.Int64
		began := time.Now()
		r, err := poison.Replay(ctx, b, orders, leat.HandlerFunc(func(_ context.Context, _ leat.Event) error {
			if ctx.Err() != nil {
				after.Add(1)
			}
			return nil
		}), &poison.ReplayOptions{Rate: 0.1})
		t.Log(r, err)
		assert.Less(t, time.Since(began), time.Second, "after ctx ended")
		assert.Zero(t, after.Load(), "handled after ctx ended")
	})
}

func TestReplayBesideAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := fill(t, 60)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				r, err := poison.Replay(t.Context(), b, orders, leat.HandlerFunc(func(context.Context, leat.Event) error {
					time.Sleep(100 * time.Millisecond)
					return nil
				}), &poison.ReplayOptions{Filter: odd, Concurrency: 1})
				t.Log(r, err)
				assert.NoError(t, err)
			})
		}
		wg.Wait()
	})
}

func TestWhatIsNoEventStaysInPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := fill(t, 3)
		require.NoError(t, b.DeliverRaw(leat.ReplayOf(orders).Topic, leat.Malformed{Body: []byte("somebody wrote this")}))
		poisonOrders(t, b, 3, 6)
		list := func() (l []string) {
			for e, err := range poison.Peek(t.Context(), b, orders, nil) {
				require.NoError(t, err)
				if e.Malformed != nil {
					l = append(l, fmt.Sprintf("raw %v", e.Err != nil))
				} else {
					l = append(l, e.Event.ID())
				}
			}
			return l
		}
		before := list()
		none := func(e poison.Entry) bool { return e.Malformed == nil && e.Event.ID() == "5" }
		r, err := poison.Drop(t.Context(), b, orders, &poison.DropOptions{Filter: none})
		require.NoError(t, err)
		t.Log(r)
		assert.Equal(t, before[:len(before)-1], list())
	})
}

func TestWhatIsNoEventIsPutBackOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := fill(t, 0)
		require.NoError(t, b.DeliverRaw(leat.ReplayOf(orders).Topic, leat.Malformed{Body: []byte("somebody wrote this")}))
		handled := 0
		r, err := poison.Replay(t.Context(), b, orders, leat.HandlerFunc(func(context.Context, leat.Event) error {
			handled++
			return nil
		}), &poison.ReplayOptions{UntilEmpty: true})
		require.NoError(t, err)
		t.Log(r)
		assert.Zero(t, handled, "an event that this Replay has put back is not replayed again")
		assert.Equal(t, 1, r.Left)
		assert.Equal(t, 1, entries(t, b))
	})
}

func TestReplayWhoseContextHasEnded(t *testing.T) {
	b := fill(t, 3)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r, err := poison.Replay(ctx, b, orders, ok, nil)
	assert.NoError(t, err)
	assert.Zero(t, r.Replayed)
	_, err = poison.Replay(ctx, b, orders, ok, &poison.ReplayOptions{DryRun: true})
	assert.Equal(t, leat.CodeCanceled, leat.CodeOf(err), "a count that is not whole")
}

// A lease that is lost in the middle of a replay.
func TestReplayCountsLostLeases(t *testing.T) {
	for _, until := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			b := fill(t, 9)
			once := sync.Once{}
			r, err := poison.Replay(t.Context(), b, orders, leat.HandlerFunc(func(_ context.Context, e leat.Event) error {
				if e.ID() == "7" {
					once.Do(func() { require.NoError(t, b.ExpireLeases(leat.ReplayOf(orders).Topic, leat.ReplayGroup)) })
				}
				return nil
			}), &poison.ReplayOptions{Filter: odd, UntilEmpty: until})
			require.NoError(t, err)
			left := peek(t, b)
			t.Logf("%+v, in the queue: %v", r, left)
			assert.Equal(t, len(left), r.Left, "Left, until %v", until)
			assert.Equal(t, 5, r.Skipped, "Skipped, until %v", until)
			assert.Equal(t, 9-len(left), r.Replayed, "Replayed, until %v", until)
		})
	}
}

func TestFailedPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := fill(t, 3)
		var told atomic.Int64
		r, err := poison.Replay(t.Context(), b, orders, leat.HandlerFunc(func(context.Context, leat.Event) error {
			return errAgain
		}), &poison.ReplayOptions{Concurrency: 1, Failed: func(poison.Entry, error) {
			if told.Add(1) == 1 {
				panic("oh")
			}
		}})
		require.NoError(t, err)
		assert.Equal(t, poison.Result{Failed: 3, Left: 3}, r)
		assert.EqualValues(t, 3, told.Load())
		assert.Equal(t, 3, entries(t, b))
	})
}

// A Failed that ends its goroutine, as t.FailNow does, puts nothing back twice.
func TestFailedEndsItsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := fill(t, 3)
		var told atomic.Int64
		r, err := poison.Replay(t.Context(), b, orders, leat.HandlerFunc(func(context.Context, leat.Event) error {
			return errAgain
		}), &poison.ReplayOptions{Failed: func(poison.Entry, error) {
			told.Add(1)
			runtime.Goexit()
		}})
		require.NoError(t, err)
		assert.Equal(t, poison.Result{Failed: 3, Left: 3}, r)
		assert.EqualValues(t, 3, told.Load())
		assert.Equal(t, 3, entries(t, b))
	})
}

// UntilEmpty ends with CodeExhausted where something is left behind what it holds, and only there.
func TestUntilEmptyIsExhausted(t *testing.T) {
	last := func(e poison.Entry) bool { return e.Event.ID() == "19" }
	for name, c := range map[string]struct {
		broker    func(b *memory.Broker) leat.Broker
		filter    poison.Filter
		limit     int
		exhausted bool
	}{
		"one behind":        {filter: last, exhausted: true},
		"nothing behind":    {filter: func(poison.Entry) bool { return false }},
		"the limit reached": {limit: 1},
		"nobody knows": {
			broker: func(b *memory.Broker) leat.Broker { return struct{ leat.Broker }{b} },
			filter: func(poison.Entry) bool { return false }, exhausted: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := fill(t, 20)
				var on leat.Broker = b
				if c.broker != nil {
					on = c.broker(b)
				}
				_, err := poison.Replay(t.Context(), on, orders, ok, &poison.ReplayOptions{
					UntilEmpty: true, Filter: c.filter, Limit: c.limit, MaxHeld: 5, Concurrency: 1,
				})
				assert.Equal(t, c.exhausted, leat.CodeOf(err) == leat.CodeExhausted, "%v", err)
				if !c.exhausted {
					assert.NoError(t, err)
				}
				assert.Equal(t, c.exhausted, err != nil)
			})
		})
	}
}

// The log says of an event that failed again that it went back, and how often it was replayed.
func TestTheLogOfAReplaySaysWhatWentBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := fill(t, 1)
		var log bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&log, nil))
		for range 2 {
			_, err := poison.Replay(t.Context(), b, orders, leat.HandlerFunc(func(context.Context, leat.Event) error {
				return errAgain
			}), &poison.ReplayOptions{Logger: logger})
			require.NoError(t, err)
		}
		assert.NotContains(t, log.String(), `msg="event is in the poison queue"`)
		for n := 1; n <= 2; n++ {
			assert.Regexp(t, fmt.Sprintf(`level=WARN msg="event failed again in a replay and is back in the poison queue" `+
				`topic=orders.billing.poison group=replay type=order.placed id=0 key=k0 position=\S+ attempt=1 replays=%d error=again`, n),
				log.String())
		}
	})
}
