package gcppubsub_test

import (
	"context"
	"slices"
	"testing"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/gcppubsub"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sought is a stream of the group billing, which publishes and receives orders by subject.
type sought struct {
	t      *testing.T
	b      *gcppubsub.Broker
	sub    leat.Subscription
	stream leat.Stream
}

func soughtOn(t *testing.T, b *gcppubsub.Broker, unordered bool) *sought {
	t.Helper()
	x := &sought{t: t, b: b, sub: leat.Subscription{Topic: brokertest.Name(t), Group: "billing", Unordered: unordered}}
	require.NoError(t, b.Declare(t.Context(), x.sub))
	return x
}

func (x *sought) publish(subjects ...string) {
	x.t.Helper()
	for _, subject := range subjects {
		e := event(x.t, &leat.EventOptions{Subject: subject, Key: "k"})
		require.NoError(x.t, leat.NewProducer(x.b, nil).Publish(x.t.Context(), x.sub.Topic, e))
	}
}

// close ends the stream, which sends the acks.
func (x *sought) close() {
	x.t.Helper()
	require.NoError(x.t, x.stream.Close(x.t.Context()))
	x.stream = nil
}

// take receives and acknowledges events of these subjects, in this order or, without order, sorted.
func (x *sought) take(subjects ...string) {
	x.t.Helper()
	if x.stream == nil {
		s, err := x.b.Subscribe(x.t.Context(), x.sub)
		require.NoError(x.t, err)
		x.stream = s
	}
	ctx, cancel := context.WithTimeout(x.t.Context(), brokertest.Patience)
	defer cancel()
	var came []string
	for into := make([]leat.Delivery, 1); !slices.Equal(came, subjects); {
		n, err := x.stream.Receive(ctx, into)
		require.NoError(x.t, err, "%q came of %q", came, subjects)
		for i := range into[:n] {
			came = append(came, into[i].Event.Subject())
			x.stream.Settle(&into[i], leat.Settlement{Action: leat.Ack})
		}
		if x.sub.Unordered {
			slices.Sort(came)
		}
		require.LessOrEqual(x.t, len(came), len(subjects), "%q came", came)
	}
}

// onEmulator returns a broker whose subscriptions keep what was acknowledged.
func onEmulator(t *testing.T) *gcppubsub.Broker {
	t.Helper()
	b, err := gcppubsub.New(&gcppubsub.Options{
		Project: project, Endpoint: "http://" + brokertest.PubSub(t), AckDeadline: 10 * time.Second, RetainAcked: true,
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.Close()) })
	return b
}

// TestReplay brings acknowledged events again from a moment on. The emulator can do that where the
// subscription has no message ordering, and the fake cannot.
func TestReplay(t *testing.T) {
	t.Parallel()
	x := soughtOn(t, onEmulator(t), true)
	x.publish("older")
	const clock = 10 * time.Millisecond // more than the precision of the emulator's
	from := time.Now().Add(clock)
	<-time.After(time.Until(from.Add(clock)))
	x.publish("newer")
	x.take("newer", "older")
	x.close()
	require.NoError(t, x.b.Replay(t.Context(), x.sub, from))
	x.take("newer")
	x.close()
	require.NoError(t, x.b.Replay(t.Context(), x.sub, from.Add(-time.Hour)))
	x.take("newer", "older")
}

// TestReplayDropsWhatIsThere: a moment in the future is behind all events.
func TestReplayDropsWhatIsThere(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	x := soughtOn(t, on(t, f, gcppubsub.Options{}), false)
	x.publish("dropped", "too")
	require.NoError(t, x.b.Replay(t.Context(), x.sub, time.Now().Add(time.Hour)))
	x.publish("new")
	x.take("new")
}

// TestReplayAsksFor the moment and the subscription that it was told.
func TestReplayAsksFor(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	var asked *pb.SeekRequest
	f.OnSeek(func(r *pb.SeekRequest) { asked = r })
	b := on(t, f, gcppubsub.Options{Subscriptions: map[gcppubsub.Group]string{
		{Topic: "orders", Group: "billing"}: "projects/other/subscriptions/mine",
	}})
	from := time.Date(2026, 5, 1, 10, 0, 0, 7, time.UTC)
	assert.Equal(t, leat.CodeNotFound, leat.CodeOf(b.Replay(t.Context(), billing(), from)))
	assert.Equal(t, "projects/other/subscriptions/mine", asked.GetSubscription())
	assert.Equal(t, from, asked.GetTime().AsTime())
}

// TestSnapshots: after a return to a snapshot comes what was not acknowledged when it was made, and
// everything that was published since, in order.
func TestSnapshots(t *testing.T) {
	t.Parallel()
	b := onEmulator(t)
	x := soughtOn(t, b, false)
	name := "before-" + x.sub.Topic
	x.publish("a")
	x.take("a")
	x.close()
	x.publish("b", "c")
	require.NoError(t, b.Snapshot(t.Context(), x.sub, name))
	x.publish("d")
	x.take("b", "c", "d")
	x.close()
	require.NoError(t, b.ReplaySnapshot(t.Context(), x.sub, name))
	x.take("b", "c", "d")

	err := b.Snapshot(t.Context(), x.sub, name)
	assert.Equal(t, leat.CodeConflict, leat.CodeOf(err))
	require.ErrorContains(t, err, name)
	require.NoError(t, b.DeleteSnapshot(t.Context(), name))
	for _, err := range []error{b.DeleteSnapshot(t.Context(), name), b.ReplaySnapshot(t.Context(), x.sub, name)} {
		assert.Equal(t, leat.CodeNotFound, leat.CodeOf(err))
		require.ErrorContains(t, err, "snapshot \""+name)
	}
}

// TestSeekRefuses a group that does not exist, what has no group, and calls after Close.
func TestSeekRefuses(t *testing.T) {
	t.Parallel()
	b := on(t, startFake(t), gcppubsub.Options{})
	calls := func(sub leat.Subscription) []error {
		return []error{
			b.Replay(t.Context(), sub, time.Now()), b.Snapshot(t.Context(), sub, "one"), b.ReplaySnapshot(t.Context(), sub, "one"),
		}
	}
	err := b.Replay(t.Context(), billing(), time.Now())
	assert.Equal(t, leat.CodeNotFound, leat.CodeOf(err))
	require.ErrorContains(t, err, `the subscription "orders_billing" does not exist`)
	for _, err := range calls(leat.Subscription{Topic: "orders", Broadcast: true}) {
		assert.Equal(t, leat.CodeUnsupported, leat.CodeOf(err), "%v", err)
	}
	require.NoError(t, b.Close())
	for _, err := range append(calls(billing()), b.DeleteSnapshot(t.Context(), "one")) {
		assert.Equal(t, leat.CodeClosed, leat.CodeOf(err), "%v", err)
	}
}
