package leat_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestNothingIsLostAndOrderHoldsUnderFaults runs consumers of one group that join, leave, crash and
// lose their leases, over handlers that fail, panic, leave and pause, in fake time, and then
// compares ledgers. It runs the seeds 1 to 20, which have found faults before, and as many new
// ones, so that each run looks where none has looked. LEAT_SEED runs one seed, LEAT_RUNS more of
// both. A failure names its seed.
func TestNothingIsLostAndOrderHoldsUnderFaults(t *testing.T) {
	soakSeeds(t, 20, func(l *ledger) leat.Handler { return l.handler() })
}

// soakSeeds runs a soak of the handler with as many fixed seeds as runs says, and as many new ones.
func soakSeeds(t *testing.T, runs uint64, handler func(l *ledger) leat.Handler) {
	first := uint64(1)
	if n, err := strconv.ParseUint(os.Getenv("LEAT_RUNS"), 10, 64); err == nil {
		runs = n
	}
	if n, err := strconv.ParseUint(os.Getenv("LEAT_SEED"), 10, 64); err == nil {
		runs, first = 1, n
	}
	var seeds []uint64
	for i := range runs {
		seeds = append(seeds, first+i)
	}
	if os.Getenv("LEAT_SEED") == "" {
		for range runs {
			seeds = append(seeds, rand.Uint64())
		}
	}
	t.Logf("seeds: %d", seeds)
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { soak(t, seed, handler) })
		})
	}
}

// ledger is what happened to the events of one soak run.
type ledger struct {
	t  *testing.T
	mu sync.Mutex

	published map[string][]string // by key, in order
	firstDone map[string][]string // by key: in the order of their first successful handling
	done      map[string]int
	poisoned  map[string]int
	busy      map[string]context.Context // of the handler that runs for a key
	luck      *rand.Rand
}

// chance returns a number below n.
func (l *ledger) chance(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.luck.IntN(n)
}

func (l *ledger) begin(ctx context.Context, e leat.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.Key() == "" {
		return
	}
	// From the moment a lease is lost, another consumer may run the key.
	if other := l.busy[e.Key()]; other != nil {
		assert.Error(l.t, other.Err(), "%s begins while another of its key runs", e.ID())
	}
	l.busy[e.Key()] = ctx //nolint:fatcontext // one context for each key, none inside another
}

func (l *ledger) leave(ctx context.Context, e leat.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy[e.Key()] == ctx {
		delete(l.busy, e.Key())
	}
}

func (l *ledger) handled(e leat.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done[e.ID()]++; l.done[e.ID()] == 1 {
		l.firstDone[e.Key()] = append(l.firstDone[e.Key()], e.ID())
	}
}

// handler fails by chance. A handler whose context has ended reports no success, as what it does
// then no longer counts.
func (l *ledger) handler() leat.HandlerFunc {
	return func(ctx context.Context, e leat.Event) error {
		l.begin(ctx, e)
		defer l.leave(ctx, e)
		luck, takes := l.chance(100), time.Duration(l.chance(30))*time.Millisecond
		time.Sleep(takes)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case luck < 10:
			return errBoom
		case luck < 15:
			return leat.RetryAfter(takes, errBoom)
		case luck < 17:
			crash("panic")
		case luck < 19:
			crash("goexit")
		case luck == 19:
			return leat.Pause(takes, errBoom)
		case luck == 20:
			return leat.Reject(errBoom)
		}
		l.handled(e)
		return nil
	}
}

func soak(t *testing.T, seed uint64, handler func(l *ledger) leat.Handler) {
	r := rand.New(rand.NewPCG(seed, 0)) // of this goroutine; the handlers have their own
	broker := memory.New(&memory.Options{LeaseDuration: 5 * time.Second})
	producer := leat.NewProducer(broker, nil)
	l := &ledger{
		t: t, published: map[string][]string{}, firstDone: map[string][]string{}, done: map[string]int{},
		poisoned: map[string]int{}, busy: map[string]context.Context{}, luck: rand.New(rand.NewPCG(seed, 1)),
	}
	require.NoError(t, leat.Declare(t.Context(), broker, testSub))
	queue := middleware.PoisonQueue(producer, nil)
	options := &leat.ConsumerOptions{
		Concurrency: 8, MaxInFlight: 50, ShutdownTimeout: time.Second,
		PoisonQueue: poisonFunc(func(ctx context.Context, p leat.Poisoned) error {
			if l.chance(4) == 0 {
				return errBoom
			}
			err := queue.Poison(ctx, p)
			if err == nil {
				l.mu.Lock()
				defer l.mu.Unlock()
				l.poisoned[p.Event.ID()]++
			}
			return err
		}),
	}
	h := handler(l)
	var members []*running
	join := func() {
		ctx, cancel := context.WithCancel(t.Context())
		m := &running{t: t, consumer: leat.NewConsumer(broker, testSub, h, options), cancel: cancel, result: make(chan error, 1)}
		go func() { m.result <- leat.Run(ctx, m.consumer) }()
		members = append(members, m)
	}
	leave := func(i int) {
		err := members[i].stop()
		if err != nil {
			assert.Equal(t, leat.CodeHandler, leat.CodeOf(err), "only a panic may be left: %v", err)
		}
		members = append(members[:i], members[i+1:]...)
	}
	const events = 600
	total := 0
	for total < events {
		for range 1 + r.IntN(40) {
			key := ""
			if n := r.IntN(25); n < 20 {
				key = fmt.Sprint("key", n)
			}
			e := event(t, fmt.Sprintf("%04d", total), key)
			require.NoError(t, producer.Publish(t.Context(), "orders", e))
			l.published[key] = append(l.published[key], e.ID())
			total++
		}
		what, wait := r.IntN(8), time.Duration(r.IntN(200))*time.Millisecond
		switch {
		case len(members) < 3 && what < 4:
			join()
		case what == 4 && len(members) > 1:
			leave(0)
		case what == 5:
			broker.Crash()
		case what == 6:
			require.NoError(t, broker.ExpireLeases("orders", "billing"))
		}
		time.Sleep(wait)
	}
	if len(members) == 0 {
		join()
	}
	time.Sleep(time.Hour)
	for len(members) > 0 {
		s := members[0].consumer.Stats()
		assert.Zero(t, s.InFlight, "%+v", s)
		leave(0)
	}
	l.compare()
	require.NoError(t, errors.Join(producer.Close(t.Context()), broker.Close()))
}

func (l *ledger) compare() {
	known := map[string]bool{}
	for _, ids := range l.published {
		for _, id := range ids {
			known[id] = true
		}
	}
	for id := range l.done {
		assert.True(l.t, known[id], "event %s was handled and never published", id)
	}
	for id := range l.poisoned {
		assert.True(l.t, known[id], "event %s was poisoned and never published", id)
	}
	for key, ids := range l.published {
		for _, id := range ids {
			assert.True(l.t, l.done[id] > 0 || l.poisoned[id] > 0, "event %s of key %q is lost", id, key)
		}
		if key != "" {
			assert.IsIncreasing(l.t, append([]string{""}, l.firstDone[key]...), "key %s", key)
		}
	}
}
