package nats_test

import (
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/nats"
	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestLeasesOnASlowServer: a server that answers within an eighth of AckWait keeps the leases. A
// tenth is what AckWait should be made for, and a busy machine takes longer now and then.
func TestLeasesOnASlowServer(t *testing.T) {
	t.Parallel()
	const term = 2 * ackWait
	p, err := eventtest.StartProxy(brokertest.NATS(t)[0])
	require.NoError(t, err)
	t.Cleanup(p.Close)
	b := live(t, nats.Options{Hosts: []string{p.Addr()}, AckWait: term, PinnedTTL: 2 * time.Second})
	sub := leat.Subscription{Topic: brokertest.Name(t), Group: "g", MaxInFlight: 1}
	s, err := b.Subscribe(t.Context(), sub)
	require.NoError(t, err)
	e, err := leat.NewEvent("test.v1", &leat.EventOptions{ID: "1", Source: "/test"})
	require.NoError(t, err)
	require.NoError(t, leat.NewProducer(b, nil).Publish(t.Context(), sub.Topic, e))
	into := make([]leat.Delivery, 1)
	n, err := s.Receive(t.Context(), into)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	p.Delay(eventtest.ToClient, term/8)
	for held, look := time.Now(), time.NewTicker(term/100); time.Since(held) < term; <-look.C {
		require.False(t, into[0].Lease.Ended(), "after %v", time.Since(held))
	}
	p.Delay(eventtest.ToClient, 0)
	s.Settle(&into[0], leat.Settlement{Action: leat.Ack})
	assert.NoError(t, s.Close(t.Context()))
}
