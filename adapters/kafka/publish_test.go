package kafka_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// tracer replaces the contexts of records, as hooks that trace do.
type tracer struct{}

type tracerKey struct{}

func (tracer) OnProduceRecordBuffered(r *kgo.Record) {
	r.Context = context.WithValue(r.Context, tracerKey{}, "span")
}

// newTopic makes a broker with a topic that has one partition.
func newTopic(t *testing.T, o kafka.Options) (*kafka.Broker, string) {
	t.Helper()
	o.Hosts, o.Partitions = brokertest.Kafka(t), 1
	broker, err := kafka.New(&o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = broker.Close() })
	topic := fmt.Sprintf("publish-%d", time.Now().UnixNano())
	require.NoError(t, leat.Declare(t.Context(), broker, leat.Subscription{Topic: topic, Group: "reader"}))
	return broker, topic
}

func TestHooksMayReplaceTheContextOfARecord(t *testing.T) {
	broker, topic := newTopic(t, kafka.Options{Client: []kgo.Opt{kgo.WithHooks(tracer{})}})
	assert.NoError(t, leat.NewProducer(broker, nil).Publish(t.Context(), topic, newEvent(t, "key", nil)))
}

// TestUsedMemoryIsNotMixedUp publishes calls of many sizes at once, most of which find no room for
// all of their events at once, and looks for each event as it was published.
func TestUsedMemoryIsNotMixedUp(t *testing.T) {
	t.Parallel()
	const publishers, calls = 8, 100
	broker, topic := newTopic(t, kafka.Options{Buffer: 20, Compression: "none"})
	producer := leat.NewProducer(broker, nil)
	want := map[string]string{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for p := range publishers {
		all.Go(func() {
			for c := range calls {
				var events []leat.Event
				for i := range 1 + (p+c)%40 {
					id := fmt.Sprintf("%d-%d-%d", p, c, i)
					data := strings.Repeat(id, 1+(p*c+i)%200)
					e, err := leat.NewEvent("t", &leat.EventOptions{ID: id, Source: "/s", Key: id, Data: []byte(data)})
					if !assert.NoError(t, err) {
						return
					}
					events = append(events, e)
					mu.Lock()
					want[id] = data
					mu.Unlock()
				}
				assert.NoError(t, producer.Publish(t.Context(), topic, events...))
			}
		})
	}
	all.Wait()
	stream, err := broker.Subscribe(t.Context(), leat.Subscription{Topic: topic, Group: "reader", MaxInFlight: 100_000})
	require.NoError(t, err)
	got := map[string]string{}
	var into [64]leat.Delivery
	for len(got) < len(want) {
		n, err := stream.Receive(t.Context(), into[:])
		require.NoError(t, err)
		for _, d := range into[:n] {
			require.Nil(t, d.Malformed)
			require.Equal(t, d.Event.ID(), d.Event.Key())
			got[d.Event.ID()] = d.Event.DataString()
		}
	}
	assert.Equal(t, want, got)
}
