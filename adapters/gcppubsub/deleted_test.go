package gcppubsub_test

import (
	"slices"
	"testing"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/gcppubsub"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
)

// only returns the name of the only subscription, and of none where there is none.
func (f *fake) only(t *testing.T) string {
	t.Helper()
	all, err := f.GServer.ListSubscriptions(t.Context(), &pb.ListSubscriptionsRequest{Project: "projects/" + project})
	require.NoError(t, err)
	require.LessOrEqual(t, len(all.GetSubscriptions()), 1)
	for _, is := range all.GetSubscriptions() {
		return is.GetName()
	}
	return ""
}

func (f *fake) remove(t *testing.T, name string) {
	t.Helper()
	_, err := f.GServer.DeleteSubscription(t.Context(), &pb.DeleteSubscriptionRequest{Subscription: name})
	require.NoError(t, err)
}

// shows waits until the health of a stream has a code.
func shows(t *testing.T, s leat.Stream, code leat.Code) {
	t.Helper()
	health := s.(leat.HealthReporter)
	require.Eventually(t, func() bool { return leat.CodeOf(health.Health()) == code }, brokertest.Patience, time.Millisecond,
		"%v", health.Health())
}

// TestDeletedBroadcast: a broadcast creates its subscription again, and says meanwhile what is
// wrong.
func TestDeletedBroadcast(t *testing.T) {
	t.Parallel()
	for _, unordered := range []bool{false, true} {
		f := startFake(t)
		b := on(t, f, gcppubsub.Options{})
		s, err := b.Subscribe(t.Context(), leat.Subscription{Topic: "orders", Broadcast: true, Unordered: unordered, MaxInFlight: 500})
		require.NoError(t, err)
		name := f.only(t)
		repair := f.Break("CreateSubscription", says(codes.PermissionDenied))
		f.remove(t, name)
		shows(t, s, leat.CodePermissionDenied)
		repair()
		shows(t, s, leat.CodeOf(nil))
		assert.Equal(t, name, f.only(t))
		e := event(t, &leat.EventOptions{Key: "k"})
		require.NoError(t, leat.NewProducer(b, nil).Publish(t.Context(), "orders", e))
		assert.Equal(t, e.ID(), take(t, s, 1)[0].Event.ID())
		require.NoError(t, s.Close(t.Context()))
		assert.Empty(t, f.only(t))
	}
}

// TestDeletedSubscription: that of a group stays away until somebody subscribes with
// ProvisionCreate.
func TestDeletedSubscription(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	b := on(t, f, gcppubsub.Options{})
	old, err := b.Subscribe(t.Context(), billing())
	require.NoError(t, err)
	p := leat.NewProducer(b, nil)
	held := event(t, &leat.EventOptions{Key: "k"})
	require.NoError(t, p.Publish(t.Context(), "orders", held))
	deliveries := take(t, old, 1)
	name := f.only(t)
	f.remove(t, name)
	shows(t, old, leat.CodeNotFound)
	assert.Empty(t, f.only(t))
	for _, how := range []gcppubsub.Provision{gcppubsub.ProvisionVerify, gcppubsub.ProvisionOff} {
		_, err := on(t, f, gcppubsub.Options{Provision: how}).Subscribe(t.Context(), billing())
		assert.Equal(t, leat.CodeNotFound, leat.CodeOf(err))
	}
	created, err := b.Subscribe(t.Context(), billing())
	require.NoError(t, err)
	assert.Equal(t, name, f.only(t))
	ack(old, deliveries) // has no effect on the new subscription
	require.NoError(t, created.Close(t.Context()))
	shows(t, old, leat.CodeOf(nil))
	later := event(t, &leat.EventOptions{Key: "k"})
	require.NoError(t, p.Publish(t.Context(), "orders", later))
	came := take(t, old, 1)
	assert.True(t, slices.ContainsFunc(came, func(d leat.Delivery) bool { return d.Event.ID() == later.ID() }))
}
