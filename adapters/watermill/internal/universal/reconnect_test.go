//go:build !race

package universal_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestReconnects is the suite's TestReconnect: 10,000 messages of 100 publishers while the broker
// is restarted twice. The test appends to its list of published messages in one goroutine and reads
// it in another, so it cannot run under the race detector.
func TestReconnects(t *testing.T) {
	control := filepath.Join(t.TempDir(), "brokers")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", control, "github.com/leatgo/leat/internal/brokertest/cmd/brokers")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	t.Run("kafka", func(t *testing.T) {
		brokertest.Kafka(t) // skips where there is none to be had
		dir := t.TempDir()
		kafka, err := brokertest.KeepKafka(t.Context(), dir, nil)
		require.NoError(t, err)
		require.NoError(t, kafka.Start(t.Context()))
		stopAfter(t, control, dir)
		b := broker{open: func(t *testing.T) leat.Broker { return openKafka(t, kafka.Addrs()) }, features: flags()}
		b.reconnect(t, control, "restart", "-dir", dir)
	})
	t.Run("rabbitmq", func(t *testing.T) {
		brokertest.RabbitMQ(t) // likewise
		dir := t.TempDir()
		node, err := brokertest.KeepRabbitMQ(t.Context(), dir, nil)
		require.NoError(t, err)
		require.NoError(t, node.Start(t.Context()))
		stopAfter(t, control, dir)
		b := broker{open: func(t *testing.T) leat.Broker { return openRabbitMQ(t, node.URL()) }, features: flags()}
		b.reconnect(t, control, "restart", "-dir", dir)
	})
	t.Run("nats", func(t *testing.T) {
		brokertest.NATS(t) // likewise
		dir := t.TempDir()
		server, err := brokertest.KeepNATS(t.Context(), dir, nil)
		require.NoError(t, err)
		require.NoError(t, server.Start(t.Context()))
		stopAfter(t, control, dir)
		b := broker{open: func(t *testing.T) leat.Broker { return openNATS(t, server.Addrs()) }, features: flags()}
		b.reconnect(t, control, "restart", "-dir", dir)
	})
}

// stopAfter stops the broker in a folder when the test is over. What runs then was started by the
// control program, which knows it.
func stopAfter(t *testing.T, control, dir string) {
	t.Helper()
	t.Cleanup(func() {
		out, err := exec.CommandContext(context.Background(), control, "stop", "-dir", dir).CombinedOutput()
		assert.NoError(t, err, string(out))
	})
}

func (b broker) reconnect(t *testing.T, command ...string) {
	t.Helper()
	features := b.features
	features.RestartServiceCommand = command
	tests.TestReconnect(t, tests.TestContext{TestID: tests.NewTestID(), Features: features},
		func(t *testing.T) (message.Publisher, message.Subscriber) {
			pub, sub := b.pubSub(t, "universal")
			h := &holding{Publisher: pub, confirmed: map[string]bool{}, all: make(chan struct{}), over: make(chan struct{})}
			t.Cleanup(func() { close(h.over) })
			return h, held{Subscriber: sub, h: h}
		})
}

// reconnectMessages is how many messages TestReconnect publishes.
const reconnectMessages = 10_000

// holding is a Publisher that knows what was confirmed. TestReconnect compares what it has received
// with its list of published messages as soon as it has received all of them, while a message gets
// into the list some time after its Publish has returned; a consumer may have it before that. So
// the last message is held back until every Publish has returned, and the list has had a second.
type holding struct {
	message.Publisher

	mu        sync.Mutex
	confirmed map[string]bool
	all       chan struct{} // closed when all are
	over      chan struct{} // closed when the test is over
}

func (h *holding) Publish(topic string, messages ...*message.Message) error {
	err := h.Publisher.Publish(topic, messages...)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range messages {
		if !h.confirmed[m.UUID] {
			h.confirmed[m.UUID] = true
			if len(h.confirmed) == reconnectMessages {
				close(h.all)
			}
		}
	}
	return nil
}

// held is the Subscriber beside a holding.
type held struct {
	message.Subscriber

	h *holding
}

func (s held) SubscribeInitialize(topic string) error {
	return s.Subscriber.(message.SubscribeInitializer).SubscribeInitialize(topic)
}

func (s held) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	messages, err := s.Subscriber.Subscribe(ctx, topic)
	if err != nil {
		return nil, err
	}
	out := make(chan *message.Message)
	go func() {
		defer close(out)
		seen, waited := map[string]bool{}, false
		for m := range messages {
			if seen[m.UUID] = true; len(seen) == reconnectMessages && !waited {
				waited = true
				s.wait(ctx)
			}
			select {
			case out <- m:
			case <-ctx.Done():
				m.Nack()
			case <-s.h.over:
				m.Nack()
			}
		}
	}()
	return out, nil
}

// wait waits until all is confirmed, and for a second more.
func (s held) wait(ctx context.Context) {
	select {
	case <-s.h.all:
	case <-ctx.Done():
		return
	case <-s.h.over:
		return
	}
	select {
	case <-time.After(time.Second): // TestReconnect's list cannot be seen from here
	case <-ctx.Done():
	case <-s.h.over:
	}
}

// shortWithRace leaves the tests as they are; see race_test.go.
func shortWithRace(f tests.Features) tests.Features { return f }
