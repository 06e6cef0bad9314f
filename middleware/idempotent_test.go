package middleware_test

import (
	"context"
	"errors"
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

// store is a Store that fails on demand and notes its keys.
type store struct {
	*middleware.MemoryStore

	seenErr, markErr error
	keys             []string
	markCtx          context.Context
}

func newStore() *store { return &store{MemoryStore: middleware.NewMemoryStore(0, 0)} }

func (s *store) Seen(ctx context.Context, key string) (bool, error) {
	s.keys = append(s.keys, key)
	if s.seenErr != nil {
		return true, s.seenErr // with an error, the answer means nothing
	}
	return s.MemoryStore.Seen(ctx, key)
}

func (s *store) Mark(ctx context.Context, key string) error {
	s.markCtx = ctx
	if s.markErr != nil {
		return s.markErr
	}
	return s.MemoryStore.Mark(ctx, key)
}

// counting is a handler that counts its calls and returns *err.
func counting(calls *int, err *error) leat.Handler {
	return leat.HandlerFunc(func(context.Context, leat.Event) error {
		*calls++
		return *err
	})
}

func group(ctx context.Context, topic, group string) context.Context {
	return leat.ContextWithInfo(ctx, leat.Info{Topic: topic, Group: group, Attempt: 1})
}

func TestIdempotentHandlesAnEventOnce(t *testing.T) {
	var calls int
	var outcome error
	h := middleware.Idempotent(newStore(), nil)(counting(&calls, &outcome))
	ctx := group(t.Context(), "orders", "billing")
	for range 3 {
		require.NoError(t, h.Handle(ctx, newEvent(t, "a", "/shop", "1")))
	}
	assert.Equal(t, 1, calls)
}

func TestIdempotentMarksAfterSuccessOnly(t *testing.T) {
	var calls int
	outcome := errDown
	s := newStore()
	h := middleware.Idempotent(s, nil)(counting(&calls, &outcome))
	ctx, e := group(t.Context(), "orders", "billing"), newEvent(t, "a", "/shop", "1")

	for _, outcome = range []error{errDown, leat.Reject(errDown), leat.RetryAfter(1, errDown), leat.Pause(1, errDown)} {
		assert.Equal(t, outcome, h.Handle(ctx, e), "the handler's outcome, unchanged")
	}
	assert.Equal(t, 4, calls, "a failed attempt is not a handled event")
	assert.Zero(t, s.Len())

	outcome = nil
	require.NoError(t, h.Handle(ctx, e))
	require.NoError(t, h.Handle(ctx, e))
	assert.Equal(t, 5, calls)
	assert.Equal(t, 1, s.Len())
}

func TestIdempotentDoesNotMarkAPanic(t *testing.T) {
	s := newStore()
	h := middleware.Idempotent(s, nil)(leat.HandlerFunc(func(context.Context, leat.Event) error { panic("no") }))
	assert.Panics(t, func() { _ = h.Handle(t.Context(), newEvent(t, "a", "/shop", "1")) })
	assert.Zero(t, s.Len())
}

func TestIdempotentKeysAreUnambiguous(t *testing.T) {
	var calls int
	var outcome error
	s := newStore()
	h := middleware.Idempotent(s, nil)(counting(&calls, &outcome))
	long := strings.Repeat("x", 1<<10)
	different := []struct{ topic, group, source, id string }{
		{"orders", "billing", "/shop", "1"},
		{"orders", "billing", "/shop", "2"},
		{"orders", "billing", "/shop2", "1"},
		{"orders", "billing", "/shop", "1/2"},
		{"orders", "billing", "/shop1", "/2"},
		{"orders", "billing", "/shop", "1 6:/shop1 2"},
		{"ordersb", "illing", "/shop", "1"},
		{"orders", "shipping", "/shop", "1"},
		{"orders", "", "/shop", "1"},
		{"", "orders", "/shop", "1"},
		// Each poison topic has a group "replay": what one replays, the other has not handled.
		{"orders.billing.poison", "replay", "/shop", "1"},
		{"orders.shipping.poison", "replay", "/shop", "1"},
		{"orders", "billing", long, "1"},
		{"orders", "billing", long, "2"},
		{"orders", "billing", "/shop", long},
	}
	for i, d := range different {
		require.NoError(t, h.Handle(group(t.Context(), d.topic, d.group), newEvent(t, "a", d.source, d.id)))
		assert.Equal(t, i+1, calls, "%.60q is a different event", d)
	}
	for _, key := range s.keys {
		assert.LessOrEqual(t, len(key), 255, "a key fits into a VARCHAR(255)")
	}
	assert.Equal(t, "6:orders 7:billing 5:/shop 1", s.keys[0], "keys are kept in databases, so that they must stay as they are")
	assert.Regexp(t, "^sha256:[0-9a-f]{64}$", s.keys[len(s.keys)-1])
}

func TestIdempotentOwnKey(t *testing.T) {
	var calls int
	var outcome error
	s := newStore()
	keyOf := func(e leat.Event) string { return strings.TrimPrefix(e.Type(), "none") }
	h := middleware.Idempotent(s, &middleware.IdempotentOptions{Key: keyOf})(counting(&calls, &outcome))
	handle := func(groupName, eventType, id string) {
		require.NoError(t, h.Handle(group(t.Context(), "orders", groupName), newEvent(t, eventType, "/shop", id)))
	}
	handle("billing", "a", "1")
	handle("billing", "a", "2")
	assert.Equal(t, 1, calls, "the same by its own key")
	handle("shipping", "a", "1")
	assert.Equal(t, 2, calls, "a key never reaches into another group")
	handle("billing", "none", "1")
	handle("billing", "none", "1")
	assert.Equal(t, 4, calls, "without a key an event is handled whenever it comes")
	assert.Equal(t, 2, s.Len())
}

func TestIdempotentStoreCannotTell(t *testing.T) {
	for name, seenErr := range map[string]error{
		"plain": errDown, "a reject": leat.Reject(errDown), "a retry": leat.RetryAfter(time.Hour, errDown),
	} {
		t.Run(name, func(t *testing.T) {
			var calls int
			var outcome error
			s := newStore()
			s.seenErr = seenErr
			h := middleware.Idempotent(s, nil)(counting(&calls, &outcome))
			ctx, e := group(t.Context(), "orders", "billing"), newEvent(t, "a", "/shop", "1")

			err := h.Handle(ctx, e)
			require.ErrorContains(t, err, "pause for 1s: idempotency store: cannot tell whether the event was handled: ")
			require.ErrorIs(t, err, errDown)
			assert.True(t, leat.IsPaused(err), "a store that is down fails all events")
			assert.False(t, leat.IsRejected(err), "and is no reason to poison one")
			assert.Zero(t, calls, "and none to handle the event, perhaps again")

			s.seenErr = nil
			require.NoError(t, h.Handle(ctx, e))
			assert.Equal(t, 1, calls)
		})
	}
}

func TestIdempotentMarkFails(t *testing.T) {
	var calls int
	var outcome error
	s := newStore()
	s.markErr = errDown
	h := middleware.Idempotent(s, nil)(counting(&calls, &outcome))
	ctx, e := group(t.Context(), "orders", "billing"), newEvent(t, "a", "/shop", "1")

	for range 3 {
		err := h.Handle(ctx, e)
		require.EqualError(t, err, "pause for 1s: idempotency store: the event was handled, but cannot be marked so: the database is down")
		require.ErrorIs(t, err, errDown)
		assert.True(t, leat.IsPaused(err))
	}
	assert.Equal(t, 1, calls, "only the mark is tried again")
}

func TestIdempotentMarkSucceedsLater(t *testing.T) {
	var calls int
	var outcome error
	s := newStore()
	s.markErr = errDown
	h := middleware.Idempotent(s, nil)(counting(&calls, &outcome))
	ctx, e := group(t.Context(), "orders", "billing"), newEvent(t, "a", "/shop", "1")
	require.Error(t, h.Handle(ctx, e))
	s.markErr = nil
	require.NoError(t, h.Handle(ctx, e))
	require.NoError(t, h.Handle(ctx, e))
	assert.Equal(t, 1, calls)
	assert.Equal(t, 1, s.Len())
}

// outage is a Store that fails until a time.
type outage struct {
	*middleware.MemoryStore

	until      time.Time
	seen, mark bool // which of the two fails
	asked      int
}

func (s *outage) Seen(ctx context.Context, key string) (bool, error) {
	s.asked++
	if s.seen && time.Now().Before(s.until) {
		return false, errDown
	}
	return s.MemoryStore.Seen(ctx, key)
}

func (s *outage) Mark(ctx context.Context, key string) error {
	s.asked++
	if s.mark && time.Now().Before(s.until) {
		return errDown
	}
	return s.MemoryStore.Mark(ctx, key)
}

// TestIdempotentStoreOutageInsideRetry has a store that is down for longer than Retry has patience.
func TestIdempotentStoreOutageInsideRetry(t *testing.T) {
	for name, s := range map[string]*outage{"seen": {seen: true}, "mark": {mark: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s.MemoryStore, s.until = middleware.NewMemoryStore(0, 0), time.Now().Add(time.Minute)
				var calls int
				var outcome error
				broker := memory.New(nil)
				producer := leat.NewProducer(broker, nil)
				poison := &fakeBroker{}
				sub := leat.Subscription{Topic: "orders", Group: "billing"}
				c := leat.NewConsumer(broker, sub, counting(&calls, &outcome), &leat.ConsumerOptions{
					Middleware: []leat.Middleware{
						middleware.Retry(&middleware.RetryOptions{MaxAttempts: 2, MaxElapsed: 5 * time.Second}),
						middleware.Idempotent(s, nil),
					},
					PoisonQueue: middleware.PoisonQueue(leat.NewProducer(poison, nil), nil),
				})
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				result := make(chan error, 1)
				go func() { result <- leat.Run(ctx, c) }()
				synctest.Wait()
				require.NoError(t, producer.Publish(ctx, "orders", newEvent(t, "a", "/shop", "1")))
				time.Sleep(30*time.Second + time.Millisecond)
				assert.Equal(t, leat.Paused, c.Health().State)
				time.Sleep(32 * time.Second)
				assert.Equal(t, leat.Healthy, c.Health().State, "it goes on by itself")
				stop()
				require.NoError(t, <-result)

				assert.Equal(t, 1, calls, "the handler ran once")
				assert.Empty(t, poison.events, "no event pays for the store")
				assert.Equal(t, 1, s.Len())
				assert.LessOrEqual(t, s.asked, 62, "the store is asked about once a second")
				stats := c.Stats()
				assert.EqualValues(t, 1, stats.Handled)
				assert.Zero(t, stats.Retried, "no attempt was counted")
				require.NoError(t, broker.Close())
			})
		})
	}
}

func TestIdempotentMarksAfterTheContextEnded(t *testing.T) {
	s := newStore()
	ctx, cancel := context.WithCancelCause(group(t.Context(), "orders", "billing"))
	h := middleware.Idempotent(s, nil)(leat.HandlerFunc(func(context.Context, leat.Event) error {
		cancel(leat.ErrLeaseLost)
		return nil
	}))
	require.NoError(t, h.Handle(ctx, newEvent(t, "a", "/shop", "1")))
	assert.Equal(t, 1, s.Len(), "the work is done, so that whoever gets the event next passes it over")
	info, ok := leat.InfoFrom(s.markCtx)
	assert.True(t, ok, "the store sees the values of the context")
	assert.Equal(t, "billing", info.Group)
}

// hanging is a Store that answers when its context ends.
type hanging struct{ seen, mark bool }

func (s hanging) Seen(ctx context.Context, _ string) (bool, error) {
	if !s.seen {
		return false, nil
	}
	<-ctx.Done()
	return false, ctx.Err()
}

func (s hanging) Mark(ctx context.Context, _ string) error {
	if !s.mark {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func TestIdempotentBoundsTheStore(t *testing.T) {
	for _, c := range []struct {
		options *middleware.IdempotentOptions
		want    time.Duration
	}{{nil, 5 * time.Second}, {&middleware.IdempotentOptions{StoreTimeout: time.Second}, time.Second}} {
		for _, s := range []hanging{{seen: true}, {mark: true}} {
			t.Run(fmt.Sprintf("%v %+v", c.want, s), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					start := time.Now()
					err := middleware.Idempotent(s, c.options)(returns(nil)).Handle(t.Context(), newEvent(t, "a", "/shop", "1"))
					assert.ErrorIs(t, err, context.DeadlineExceeded)
					assert.Equal(t, c.want, time.Since(start))
				})
			})
		}
	}
}

func TestIdempotentSeenEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := middleware.Idempotent(hanging{seen: true}, nil)(returns(nil)).Handle(ctx, newEvent(t, "a", "/shop", "1"))
	assert.ErrorIs(t, err, context.Canceled)
}

func TestIdempotentWithoutAStore(t *testing.T) {
	err := middleware.Idempotent(nil, nil)(returns(nil)).Handle(t.Context(), newEvent(t, "a", "/shop", "1"))
	require.EqualError(t, err, `pause for 1s: leat: handle event "1": invalid: `+
		`Idempotent was made without a Store; give it one, such as NewMemoryStore`)
	assert.True(t, leat.IsPaused(err), "else a Retry would poison every event")
}

func TestIdempotentDirectlyOutsideTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		h := leat.Chain(endsWith(errors.New("too slow")), middleware.Idempotent(s, nil), middleware.Timeout(time.Second))
		require.ErrorContains(t, h.Handle(t.Context(), newEvent(t, "a", "/shop", "1")), "timed out after 1s")
		assert.Zero(t, s.Len())

		h = leat.Chain(endsWith(nil), middleware.Idempotent(s, nil), middleware.Timeout(time.Second))
		require.NoError(t, h.Handle(t.Context(), newEvent(t, "a", "/shop", "1")))
		assert.Equal(t, 1, s.Len(), "the store has time of its own, also when the handler used up all of its")
	})
}

// An event in a poison queue is one of the group that failed: handled in a replay, it is known to
// that group, and twice in the poison queue, it is handled once. To another group it is new.
func TestIdempotentKnowsReplayedEvents(t *testing.T) {
	var calls int
	var outcome error
	h := middleware.Idempotent(newStore(), nil)(counting(&calls, &outcome))
	poisoned := func(group string) leat.Event {
		e, err := leat.Poisoned{
			Event: newEvent(t, "a", "/shop", "1"), Reason: errDown, Info: leat.Info{Topic: "orders", Group: group, Attempt: 1},
		}.AsEvent()
		require.NoError(t, err)
		return e
	}
	for i, c := range []struct {
		topic, group string
		e            leat.Event
		calls        int
	}{
		{"orders.billing.poison", leat.ReplayGroup, poisoned("billing"), 1},
		{"orders.billing.poison", leat.ReplayGroup, poisoned("billing"), 1},
		{"orders", "billing", newEvent(t, "a", "/shop", "1"), 1},
		{"orders.shipping.poison", leat.ReplayGroup, poisoned("shipping"), 2},
		{"orders", "audit", poisoned("billing"), 3}, // anybody can write that
		{"orders", "billing", newEvent(t, "a", "/replay", "1"), 4},
	} {
		require.NoError(t, h.Handle(group(t.Context(), c.topic, c.group), c.e))
		assert.Equal(t, c.calls, calls, "step %d", i)
	}
}

// A handler gets the very key that the Store was asked for, also inside of Timeout, and no other.
func TestIdempotentTellsTheHandlerItsKey(t *testing.T) {
	s := newStore()
	var got []string
	tell := leat.HandlerFunc(func(ctx context.Context, _ leat.Event) error {
		got = append(got, middleware.IdempotencyKey(ctx))
		return nil
	})
	ctx := group(t.Context(), "orders", "billing")
	h := leat.Chain(tell, middleware.Idempotent(s, nil), middleware.Timeout(time.Minute))
	require.NoError(t, h.Handle(ctx, newEvent(t, "a", "/shop", "1")))
	require.NoError(t, h.Handle(ctx, newEvent(t, "a", "/shop", strings.Repeat("long", 100))))
	assert.Equal(t, s.keys, got)
	assert.Contains(t, got[1], "sha256:", "as the Store has it")

	got = nil
	none := middleware.Idempotent(s, &middleware.IdempotentOptions{Key: func(leat.Event) string { return "" }})(tell)
	require.NoError(t, none.Handle(ctx, newEvent(t, "a", "/shop", "2")))
	require.NoError(t, tell.Handle(ctx, newEvent(t, "a", "/shop", "3")))
	assert.Equal(t, []string{"", ""}, got)
}

// table is a database with one table of keys, which is the Store and what the handler writes its
// rows to.
type table struct {
	mu   sync.Mutex
	keys map[string]bool
	rows int
}

func (d *table) Seen(_ context.Context, key string) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.keys[key], nil
}

func (d *table) Mark(_ context.Context, key string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keys[key] = true
	return nil
}

// charge is a transaction.
func (d *table) charge(key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.keys[key] {
		d.keys[key] = true
		d.rows++
	}
}

// With the key in the handler's transaction, deliveries of one event that are handled at the same
// time leave one row.
func TestIdempotentWithTheKeyInTheTransaction(t *testing.T) {
	d := &table{keys: map[string]bool{}}
	var begun sync.WaitGroup
	begun.Add(2)
	h := middleware.Idempotent(d, nil)(leat.HandlerFunc(func(ctx context.Context, _ leat.Event) error {
		begun.Done()
		begun.Wait() // both have asked Seen
		d.charge(middleware.IdempotencyKey(ctx))
		return nil
	}))
	ctx, e := group(t.Context(), "orders", "billing"), newEvent(t, "a", "/shop", "1")
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() { assert.NoError(t, h.Handle(ctx, e)) })
	}
	both.Wait()
	assert.Equal(t, 1, d.rows)
	require.NoError(t, h.Handle(ctx, e), "it is passed over")
	assert.Equal(t, 1, d.rows)
}
