package universal_test

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/IBM/sarama"
	wm "github.com/ThreeDotsLabs/watermill"
	wmkafka "github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	leatmill "github.com/leatgo/leat/adapters/watermill"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestWireKafka: a service on plain watermill-kafka with its default marshaler and services of Leat
// on adapters/kafka, one with Leat's own API and one with a Watermill Subscriber over it, exchange
// messages in both directions.
func TestWireKafka(t *testing.T) {
	addrs := brokertest.Kafka(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	broker, err := kafka.New(&kafka.Options{Hosts: addrs, Partitions: 1, Mapping: leatmill.Codec{}.Mapping})
	require.NoError(t, err)
	defer func() { assert.NoError(t, broker.Close()) }()
	to, from := "to-"+rand.Text(), "from-"+rand.Text()

	// Plain Watermill to Leat.
	plain, err := wmkafka.NewPublisher(wmkafka.PublisherConfig{Brokers: addrs}, wm.NopLogger{})
	require.NoError(t, err)
	defer func() { assert.NoError(t, plain.Close()) }()
	require.NoError(t, leat.Declare(ctx, broker, leat.Subscription{Topic: to, Group: "own"}))
	sent := message.NewMessage(wm.NewUUID(), []byte(`{"a":1}`))
	sent.Metadata = message.Metadata{"correlation_id": "7", "content-type": "application/json", "name": "n"}
	require.NoError(t, plain.Publish(to, sent))
	handled := make(chan leat.Event, 1)
	running, stop := context.WithCancel(ctx)
	c := leat.NewConsumer(broker, leat.Subscription{Topic: to, Group: "own"}, leat.HandlerFunc(func(_ context.Context, e leat.Event) error {
		handled <- e
		stop()
		return nil
	}), nil)
	require.NoError(t, leat.Run(running, c))
	e := <-handled
	assert.Equal(t, sent.UUID, e.ID())
	assert.Equal(t, to, e.Type())
	back, err := leatmill.Codec{}.Restore(e)
	require.NoError(t, err)
	assert.True(t, back.Equals(sent), "%v", back)

	sub := leatmill.NewSubscriber(broker, &leatmill.SubscriberOptions{Group: "as-watermill"})
	messages, err := sub.Subscribe(ctx, to)
	require.NoError(t, err)
	got, open := <-messages
	require.True(t, open)
	assert.True(t, got.Equals(sent), "%v", got)
	got.Ack()
	require.NoError(t, sub.Close())

	// Leat to plain Watermill: an event, and a message by a Watermill Publisher over Leat.
	ours, err := leat.NewEvent("com.example.t", &leat.EventOptions{ID: "1", Source: "/s", Key: "k", Data: []byte("x")})
	require.NoError(t, err)
	require.NoError(t, leat.Declare(ctx, broker, leat.Subscription{Topic: from, Group: "own"}))
	require.NoError(t, leat.NewProducer(broker, nil).Publish(ctx, from, ours))
	require.NoError(t, leatmill.NewPublisher(broker, nil).Publish(from, sent))
	config := wmkafka.DefaultSaramaSubscriberConfig()
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	reader, err := wmkafka.NewSubscriber(wmkafka.SubscriberConfig{Brokers: addrs, ConsumerGroup: "plain", OverwriteSaramaConfig: config},
		wm.NopLogger{})
	require.NoError(t, err)
	messages, err = reader.Subscribe(ctx, from)
	require.NoError(t, err)
	var read []*message.Message
	for range 2 {
		m, open := <-messages
		require.True(t, open)
		read = append(read, m)
		m.Ack()
	}
	require.NoError(t, reader.Close())
	assert.Equal(t, "x", string(read[0].Payload))
	assert.Equal(t, "com.example.t", read[0].Metadata.Get("ce_type"))
	same, err := leatmill.Codec{}.Event(from, read[0])
	require.NoError(t, err)
	assert.True(t, same.Equal(ours))
	assert.Equal(t, sent.Payload, read[1].Payload)
	assert.Equal(t, "n", read[1].Metadata.Get("ce_name"), "a service without Leat sees the CloudEvent")
	e, err = leatmill.Codec{}.Event(from, read[1])
	require.NoError(t, err)
	back, err = leatmill.Codec{}.Restore(e)
	require.NoError(t, err)
	assert.True(t, back.Equals(sent), "one with the Codec gets the message that was published")
}
