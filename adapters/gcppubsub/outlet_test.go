package gcppubsub_test

import (
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/gcppubsub"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
)

// TestHundredPulls: Google's servers take 100 streams of a connection. A pull is one, and lasts;
// acks and other calls go all the same.
func TestHundredPulls(t *testing.T) {
	t.Parallel()
	const pulls = 100
	f := startFake(t, grpc.MaxConcurrentStreams(100))
	b := on(t, f, gcppubsub.Options{Pulls: pulls, RequestTimeout: 5 * time.Second})
	sub := billing()
	sub.Unordered, sub.MaxInFlight = true, 100*pulls
	s, err := b.Subscribe(t.Context(), sub)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return f.pulls.Load() == pulls }, brokertest.Patience, 10*time.Millisecond)
	require.NoError(t, leat.NewProducer(b, nil).Publish(t.Context(), "orders", event(t, &leat.EventOptions{})))
	into := make([]leat.Delivery, 1)
	_, err = s.Receive(t.Context(), into)
	require.NoError(t, err)
	s.Settle(&into[0], leat.Settlement{Action: leat.Ack})
	require.Eventually(t, func() bool { return f.Messages()[0].Acks == 1 }, brokertest.Patience, 10*time.Millisecond)
	_, err = b.Subscribe(t.Context(), leat.Subscription{Topic: "orders", Group: "second"})
	require.NoError(t, err)
}
