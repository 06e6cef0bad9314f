package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
)

// heldMember is a consumer whose handlers a test holds.
type heldMember struct {
	broker   *kafka.Broker
	consumer *leat.Consumer
	log      *logged
	stop     context.CancelFunc
	ran      chan error

	mu      sync.Mutex
	handled map[string]int // finished with nil, by id
	causes  map[string]error
	started chan string
	release chan struct{} // handlers wait for it, or for their context
}

func join(t *testing.T, o kafka.Options) *heldMember {
	t.Helper()
	m := &heldMember{log: &logged{}, ran: make(chan error, 1), handled: map[string]int{}, causes: map[string]error{},
		started: make(chan string, 1000), release: make(chan struct{})}
	o.Logger = slog.New(slog.NewTextHandler(m.log, &slog.HandlerOptions{Level: slog.LevelInfo}))
	m.broker = open(t, o)
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	t.Cleanup(cancel)
	m.consumer = leat.NewConsumer(m.broker, leat.Subscription{Topic: "t", Group: "g"}, leat.HandlerFunc(m.handle), nil)
	go func() { m.ran <- leat.Run(ctx, m.consumer) }()
	return m
}

func (m *heldMember) handle(ctx context.Context, e leat.Event) error {
	m.started <- e.ID()
	var err error
	select {
	case <-m.release:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		m.causes[e.ID()] = err
		return err
	}
	m.handled[e.ID()]++
	return nil
}

func (m *heldMember) finished() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.handled)
}

// startAll waits until handlers of n events run.
func (m *heldMember) startAll(t *testing.T, n int) {
	t.Helper()
	for range n {
		select {
		case <-m.started:
		case <-time.After(10 * time.Second):
			require.Fail(t, "the events did not come")
		}
	}
}

// twoPartitions publishes 8 events, by whose keys both partitions get some.
func twoPartitions(t *testing.T) (*fake, kafka.Options) {
	t.Helper()
	f := newFake(t, kfake.SeedTopics(2, "t"))
	o := quick(f.ListenAddrs()...)
	o.RebalanceTimeout = 3 * time.Second
	b := open(t, o)
	for i := range 8 {
		require.NoError(t, publishOne(b, "t", event(fmt.Sprint(i), fmt.Sprintf("key %d", i)), 5*time.Second))
	}
	return f, o
}

// awaitAll waits until the members have handled all 8 events, and returns how often together.
func awaitAll(t *testing.T, members ...*heldMember) (times map[string]int) {
	t.Helper()
	require.NoError(t, await(15*time.Second, func() error {
		times = map[string]int{}
		for _, m := range members {
			for id, n := range m.finished() {
				times[id] += n
			}
		}
		if len(times) < 8 {
			return fmt.Errorf("handled are only %v", times)
		}
		return nil
	}))
	return times
}

// TestRevokeWaitsForHandlers lets another member join while handlers run that finish in time:
// nothing is handled twice.
func TestRevokeWaitsForHandlers(t *testing.T) {
	t.Parallel()
	f, o := twoPartitions(t)
	first := join(t, o)
	first.startAll(t, 8)
	second := join(t, o)
	close(second.release)
	require.NoError(t, await(10*time.Second, func() error { // the rebalance has begun
		if g := f.GroupInfo("g"); g == nil || len(g.Members) < 2 {
			return errors.New("the second member has not joined")
		}
		return nil
	}))
	time.Sleep(500 * time.Millisecond) // the handlers go on for a third of their grace
	close(first.release)
	for id, n := range awaitAll(t, first, second) {
		assert.Equal(t, 1, n, "event %s", id)
	}
	require.NoError(t, await(10*time.Second, func() error {
		for _, m := range f.GroupInfo("g").Members {
			if m.NumAssigned() != 1 {
				return fmt.Errorf("a member has %d partitions", m.NumAssigned())
			}
		}
		return nil
	}))
	assert.NoError(t, first.broker.Health())
	assert.NotContains(t, first.log.String(), "given up")
}

// TestRevokeEndsSlowHandlers lets another member join while handlers run that do not finish: they
// lose the lease after the grace, and the other member handles their events.
func TestRevokeEndsSlowHandlers(t *testing.T) {
	t.Parallel()
	_, o := twoPartitions(t)
	first := join(t, o)
	first.startAll(t, 8)
	begin := time.Now()
	second := join(t, o)
	close(second.release)
	require.NoError(t, await(o.RebalanceTimeout/2+2*time.Second, func() error {
		first.mu.Lock()
		defer first.mu.Unlock()
		if len(first.causes) == 0 {
			return errors.New("no handler was ended")
		}
		for id, cause := range first.causes {
			if !errors.Is(cause, leat.ErrLeaseLost) {
				return fmt.Errorf("event %s: %w", id, cause)
			}
		}
		return nil
	}))
	assert.GreaterOrEqual(t, time.Since(begin), o.RebalanceTimeout/2)
	h := first.consumer.Health()
	if assert.Len(t, h.Problems, 1) {
		code(t, leat.CodeHandler, h.Problems[0])
		assert.ErrorContains(t, h.Problems[0], "the handler of offset")
	}
	assert.NoError(t, first.broker.Health(), "it concerns one stream, not the broker")
	assert.Contains(t, first.log.String(), "the handler of offset")
	close(first.release)
	for id, n := range awaitAll(t, first, second) {
		assert.Equal(t, 1, n, "event %s", id)
	}
}

// TestHandlerThatNeverEnds drains a consumer whose handler ignores its context: Run names it, and
// Close ends all the same. It measures, so it runs alone.
func TestHandlerThatNeverEnds(t *testing.T) {
	f := newFake(t, kfake.SeedTopics(1, "t"))
	o := quick(f.ListenAddrs()...)
	b := open(t, o)
	require.NoError(t, publishOne(b, "t", event("stuck", "k"), 5*time.Second))
	require.NoError(t, publishOne(b, "t", event("behind", "k"), 5*time.Second))
	held, started := make(chan struct{}), make(chan struct{})
	defer close(held)
	ctx, cancel := context.WithCancel(t.Context())
	c := leat.NewConsumer(b, leat.Subscription{Topic: "t", Group: "g"}, leat.HandlerFunc(func(context.Context, leat.Event) error {
		close(started)
		<-held
		return nil
	}), &leat.ConsumerOptions{ShutdownTimeout: 300 * time.Millisecond, MaxInFlight: 1, StallAfter: 200 * time.Millisecond})
	ran := make(chan error, 1)
	go func() { ran <- leat.Run(ctx, c) }()
	select {
	case <-started:
	case <-time.After(10 * time.Second):
		require.Fail(t, "the handler did not start")
	}
	require.NoError(t, await(5*time.Second, func() error {
		if h := c.Health(); h.State != leat.Stalled {
			return fmt.Errorf("health is %v", h)
		}
		return nil
	}))
	cancel()
	select {
	case err := <-ran:
		require.ErrorContains(t, err, "stuck")
	case <-time.After(10 * time.Second):
		require.Fail(t, "Run did not return")
	}
	begin := time.Now()
	require.NoError(t, b.Close())
	assert.Less(t, time.Since(begin), o.CloseTimeout+250*time.Millisecond)
	require.NoError(t, f.committed("g", "t", 0))
}
