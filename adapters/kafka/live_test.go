package kafka_test

import (
	"context"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What follows is for tests on a real Kafka, which other tests may use at the same time.

// What tests of all adapters share.
const livePatience = brokertest.Patience

var (
	liveName    = brokertest.Name
	liveEvents  = brokertest.Events
	liveHold    = brokertest.Hold
	liveReceive = brokertest.Receive
	liveNothing = brokertest.Nothing
	silent      = brokertest.Silent
)

// liveOptions are options whose intervals suit a test; see quick.
func liveOptions(addrs ...string) kafka.Options {
	return kafka.Options{
		Hosts: addrs, CommitInterval: 50 * time.Millisecond, SessionTimeout: 6 * time.Second, HeartbeatInterval: 200 * time.Millisecond,
		RebalanceTimeout: 10 * time.Second, DeliveryTimeout: livePatience, CloseTimeout: 5 * time.Second, RequestTimeout: livePatience,
		Compression: "none",
	}
}

// liveBroker returns a broker that the end of the test closes.
func liveBroker(t testing.TB, o kafka.Options) *kafka.Broker {
	t.Helper()
	b, err := kafka.New(&o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// liveAdmin returns a client for what Leat does not do.
func liveAdmin(t testing.TB, addrs ...string) *kadm.Client {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.MetadataMinAge(10*time.Millisecond))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return kadm.NewClient(c)
}

func liveTopic(t testing.TB, admin *kadm.Client, partitions int32) string {
	t.Helper()
	topic := liveName(t)
	_, err := admin.CreateTopic(t.Context(), partitions, -1, nil, topic)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		m, err := admin.Metadata(t.Context(), topic)
		return err == nil && m.Topics[topic].Err == nil && len(m.Topics[topic].Partitions) == int(partitions)
	}, livePatience, 10*time.Millisecond)
	return topic
}

// livePublish publishes the events and returns the first error.
func livePublish(ctx context.Context, b leat.Broker, topic string, events ...leat.Event) error {
	answers := make(chan error, len(events))
	b.Publish(ctx, topic, events, func(_ int, err error) { answers <- err })
	var first error
	for range events {
		if err := <-answers; first == nil {
			first = err
		}
	}
	return first
}

// liveCommitted waits until the group has committed the offset in partition 0.
func liveCommitted(t testing.TB, b *kafka.Broker, topic, group string, offset int64) {
	t.Helper()
	require.Eventually(t, func() bool {
		lag, err := b.Lag(t.Context(), topic, group)
		return err == nil && lag.Parts[0].Details["committed"] == offset
	}, livePatience, 10*time.Millisecond, "offset %d is not committed", offset)
}

// liveSubscribe opens a stream that the end of the test closes.
func liveSubscribe(t testing.TB, b *kafka.Broker, sub leat.Subscription) *kafka.Stream {
	t.Helper()
	s, err := b.Subscribe(t.Context(), sub)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s.(*kafka.Stream)
}

func health(v any) error { return v.(leat.HealthReporter).Health() }
