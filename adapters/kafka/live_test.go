package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What follows is for tests on a real Kafka, which other tests may use at the same time.

// livePatience is how long to wait for what must happen, on a busy machine.
const livePatience = 30 * time.Second

var liveNames atomic.Int64

// liveName returns a name that no other test uses.
func liveName(t testing.TB) string {
	t.Helper()
	base := strings.NewReplacer("/", "-", "#", "-", "_", "-", "=", "-").Replace(t.Name())
	return fmt.Sprintf("%s.%d.%d", base[:min(len(base), 80)], time.Now().UnixNano()%1_000_000_000, liveNames.Add(1))
}

// liveOptions are options whose intervals suit a test.
func liveOptions(addrs ...string) kafka.Options {
	return kafka.Options{
		Hosts: addrs, CommitInterval: 50 * time.Millisecond, SessionTimeout: 6 * time.Second, HeartbeatInterval: 200 * time.Millisecond,
		RebalanceTimeout: 10 * time.Second, DeliveryTimeout: livePatience, CloseTimeout: 5 * time.Second, RequestTimeout: livePatience,
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

// liveEvents returns events first to last-1, whose ids are their numbers, with as many keys; 0 keys are none.
func liveEvents(t testing.TB, first, last, keys int) []leat.Event {
	t.Helper()
	var events []leat.Event
	for i := first; i < last; i++ {
		o := &leat.EventOptions{ID: fmt.Sprint(i), Source: "/live"}
		if keys > 0 {
			o.Key = fmt.Sprint("key-", i%keys)
		}
		e, err := leat.NewEvent("live", o)
		require.NoError(t, err)
		events = append(events, e)
	}
	return events
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

// liveReceive receives until n deliveries have come, acknowledges them and returns their ids.
func liveReceive(t testing.TB, s leat.Stream, n int) []string {
	t.Helper()
	var ids []string
	for _, d := range liveHold(t, s, n) {
		ids = append(ids, d.Event.ID())
		s.Settle(&d, leat.Settlement{Action: leat.Ack})
	}
	return ids
}

// liveHold receives until n deliveries have come.
func liveHold(t testing.TB, s leat.Stream, n int) []leat.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), livePatience, errors.New("the events do not come"))
	defer cancel()
	var all []leat.Delivery
	for len(all) < n {
		into := make([]leat.Delivery, n-len(all))
		got, err := s.Receive(ctx, into)
		require.NoError(t, err, "%d of %d events came, health: %v", len(all), n, health(s))
		all = append(all, into[:got]...)
	}
	return all
}

// liveNothing checks that nothing more comes for a while.
func liveNothing(t testing.TB, s leat.Stream, wait time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	into := make([]leat.Delivery, 1)
	n, err := s.Receive(ctx, into)
	require.Error(t, err, "%d: event %s came", n, into[0].Event.ID())
	require.ErrorIs(t, err, context.DeadlineExceeded)
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
