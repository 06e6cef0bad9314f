package kafka_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// coreCases are the cases that a cluster must pass while its brokers die one after the other.
var coreCases = []string{
	"done-once", "whole-no-loss-no-ghosts", "whole-order-64-handlers", "whole-order-failing-handlers", "whole-slow-key",
	"whole-poisonous-key", "whole-error-is-retried", "whole-malformed-poisoned-once",
	"whole-groups-each-get-all", "whole-declared-group-keeps-events",
}

// uninjured is a harness for cases beside which something else injures the brokers.
type uninjured struct {
	eventtest.Harness
	eventtest.Injector
	eventtest.KeyInjector
	eventtest.Pacer
}

// TestClusterConformsWhileBrokersDie runs the core cases on three brokers of which one is always
// being killed or coming back.
func TestClusterConformsWhileBrokersDie(t *testing.T) {
	h := newHarness(t, 3)
	stop := h.killInTurn(t, 2*time.Second)
	report := eventtest.TestAdapter(t, uninjured{h, h, h, h}, &eventtest.Options{Only: coreCases})
	require.Len(t, report.Results, len(coreCases))
	require.Positive(t, stop())
}

// killInTurn kills the brokers one after the other and starts each again, with a pause in between,
// until stop is called, which says how many were killed.
func (h *harness) killInTurn(t *testing.T, pause time.Duration) (stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	killed := 0
	nodes := h.cluster.Nodes()
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return
			}
			node := nodes[i%len(nodes)]
			node.Kill()
			killed++
			select { // the others take over
			case <-time.After(pause):
			case <-ctx.Done():
			}
			if err := node.Start(context.WithoutCancel(ctx)); err != nil {
				t.Errorf("a killed broker does not start again: %v", err)
				return
			}
		}
	})
	return func() int {
		cancel()
		wg.Wait()
		return killed
	}
}

// load publishes numbered events of some keys, a batch at a time, and handles them in a group, and
// keeps account of both.
type load struct {
	keys      int
	batch     int
	handled   atomic.Int64
	published atomic.Int64

	mu     sync.Mutex
	next   []int // the number that the next event of each key gets
	ok     map[string]bool
	doubt  map[string]bool // an event of the key had another outcome, so that order across it is not promised
	first  map[string]int  // how often each event was handled
	newest map[string]int  // the highest number of each key that was handled
	wrong  []string
}

func newLoad(keys, batch int) *load {
	return &load{keys: keys, batch: batch, next: make([]int, keys), ok: map[string]bool{}, doubt: map[string]bool{},
		first: map[string]int{}, newest: map[string]int{}}
}

// publish publishes batches until ctx ends.
func (l *load) publish(ctx context.Context, t *testing.T, b leat.Broker, topic string) {
	t.Helper()
	p := leat.NewProducer(b, &leat.ProducerOptions{Source: "/load"})
	for ctx.Err() == nil {
		events := make([]leat.Event, l.batch)
		l.mu.Lock()
		for i := range events {
			k := i % l.keys
			e, err := leat.NewEvent("load.v1", &leat.EventOptions{
				ID: fmt.Sprintf("%d-%d", k, l.next[k]), Key: fmt.Sprint(k), Data: []byte(fmt.Sprint(l.next[k])),
			})
			assert.NoError(t, err)
			events[i] = e
			l.next[k]++
		}
		l.mu.Unlock()
		b.Publish(context.WithoutCancel(ctx), topic, fill(t, events), func(i int, err error) {
			l.mu.Lock()
			defer l.mu.Unlock()
			if err == nil {
				l.ok[events[i].ID()] = true
				l.published.Add(1)
			} else {
				l.doubt[events[i].Key()] = true
			}
		})
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	assert.NoError(t, p.Flush(ctx))
}

// fill gives events the source that a Producer would.
func fill(t *testing.T, events []leat.Event) []leat.Event {
	t.Helper()
	full := make([]leat.Event, len(events))
	for i, e := range events {
		full[i] = e.WithSource("/load")
	}
	return full
}

// Handle notes an event.
func (l *load) Handle(_ context.Context, e leat.Event) error {
	var n int
	if _, err := fmt.Sscan(e.DataString(), &n); err != nil {
		return leat.Reject(err)
	}
	l.handled.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.first[e.ID()]++
	if l.first[e.ID()] > 1 {
		return nil
	}
	if last, ok := l.newest[e.Key()]; ok && n < last && !l.doubt[e.Key()] {
		l.wrong = append(l.wrong, fmt.Sprintf("event %d of key %s is first handled after event %d", n, e.Key(), last))
	}
	l.newest[e.Key()] = max(l.newest[e.Key()], n)
	return nil
}

// open returns how many confirmed events were not handled yet.
func (l *load) open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for id := range l.ok {
		if l.first[id] == 0 {
			n++
		}
	}
	return n
}

// repeated returns how many handlings were not the first of their event.
func (l *load) repeated() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int(l.handled.Load()) - len(l.first)
}

// TestBrokerKilledUnderLoad kills the only broker while events are published and handled: nothing
// is lost, no key is out of order, and no more is handled again than was not committed.
func TestBrokerKilledUnderLoad(t *testing.T) {
	kills := 2
	if long() {
		kills = 20
	}
	h := newHarness(t, 1)
	const maxInFlight = 500
	sub := leat.Subscription{Topic: h.Topic(), Group: "killed"}
	broker, err := kafka.New(&h.options)
	require.NoError(t, err)
	defer func() { require.NoError(t, broker.Close()) }()
	require.NoError(t, leat.Declare(t.Context(), broker, sub))

	l := newLoad(20, 20)
	ctx, cancel := context.WithCancel(t.Context())
	consumer := leat.NewConsumer(broker, sub, l, &leat.ConsumerOptions{Concurrency: 16, MaxInFlight: maxInFlight,
		Middleware: []leat.Middleware{middleware.Retry(nil)}})
	result := make(chan error, 1)
	go func() { result <- leat.Run(ctx, consumer) }()
	publishing, stopPublishing := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { l.publish(publishing, t, broker, sub.Topic) })

	for range kills {
		before := l.handled.Load()
		require.Eventually(t, func() bool { return l.handled.Load() > before+500 }, time.Minute, 10*time.Millisecond)
		require.NoError(t, h.Kill(ctx))
		require.NoError(t, h.Start(ctx))
	}
	stopPublishing()
	wg.Wait()
	require.Eventually(t, func() bool { return l.open() == 0 }, time.Minute, 50*time.Millisecond, "confirmed events were not handled")
	cancel()
	require.NoError(t, <-result)
	require.Empty(t, l.wrong)
	t.Logf("%d kills, %d events confirmed, %d handled again", kills, l.published.Load(), l.repeated())
	// What was settled in order before the kill is not handled again, although its commit was lost.
	require.LessOrEqual(t, l.repeated(), kills*maxInFlight)
}
