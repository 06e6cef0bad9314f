package poison_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
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

var (
	orders   = leat.Subscription{Topic: "orders", Group: "billing"}
	errAgain = errors.New("again")
)

// fill returns a broker whose poison queue of orders has n events, of three keys: "0" to "n-1".
func fill(t *testing.T, n int) *memory.Broker {
	t.Helper()
	b := memory.New(nil)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	require.NoError(t, leat.Declare(t.Context(), b, orders, leat.ReplayOf(orders)))
	poisonOrders(t, b, 0, n)
	return b
}

// poisonOrders puts events into the poison queue, as a consumer does that gives up on them.
func poisonOrders(t *testing.T, b leat.Broker, from, to int) {
	t.Helper()
	q := middleware.PoisonQueue(leat.NewProducer(b, nil), nil)
	for i := from; i < to; i++ {
		e, err := leat.NewEvent("order.placed", &leat.EventOptions{ID: fmt.Sprint(i), Source: "/shop", Key: fmt.Sprint("k", i%3)})
		require.NoError(t, err)
		require.NoError(t, q.Poison(t.Context(), leat.Poisoned{
			Event: e.WithText(fmt.Sprint(i)), Reason: errors.New("first"), At: time.Now(),
			Info: leat.Info{Topic: orders.Topic, Group: orders.Group, Attempt: 1, Position: leat.Position{Offset: int64(i)}},
		}))
	}
}

// peek returns the ids in the poison queue.
func peek(t *testing.T, b leat.Broker) (ids []string) {
	t.Helper()
	for e, err := range poison.Peek(t.Context(), b, orders, nil) {
		require.NoError(t, err)
		require.NoError(t, e.Err)
		require.EqualError(t, e.Reason, "first")
		require.Equal(t, "orders", e.Info.Topic)
		ids = append(ids, e.Event.ID())
	}
	return ids
}

func numbers(from, to int) (ids []string) {
	for i := from; i < to; i++ {
		ids = append(ids, fmt.Sprint(i))
	}
	return ids
}

// log is what a handler was called for.
type log struct {
	mu  sync.Mutex
	ids []string
}

func (l *log) add(e leat.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ids = append(l.ids, e.ID())
}

// ofKey returns the ids of one key, in their order.
func (l *log) ofKey(k int) (ids []string) {
	for _, id := range l.ids {
		var n int
		_, _ = fmt.Sscan(id, &n)
		if n%3 == k {
			ids = append(ids, id)
		}
	}
	return ids
}

func odd(e poison.Entry) bool {
	var n int
	_, _ = fmt.Sscan(e.Event.ID(), &n)
	return n%2 == 1
}

func TestPeekTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := fill(t, 50)
		for range 3 {
			require.Equal(t, numbers(0, 50), peek(t, b))
		}
		lag, err := b.Lag(t.Context(), leat.ReplayOf(orders).Topic, leat.ReplayGroup)
		require.NoError(t, err)
		require.EqualValues(t, 50, lag.Events)
		var some []string
		for e, err := range poison.Peek(t.Context(), b, orders, &poison.PeekOptions{Filter: odd}) {
			require.NoError(t, err)
			if some = append(some, e.Event.ID()); len(some) == 2 {
				break
			}
		}
		require.Equal(t, []string{"1", "3"}, some)
		nobody := leat.Subscription{Topic: "orders", Group: "nobody"}
		const want = `leat: browse topic "orders.nobody.poison": not found: nobody has declared a poison queue of this name; ` +
			`check topic and group: `
		for _, err := range poison.Peek(t.Context(), b, nobody, nil) {
			require.Equal(t, leat.CodeNotFound, leat.CodeOf(err))
			require.ErrorContains(t, err, want)
			require.Equal(t, 1, strings.Count(err.Error(), "not found"))
		}
		_, err = poison.Drop(t.Context(), b, nobody, nil)
		require.ErrorContains(t, err, want)
	})
}

func TestReplayEmptiesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := fill(t, 60)
		l := &log{}
		r, err := poison.Replay(t.Context(), b, orders, leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
			info, _ := leat.InfoFrom(ctx)
			if leat.IsPoisoned(e) || info.Topic != "orders" || info.Group != "billing" || info.Attempt != 1 {
				return fmt.Errorf("the handler gets %v with %v", e, info)
			}
			l.add(e)
			return nil
		}), nil)
		require.NoError(t, err)
		require.Equal(t, poison.Result{Replayed: 60}, r)
		require.Empty(t, peek(t, b))
		for k := range 3 {
			ids := l.ofKey(k)
			require.Len(t, ids, 20)
			for i, id := range ids {
				require.Equal(t, fmt.Sprint(3*i+k), id)
			}
		}
	})
}

// What fails again is put back, with its first reason, and its replays counted.
func TestReplayPutsBackWhatFails(t *testing.T) {
	for name, fail := range map[string]func() error{
		"error":  func() error { return errAgain },
		"reject": func() error { return leat.Reject(errAgain) },
		"panic":  func() error { panic("again") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := fill(t, 10)
				h := leat.HandlerFunc(func(_ context.Context, e leat.Event) error {
					if e.ID() == "4" {
						return fail()
					}
					return nil
				})
				for n := 1; n <= 3; n++ {
					var failed []string
					r, err := poison.Replay(t.Context(), b, orders, h, &poison.ReplayOptions{UntilEmpty: n == 2, Failed: func(e poison.Entry, err error) {
						require.ErrorContains(t, err, "again")
						failed = append(failed, e.Event.ID())
					}})
					require.NoError(t, err)
					require.Equal(t, []string{"4"}, failed)
					require.Equal(t, 1, r.Failed)
					require.Equal(t, 1, r.Left)
					require.Equal(t, []string{"4"}, peek(t, b))
					for e, err := range poison.Peek(t.Context(), b, orders, nil) {
						require.NoError(t, err)
						require.Equal(t, n, e.Replays)
						require.Equal(t, 1, e.Info.Attempt, "of the first time")
					}
				}
			})
		})
	}
}

// A filter leaves what it does not choose where it is, and a dry run leaves everything.
func TestReplayOfSome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := fill(t, 30)
		l := &log{}
		h := leat.HandlerFunc(func(_ context.Context, e leat.Event) error {
			l.add(e)
			return nil
		})
		r, err := poison.Replay(t.Context(), b, orders, h, &poison.ReplayOptions{Filter: odd, DryRun: true})
		require.NoError(t, err)
		require.Equal(t, poison.Result{Replayed: 15, Skipped: 15, Left: 30}, r)
		require.Empty(t, l.ids)
		r, err = poison.Replay(t.Context(), b, orders, h, &poison.ReplayOptions{Filter: odd, Limit: 5})
		require.NoError(t, err)
		require.Equal(t, poison.Result{Replayed: 5, Skipped: 25, Left: 25}, r)
		r, err = poison.Replay(t.Context(), b, orders, h, &poison.ReplayOptions{Filter: odd, UntilEmpty: true})
		require.NoError(t, err)
		require.Equal(t, poison.Result{Replayed: 10, Skipped: 15, Left: 15}, r)
		var even []string
		for i := 0; i < 30; i += 2 {
			even = append(even, fmt.Sprint(i))
		}
		require.Equal(t, even, peek(t, b))
		require.Len(t, l.ids, 15)
	})
}

// With more in front than may be held, a replay ends with an error, and nothing is lost.
func TestReplayHoldsNoMoreThanItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := fill(t, 60)
		last := func(e poison.Entry) bool { return e.Event.ID() == "59" }
		h := leat.HandlerFunc(func(context.Context, leat.Event) error { return nil })
		r, err := poison.Replay(t.Context(), b, orders, h, &poison.ReplayOptions{Filter: last, MaxHeld: 20, Concurrency: 4})
		require.Equal(t, leat.CodeExhausted, leat.CodeOf(err), "%v", err)
		require.Equal(t, 60, r.Left)
		require.Equal(t, numbers(0, 60), peek(t, b))
		r, err = poison.Replay(t.Context(), b, orders, h, &poison.ReplayOptions{Filter: last})
		require.NoError(t, err)
		require.Equal(t, poison.Result{Replayed: 1, Skipped: 59, Left: 59}, r)
		require.Equal(t, numbers(0, 59), peek(t, b))
	})
}

// A queue that grows while it is replayed ends the replay all the same.
func TestReplayOfAQueueThatGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := fill(t, 10)
		n := 10
		r, err := poison.Replay(t.Context(), b, orders, leat.HandlerFunc(func(context.Context, leat.Event) error {
			poisonOrders(t, b, n, n+2)
			n += 2
			return nil
		}), &poison.ReplayOptions{Concurrency: 1})
		require.NoError(t, err)
		require.Equal(t, poison.Result{Replayed: 10}, r)
		require.Equal(t, numbers(10, 30), peek(t, b))
		r, err = poison.Replay(t.Context(), b, orders, leat.HandlerFunc(func(context.Context, leat.Event) error {
			if n < 40 {
				poisonOrders(t, b, n, n+1)
				n++
			}
			return nil
		}), &poison.ReplayOptions{UntilEmpty: true, Concurrency: 1})
		require.NoError(t, err)
		require.Equal(t, poison.Result{Replayed: 30}, r)
		require.Empty(t, peek(t, b))
	})
}

func TestReplayAtARate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := fill(t, 50)
		began := time.Now()
		r, err := poison.Replay(t.Context(), b, orders, leat.HandlerFunc(func(context.Context, leat.Event) error { return nil }),
			&poison.ReplayOptions{Rate: 10})
		require.NoError(t, err)
		require.Equal(t, 50, r.Replayed)
		require.Equal(t, 4900*time.Millisecond, time.Since(began))
	})
}

// A replay that is told to stop leaves the rest, and the next one goes on.
func TestReplayStopsAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := fill(t, 30)
		ctx, cancel := context.WithCancel(t.Context())
		l := &log{}
		r, err := poison.Replay(ctx, b, orders, leat.HandlerFunc(func(_ context.Context, e leat.Event) error {
			if l.add(e); len(l.ids) == 10 {
				cancel()
			}
			return nil
		}), &poison.ReplayOptions{Concurrency: 1})
		require.NoError(t, err)
		require.Equal(t, poison.Result{Replayed: 10, Left: 20}, r)
		left := peek(t, b)
		require.Len(t, left, 20)
		r, err = poison.Replay(t.Context(), b, orders, leat.HandlerFunc(func(_ context.Context, e leat.Event) error {
			l.add(e)
			return nil
		}), nil)
		require.NoError(t, err)
		require.Equal(t, poison.Result{Replayed: 20}, r)
		slices.Sort(l.ids)
		require.Len(t, slices.Compact(l.ids), 30)
	})
}

// What a Router has no route for is not lost, and neither is what has no original.
func TestReplayByARouter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := fill(t, 6)
		require.NoError(t, middleware.PoisonQueue(leat.NewProducer(b, nil), nil).Poison(t.Context(), leat.Poisoned{
			Malformed: &leat.Malformed{Body: []byte("not an event")}, Reason: errAgain,
			Info: leat.Info{Topic: orders.Topic, Group: orders.Group},
		}))
		require.Equal(t, 7, entries(t, b))
		router := leat.NewRouter(leat.Route{Type: "another", Handler: leat.HandlerFunc(func(context.Context, leat.Event) error { return nil })})
		for _, untilEmpty := range []bool{false, true} {
			r, err := poison.Replay(t.Context(), b, orders, router, &poison.ReplayOptions{UntilEmpty: untilEmpty})
			require.NoError(t, err)
			require.Equal(t, poison.Result{Skipped: 6, Failed: 1, Left: 7}, r)
			require.Equal(t, 7, entries(t, b))
		}
	})
}

func entries(t *testing.T, b leat.Broker) (n int) {
	t.Helper()
	for _, err := range poison.Peek(t.Context(), b, orders, nil) {
		require.NoError(t, err)
		n++
	}
	return n
}

func TestDrop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := fill(t, 20)
		topic := leat.ReplayOf(orders).Topic
		require.NoError(t, b.DeliverRaw(topic, leat.Malformed{Body: []byte("somebody wrote this")}))
		r, err := poison.Drop(t.Context(), b, orders, &poison.DropOptions{Filter: odd, DryRun: true})
		require.NoError(t, err)
		require.Equal(t, poison.Result{Replayed: 10, Skipped: 11, Left: 21}, r)
		r, err = poison.Drop(t.Context(), b, orders, &poison.DropOptions{Filter: odd, Limit: 4})
		require.NoError(t, err)
		require.Equal(t, poison.Result{Replayed: 4, Skipped: 17, Left: 17}, r)
		r, err = poison.Drop(t.Context(), b, orders, &poison.DropOptions{Filter: func(e poison.Entry) bool { return e.Malformed != nil }})
		require.NoError(t, err)
		require.Equal(t, poison.Result{Replayed: 1, Skipped: 16, Left: 16}, r)
		require.Len(t, peek(t, b), 16)
		r, err = poison.Drop(t.Context(), b, orders, nil)
		require.NoError(t, err)
		require.Equal(t, poison.Result{Replayed: 16}, r)
		require.Empty(t, peek(t, b))
	})
}

// What somebody else wrote into the topic, and is not an event, stays there, with a reason.
func TestReplayKeepsWhatIsNoEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := fill(t, 3)
		require.NoError(t, b.DeliverRaw(leat.ReplayOf(orders).Topic, leat.Malformed{Body: []byte("somebody wrote this")}))
		r, err := poison.Replay(t.Context(), b, orders, leat.HandlerFunc(func(context.Context, leat.Event) error { return nil }), nil)
		require.NoError(t, err)
		require.Equal(t, poison.Result{Replayed: 3, Failed: 1, Left: 1}, r)
		for e, err := range poison.Peek(t.Context(), b, orders, nil) {
			require.NoError(t, err)
			require.NoError(t, e.Err)
			require.Equal(t, "somebody wrote this", string(e.Malformed.Body))
		}
	})
}

func TestWrongArguments(t *testing.T) {
	b := memory.New(nil)
	defer func() { assert.NoError(t, b.Close()) }()
	h := leat.HandlerFunc(func(context.Context, leat.Event) error { return nil })
	for name, try := range map[string]func() error{
		"broker":  func() error { _, err := poison.Replay(t.Context(), nil, orders, h, nil); return err },
		"handler": func() error { _, err := poison.Replay(t.Context(), b, orders, nil, nil); return err },
		"rate": func() error {
			_, err := poison.Replay(t.Context(), b, orders, h, &poison.ReplayOptions{Rate: -1})
			return err
		},
		"idle": func() error { _, err := poison.Drop(t.Context(), b, orders, &poison.DropOptions{Idle: -1}); return err },
		"names": func() error {
			_, err := poison.Drop(t.Context(), b, leat.Subscription{Topic: "a b", Group: "g"}, nil)
			return err
		},
	} {
		require.Equal(t, leat.CodeInvalid, leat.CodeOf(try()), name)
	}
}
