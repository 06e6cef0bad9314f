package kafka_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// holdingConsumer has a handler that holds the first event until it is let go.
type holdingConsumer struct {
	consumer *leat.Consumer
	held     chan context.Context // gets the context of the handler that holds
	release  chan struct{}
	stop     func()

	mu      sync.Mutex
	handled []string
	started []string
}

func startHolding(t *testing.T, b *kafka.Broker, sub leat.Subscription) *holdingConsumer {
	t.Helper()
	h := &holdingConsumer{held: make(chan context.Context, 1), release: make(chan struct{})}
	h.consumer = leat.NewConsumer(b, sub, leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
		h.mu.Lock()
		h.started = append(h.started, e.ID())
		first := len(h.started) == 1
		h.mu.Unlock()
		if first {
			h.held <- ctx
			select {
			case <-h.release:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.handled = append(h.handled, e.ID())
		return nil
	}), nil)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- leat.Run(ctx, h.consumer) }()
	h.stop = sync.OnceFunc(func() {
		cancel()
		assert.NoError(t, <-done)
	})
	t.Cleanup(h.stop)
	return h
}

func (h *holdingConsumer) seen() (started, handled []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.started...), append([]string(nil), h.handled...)
}

var protocols = map[string]kafka.Protocol{"classic": kafka.ProtocolClassic, "consumer": kafka.ProtocolConsumer}

// TestHandlerOutlivesAnOutage: a handler goes on while the only node is down for less than the
// session timeout; what it has handled counts, and the next event of its key begins only then.
func TestHandlerOutlivesAnOutage(t *testing.T) {
	c := brokertest.StartKafka(t, nil)
	for name, protocol := range protocols {
		t.Run(name, func(t *testing.T) {
			o := quick(c.Addrs()...)
			o.Protocol, o.SessionTimeout = protocol, 30*time.Second
			b := open(t, o)
			sub := leat.Subscription{Topic: name, Group: name}
			require.NoError(t, await(30*time.Second, func() error { return b.Declare(t.Context(), sub) }))
			h := startHolding(t, b, sub)
			require.NoError(t, publishOne(b, name, event("0", "k"), 10*time.Second))
			require.NoError(t, publishOne(b, name, event("1", "k"), 10*time.Second))
			held := <-h.held
			c.Kill()
			down := 5 * time.Second
			if long() {
				down = 10 * time.Second
			}
			select {
			case <-held.Done():
				require.Fail(t, "the handler's context ended", "%v", context.Cause(held))
			case <-time.After(down): // the length of the outage is what is tested
			}
			require.NoError(t, c.Start(t.Context()))
			require.NoError(t, await(30*time.Second, b.Health))
			select {
			case <-held.Done():
				require.Fail(t, "the handler's context ended", "%v", context.Cause(held))
			case <-time.After(2 * time.Second): // a lease that the restart ends is ended by then
			}
			close(h.release)
			require.NoError(t, publishOne(b, name, event("2", "k"), 10*time.Second))
			require.Eventually(t, func() bool { _, handled := h.seen(); return len(handled) >= 3 }, livePatience, 10*time.Millisecond)
			liveCommitted(t, b, name, name, 3)
			started, handled := h.seen()
			assert.Equal(t, []string{"0", "1", "2"}, handled)
			assert.Equal(t, []string{"0", "1", "2"}, started)
			h.stop()
		})
	}
}

// TestLeaseEndsWhenTheSessionCannotBeHeld: while the only node is down for longer than the session
// timeout, the handler's context ends when that has passed, and says so; the event is handled again
// when the node is up.
func TestLeaseEndsWhenTheSessionCannotBeHeld(t *testing.T) {
	c := brokertest.StartKafka(t, nil)
	o := quick(c.Addrs()...)
	o.SessionTimeout = 3 * time.Second
	b := open(t, o)
	sub := leat.Subscription{Topic: "t", Group: "g"}
	require.NoError(t, await(30*time.Second, func() error { return b.Declare(t.Context(), sub) }))
	h := startHolding(t, b, sub)
	require.NoError(t, publishOne(b, "t", event("0", "k"), 10*time.Second))
	require.NoError(t, publishOne(b, "t", event("1", "k"), 10*time.Second))
	held := <-h.held
	c.Kill()
	at := time.Now()
	select {
	case <-held.Done():
	case <-time.After(livePatience):
		require.Fail(t, "the handler's context does not end")
	}
	took := time.Since(at)
	assert.InDelta(t, o.SessionTimeout.Seconds(), took.Seconds(), 1)
	require.ErrorIs(t, context.Cause(held), leat.ErrLeaseLost)
	assert.Regexp(t, "the group has not answered a heartbeat for (2.[6-9]|3)", context.Cause(held).Error())
	require.ErrorContains(t, context.Cause(held), "the session timeout of 3s")
	require.ErrorContains(t, context.Cause(held), "the last connection")
	require.ErrorContains(t, errors.Join(h.consumer.Health().Problems...), "has not answered a heartbeat")
	close(h.release)
	require.NoError(t, c.Start(t.Context()))
	require.Eventually(t, func() bool { _, handled := h.seen(); return len(handled) >= 2 }, livePatience, 10*time.Millisecond)
	liveCommitted(t, b, "t", "g", 2)
	started, handled := h.seen()
	assert.Equal(t, []string{"0", "1"}, handled)
	assert.Equal(t, []string{"0", "0", "1"}, started)
	require.Eventually(t, func() bool { return h.consumer.Health().State == leat.Healthy }, livePatience, 10*time.Millisecond,
		"%v", h.consumer.Health().Problems)
}
