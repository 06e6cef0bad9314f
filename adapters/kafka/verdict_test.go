package kafka_test

import (
	"context"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// TestSessionTimeoutThatTheClusterRefuses: Run ends with the limits that the cluster has, since no
// retry mends an option.
func TestSessionTimeoutThatTheClusterRefuses(t *testing.T) {
	t.Parallel()
	addrs := brokertest.Kafka(t)
	admin := liveAdmin(t, addrs...)
	for _, timeout := range []time.Duration{200 * time.Millisecond, 2 * time.Hour} {
		t.Run(timeout.String(), func(t *testing.T) {
			t.Parallel()
			topic := liveTopic(t, admin, 1)
			o := liveOptions(addrs...)
			o.SessionTimeout, o.HeartbeatInterval = timeout, 0
			b := liveBroker(t, o)
			ctx, cancel := context.WithTimeout(t.Context(), livePatience)
			defer cancel()
			never := func(context.Context, leat.Event) error { return nil }
			err := leat.Run(ctx, leat.NewConsumer(b, leat.Subscription{Topic: topic, Group: topic}, leat.HandlerFunc(never), nil))
			code(t, leat.CodeInvalid, err)
			require.NoError(t, ctx.Err(), "it ends by itself")
			assert.ErrorContains(t, err, timeout.String())
			assert.ErrorContains(t, err, "500 ms (group.min.session.timeout.ms)")
			assert.ErrorContains(t, err, "1800000 ms (group.max.session.timeout.ms)")
		})
	}
}

// TestRefusedOptionsEndTheStream answers a member with what no retry mends.
func TestRefusedOptionsEndTheStream(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key      kmsg.Key
		protocol kafka.Protocol
		err      *kerr.Error
		code     leat.Code
	}{
		{kmsg.JoinGroup, kafka.ProtocolClassic, kerr.InvalidSessionTimeout, leat.CodeInvalid},
		{kmsg.JoinGroup, kafka.ProtocolClassic, kerr.InvalidGroupID, leat.CodeInvalid},
		{kmsg.ConsumerGroupHeartbeat, kafka.ProtocolConsumer, kerr.InvalidGroupID, leat.CodeInvalid},
		{kmsg.ConsumerGroupHeartbeat, kafka.ProtocolConsumer, kerr.UnsupportedAssignor, leat.CodeUnsupported},
	} {
		t.Run(c.key.Name()+" "+c.err.Message, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, kfake.SeedTopics(1, "t"))
			o := quick(f.ListenAddrs()...)
			o.Protocol = c.protocol
			b := open(t, o)
			f.Fault(kfake.Fault{Keys: []kmsg.Key{c.key}, Err: c.err, Count: -1, Group: "g"})
			s, err := b.Subscribe(t.Context(), leat.Subscription{Topic: "t", Group: "g"})
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			_, err = s.Receive(ctx, make([]leat.Delivery, 1))
			code(t, c.code, err)
			require.ErrorIs(t, err, c.err)
			code(t, c.code, health(s))
		})
	}
}

// TestProtocolThatTheClusterDoesNotHave: the client would go over to the classic protocol without a
// word.
func TestProtocolThatTheClusterDoesNotHave(t *testing.T) {
	t.Parallel()
	f := newFake(t, kfake.SeedTopics(1, "t"), kfake.MaxVersions(kversion.V3_9_0()))
	o := quick(f.ListenAddrs()...)
	o.Protocol = kafka.ProtocolConsumer
	b := open(t, o)
	_, err := b.Subscribe(t.Context(), leat.Subscription{Topic: "t", Group: "g"})
	code(t, leat.CodeUnsupported, err)
	require.ErrorContains(t, err, "Kafka 4.0")
	s, err := b.Subscribe(t.Context(), leat.Subscription{Topic: "t", Broadcast: true})
	require.NoError(t, err, "it has no group")
	require.NoError(t, s.Close(t.Context()))
}
