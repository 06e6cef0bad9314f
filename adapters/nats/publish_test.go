package nats_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/nats"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDeduplicate: a stream drops what it has, if that is wanted.
func TestDeduplicate(t *testing.T) {
	t.Parallel()
	for _, on := range []bool{false, true} {
		b, topic := live(t, nats.Options{Deduplicate: on}), brokertest.Name(t)
		require.NoError(t, b.Declare(t.Context(), leat.Subscription{Topic: topic, Group: "g"}))
		events := brokertest.Events(t, 0, 3, 1)
		for range 2 {
			require.NoError(t, leat.NewProducer(b, nil).Publish(t.Context(), topic, events...))
		}
		s, err := raw(t).Stream(t.Context(), serverName(topic))
		require.NoError(t, err)
		assert.EqualValues(t, map[bool]int{false: 6, true: 3}[on], s.CachedInfo().State.Msgs)
	}
}

// TestRefused: what a server or the adapter refuses has a code of its own, and its neighbours are
// stored.
func TestRefused(t *testing.T) {
	t.Parallel()
	b, topic := live(t, nats.Options{Stream: func(topic string, c *jetstream.StreamConfig) {
		c.MaxMsgSize = 100_000
		if strings.HasSuffix(topic, "full") {
			c.MaxMsgs, c.Discard = 1, jetstream.DiscardNew
		}
	}}), brokertest.Name(t)
	require.NoError(t, b.Declare(t.Context(), leat.Subscription{Topic: topic, Group: "g"},
		leat.Subscription{Topic: topic + "full", Group: "g"}))
	p := leat.NewProducer(b, nil)
	small, large := brokertest.Events(t, 0, 1, 0)[0], brokertest.Events(t, 1, 2, 0)[0]
	large = large.WithData("", make([]byte, 200_000))
	assert.Equal(t, leat.CodeNotFound, leat.CodeOf(p.Publish(t.Context(), topic+"none", small)))
	assert.Equal(t, leat.CodeTooLarge, leat.CodeOf(p.Publish(t.Context(), topic, large)))
	require.NoError(t, p.Publish(t.Context(), topic, small))
	require.NoError(t, p.Publish(t.Context(), topic+"full", small))
	assert.Equal(t, leat.CodeExhausted, leat.CodeOf(p.Publish(t.Context(), topic+"full", small)))
}

// TestNobodyListens: what was never sent is refused, with the reason, when its ctx ends.
func TestNobodyListens(t *testing.T) {
	t.Parallel()
	for name, address := range map[string]string{"vacant": brokertest.Vacant(t), "silent": brokertest.Silent(t)} {
		b, err := nats.New(&nats.Options{Hosts: []string{address}, CloseTimeout: time.Second})
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		err = leat.NewProducer(b, nil).Publish(ctx, "t", brokertest.Events(t, 0, 1, 0)...)
		cancel()
		assert.Equal(t, leat.CodeUnavailable, leat.CodeOf(err), "%s: %v", name, err)
		ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
		_, err = b.Subscribe(ctx, leat.Subscription{Topic: "t", Group: "g"})
		cancel()
		require.Error(t, err)
		require.Error(t, b.Health(), name)
		begin := time.Now()
		require.NoError(t, b.Close())
		assert.Less(t, time.Since(begin), time.Second+250*time.Millisecond, "%s: the CloseTimeout", name)
		assert.Equal(t, leat.CodeClosed, leat.CodeOf(b.Health()))
	}
}

// TestBroadcastSaysWhyItEnds: health has why a server does not make the consumer again.
func TestBroadcastSaysWhyItEnds(t *testing.T) {
	t.Parallel()
	b, topic := live(t, nats.Options{}), brokertest.Name(t)
	s, err := b.Subscribe(t.Context(), leat.Subscription{Topic: topic, Broadcast: true})
	require.NoError(t, err)
	require.NoError(t, raw(t).DeleteStream(t.Context(), serverName(topic)))
	eventually(t, "health says it", func() bool {
		err := s.(leat.HealthReporter).Health()
		return leat.CodeOf(err) == leat.CodeNotFound && strings.Contains(err.Error(), "stream not found")
	})
}

// TestBroadcastOutlivesItsConsumer: the server has forgotten the consumer, which was in memory.
func TestBroadcastOutlivesItsConsumer(t *testing.T) {
	t.Parallel()
	server := brokertest.StartNATS(t, nil)
	b := live(t, nats.Options{Hosts: server.Addrs()})
	topic := brokertest.Name(t)
	s, err := b.Subscribe(t.Context(), leat.Subscription{Topic: topic, Broadcast: true})
	require.NoError(t, err)
	assert.True(t, s.Capabilities().Broadcast)
	p := leat.NewProducer(b, nil)
	require.NoError(t, p.Publish(t.Context(), topic, brokertest.Events(t, 0, 2, 1)...))
	assert.Equal(t, []string{"0", "1"}, brokertest.Receive(t, s, 2))
	require.NoError(t, server.Restart(t.Context()))
	require.NoError(t, p.Publish(t.Context(), topic, brokertest.Events(t, 2, 4, 1)...))
	assert.Equal(t, []string{"2", "3"}, brokertest.Receive(t, s, 2))
}
