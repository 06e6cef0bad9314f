package rabbitmq_test

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/rabbitmq"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hangup is a server that ends each connection at once, and counts them.
type hangup struct {
	net.Listener

	mu    sync.Mutex
	times []time.Time
}

func startHangup(t *testing.T) *hangup {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	h := &hangup{Listener: l}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			h.mu.Lock()
			h.times = append(h.times, time.Now())
			h.mu.Unlock()
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return h
}

func (h *hangup) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.times)
}

// TestDialsAreRare: whatever waits for a broker that is not well, it is dialed once a second at
// most for each purpose.
func TestDialsAreRare(t *testing.T) {
	t.Parallel()
	h := startHangup(t)
	b := liveBroker(t, rabbitmq.Options{
		Hosts: []string{h.Addr().String()}, CloseTimeout: time.Second, RequestTimeout: 4 * time.Second, DeliveryTimeout: 4 * time.Second,
	})
	began := time.Now()
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			_, err := b.Subscribe(t.Context(), leat.Subscription{Topic: "t", Group: "g"})
			assert.Error(t, err)
		})
	}
	for _, err := range liveOutcomes(t.Context(), b, "t", liveEvents(t, 0, 100, 10)...) {
		require.Error(t, err)
		assert.NotEqual(t, leat.CodeUnknown, leat.CodeOf(err), "it was never sent")
	}
	wg.Wait()
	seconds := int(time.Since(began)/time.Second) + 1
	assert.GreaterOrEqual(t, h.count(), 3)
	assert.LessOrEqual(t, h.count(), 2*seconds, "in %d s", seconds)
	assert.Error(t, b.Health())
}

// TestFailover: a host that is down costs no second.
func TestFailover(t *testing.T) {
	t.Parallel()
	n := brokertest.StartRabbitMQ(t, nil)
	o := liveOptions(n)
	h := startHangup(t)
	o.Hosts = []string{h.Addr().String(), n.Addr()}
	b := liveBroker(t, o)
	sub := liveSub(t)
	began := time.Now()
	s := liveSubscribe(t, b, sub)
	livePublish(t, b, sub.Topic, liveEvents(t, 0, 10, 2)...)
	liveReceive(t, s, 10)
	assert.Less(t, time.Since(began), 3*time.Second)
	require.NoError(t, b.Health())
}

// TestFailoverFromARefusal: a host that refuses the client does not keep it from the next one.
func TestFailoverFromARefusal(t *testing.T) {
	t.Parallel()
	certs := brokertest.NewCerts(t)
	n := brokertest.StartRabbitMQ(t, &brokertest.RabbitMQOptions{Certs: certs})
	o := liveOptions(n)
	o.TLS, o.Hosts = certs.TLS(), []string{n.Addr(), n.TLSAddr()} // the first has no TLS
	b := liveBroker(t, o)
	sub := liveSub(t)
	require.NoError(t, leat.Declare(t.Context(), b, sub))
	livePublish(t, b, sub.Topic, liveEvents(t, 0, 10, 2)...)
	o.Hosts = []string{n.Addr(), n.Addr()}
	began := time.Now()
	for _, err := range liveOutcomes(t.Context(), liveBroker(t, o), sub.Topic, liveEvents(t, 0, 2, 1)...) {
		assert.Equal(t, leat.CodeUnauthenticated, leat.CodeOf(err), err)
	}
	assert.Less(t, time.Since(began), 10*time.Second, "when all of them refuse, that is told at once")
}

// asking is a log handler that asks for the health of a broker.
type asking struct {
	slog.Handler

	ask atomic.Pointer[rabbitmq.Broker]
}

func (h *asking) Enabled(context.Context, slog.Level) bool { return true }

func (h *asking) Handle(context.Context, slog.Record) error {
	if b := h.ask.Load(); b != nil {
		_ = b.Health()
	}
	return nil
}

// TestLoggerAsksForHealth: nothing is locked while the Logger is called.
func TestLoggerAsksForHealth(t *testing.T) {
	t.Parallel()
	n := brokertest.StartRabbitMQ(t, nil)
	h := &asking{Handler: slog.DiscardHandler}
	o := liveOptions(n)
	o.Logger = slog.New(h)
	b := liveBroker(t, o)
	h.ask.Store(b)
	sub := liveSub(t)
	s := liveSubscribe(t, b, sub)
	_, err := n.CloseConnections(t.Context(), nil)
	require.NoError(t, err)
	livePublish(t, b, sub.Topic, liveEvents(t, 0, 10, 2)...)
	liveReceive(t, s, 10)
}

// TestConnectionLostBeforeItsChannel: a publish is sent by the next connection when the first one
// ends before it has a channel.
func TestConnectionLostBeforeItsChannel(t *testing.T) {
	t.Parallel()
	n := brokertest.StartRabbitMQ(t, nil)
	p := newProxy(t, n.Addr())
	o := liveOptions(n)
	sub := liveSub(t)
	require.NoError(t, leat.Declare(t.Context(), liveBroker(t, o), sub))
	o.Hosts = []string{p.Addr()}
	b := liveBroker(t, o)
	p.cutAt(methodChannelOpen)
	began := time.Now()
	livePublish(t, b, sub.Topic, liveEvents(t, 0, 1, 1)...)
	assert.Less(t, time.Since(began), 10*time.Second)
}

// TestLostAnswer: an answer that never comes is waited for as long as somebody waits for it, and
// holds up nobody else for ever.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	n := brokertest.StartRabbitMQ(t, nil)
	p := newProxy(t, n.Addr())
	o := liveOptions(n)
	sub, other := liveSub(t), liveSub(t)
	require.NoError(t, leat.Declare(t.Context(), liveBroker(t, o), sub, other))
	o.Hosts, o.PublishChannels, o.DeliveryTimeout, o.CloseTimeout = []string{p.Addr()}, 1, time.Second, 20*time.Second
	b := liveBroker(t, o)
	livePublish(t, b, sub.Topic, liveEvents(t, 0, 1, 1)...)
	lose := func() {
		p.drop(methodBasicAck)
		err := liveOutcomes(t.Context(), b, sub.Topic, liveEvents(t, 1, 2, 1)...)[0]
		require.Equal(t, leat.CodeUnknown, leat.CodeOf(err), err)
	}
	lose()
	liveEventually(t, "another topic is published to", func() bool {
		return liveOutcomes(t.Context(), b, other.Topic, liveEvents(t, 0, 1, 1)...)[0] == nil
	})
	lose()
	began := time.Now()
	require.NoError(t, b.Close())
	assert.Less(t, time.Since(began), o.CloseTimeout/2)
}

// TestStandby: the stream that stands by takes over within 5 s, in order, and what the other one
// settles then has no effect.
func TestStandby(t *testing.T) {
	t.Parallel()
	n := brokertest.StartRabbitMQ(t, nil)
	sub := liveSub(t)
	first, second := liveOptions(n), liveOptions(n)
	first.ClientID = "first"
	one := liveSubscribe(t, liveBroker(t, first), sub)
	b := liveBroker(t, second)
	two := liveSubscribe(t, b, sub)
	events := liveEvents(t, 0, 50, 1)
	livePublish(t, b, sub.Topic, events...)
	held := liveHold(t, one, 20)
	for i := range held[:10] {
		one.Settle(&held[i], leat.Settlement{Action: leat.Ack})
	}
	liveNothing(t, two, 200*time.Millisecond)
	closed, err := n.CloseConnections(t.Context(), func(c brokertest.RabbitMQConnection) bool { return strings.HasPrefix(c.Name, "first ") })
	require.NoError(t, err)
	require.Equal(t, 1, closed, "it has only consumed")
	began := time.Now()
	rest := liveHold(t, two, 40)
	assert.Less(t, time.Since(began), 5*time.Second)
	for i := range held[10:] {
		one.Settle(&held[10+i], leat.Settlement{Action: leat.Ack})
	}
	for i, d := range rest {
		assert.Equal(t, events[10+i].ID(), d.Event.ID())
		two.Settle(&rest[i], leat.Settlement{Action: leat.Ack})
	}
	liveEventually(t, "the first one stands by", func() bool { return one.Health() == nil })
	more := liveEvents(t, 50, 60, 1)
	livePublish(t, b, sub.Topic, more...)
	assert.Equal(t, ids(more), liveReceive(t, two, 10))
	require.NoError(t, two.Close(context.Background()))
	last := liveEvents(t, 60, 61, 1)
	livePublish(t, b, sub.Topic, last...)
	assert.Equal(t, ids(last), liveReceive(t, one, 1))
}
