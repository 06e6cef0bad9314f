package interop_test

import (
	"context"
	"crypto/rand"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// patience bounds what must happen, however slow the machine is.
const patience = 40 * time.Second

// topic is one on the shared Kafka, of a test's own.
type topic struct {
	seeds []string
	name  string
}

func newTopic(t *testing.T, partitions int32) topic {
	t.Helper()
	tp := topic{brokertest.Kafka(t), "interop-" + rand.Text()}
	client, err := kgo.NewClient(kgo.SeedBrokers(tp.seeds...))
	require.NoError(t, err)
	defer client.Close()
	_, err = kadm.NewClient(client).CreateTopic(t.Context(), partitions, -1, nil, tp.name)
	require.NoError(t, err)
	return tp
}

// open returns a broker of the adapter.
func (tp topic) open(t *testing.T, o kafka.Options) *kafka.Broker {
	t.Helper()
	o.Hosts = tp.seeds
	b, err := kafka.New(&o)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.Close()) })
	return b
}

// publish publishes the events and waits for the answers.
func (tp topic) publish(t *testing.T, o kafka.Options, events ...leat.Event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var all sync.WaitGroup
	all.Add(len(events))
	tp.open(t, o).Publish(ctx, tp.name, events, func(i int, err error) {
		assert.NoError(t, err, "event %d", i)
		all.Done()
	})
	all.Wait()
}

// receive returns n deliveries of a new group, in the order of their arrival.
func (tp topic) receive(t *testing.T, o kafka.Options, n int) []leat.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream, err := tp.open(t, o).Subscribe(ctx, leat.Subscription{
		Topic: tp.name, Group: "group-" + rand.Text(), MaxInFlight: n, MaxInFlightBytes: 64 << 20,
	})
	require.NoError(t, err)
	var got []leat.Delivery
	for len(got) < n {
		into := make([]leat.Delivery, n)
		count, err := stream.Receive(ctx, into)
		require.NoError(t, err)
		got = append(got, into[:count]...)
	}
	for i := range got {
		stream.Settle(&got[i], leat.Settlement{Action: leat.Ack})
	}
	require.NoError(t, stream.Close(ctx))
	return got
}

// records returns n records as they are on the wire.
func (tp topic) records(t *testing.T, n int) []*kgo.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(tp.seeds...), kgo.ConsumeTopics(tp.name),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer client.Close()
	var got []*kgo.Record
	for len(got) < n {
		fetches := client.PollFetches(ctx)
		require.NoError(t, fetches.Err())
		got = append(got, fetches.Records()...)
	}
	return got
}

func attributes(e leat.Event) map[string]string { return maps.Collect(e.Attributes()) }

func newEvent(t *testing.T, o leat.EventOptions) leat.Event {
	t.Helper()
	e, err := leat.NewEvent("com.example.t", &o)
	require.NoError(t, err)
	return e
}

// someTime has nanoseconds and a zone, which formats like to lose.
func someTime() time.Time {
	return time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.FixedZone("", 2*60*60))
}
