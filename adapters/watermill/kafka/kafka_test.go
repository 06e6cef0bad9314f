package kafka_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/IBM/sarama"
	wm "github.com/ThreeDotsLabs/watermill"
	wmkafka "github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/watermill"
	"github.com/leatgo/leat/adapters/watermill/kafka"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { brokertest.Main(m) }

// patience bounds what must happen, however slow the machine is.
const patience = 60 * time.Second

func open(t *testing.T, o kafka.Options) *watermill.Broker {
	t.Helper()
	o.Hosts = brokertest.Kafka(t)
	if o.Partitions == 0 {
		o.Partitions = 3
	}
	b, err := kafka.New(&o)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.Close()) })
	return b
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// gather runs a Consumer until it has handled n events successfully, and returns them in the order
// in which they succeeded.
func gather(t *testing.T, b leat.Broker, topic string, n int, h func(e leat.Event) error, more ...leat.Middleware) []leat.Event {
	t.Helper()
	return brokertest.Handle(within(t), t, b, leat.Subscription{Topic: topic, Group: "g-" + topic}, n, h, more...)
}

func ok(leat.Event) error { return nil }

// TestRoundTrip: events of every shape, in both modes.
func TestRoundTrip(t *testing.T) {
	for _, structured := range []bool{false, true} {
		t.Run(fmt.Sprintf("structured=%t", structured), func(t *testing.T) {
			b := open(t, kafka.Options{Codec: watermill.Codec{Structured: structured}})
			topic := "round-" + rand.Text()
			brokertest.RoundTrip(within(t), t, b, leat.Subscription{Topic: topic, Group: "g-" + topic})
		})
	}
}

// TestPlainWatermill: a service on plain watermill-kafka with its default marshaler and a service
// of Leat understand each other.
func TestPlainWatermill(t *testing.T) {
	b := open(t, kafka.Options{})
	topic := "plain-" + rand.Text()
	require.NoError(t, leat.Declare(t.Context(), b, leat.Subscription{Topic: topic, Group: "g-" + topic}))
	plain, err := wmkafka.NewPublisher(wmkafka.PublisherConfig{Brokers: brokertest.Kafka(t)}, wm.NopLogger{})
	require.NoError(t, err)
	defer func() { assert.NoError(t, plain.Close()) }()
	sent := message.NewMessage("4711", []byte(`{"a":1}`))
	sent.Metadata = message.Metadata{"correlation_id": "7", "content-type": "application/json", "name": "n"}
	require.NoError(t, plain.Publish(topic, sent))
	e := gather(t, b, topic, 1, ok)[0]
	assert.Equal(t, map[string]string{"specversion": "1.0", "id": "4711", "source": "/watermill/" + topic, "type": topic, "name": "n",
		"datacontenttype": "application/json", "watermillmeta": "m1&correlation_id=7"}, maps.Collect(e.Attributes()))
	back, err := watermill.Codec{}.Restore(e)
	require.NoError(t, err)
	assert.True(t, back.Equals(sent))

	ours, err := leat.NewEvent("com.example.t", &leat.EventOptions{ID: "1", Source: "/s", Key: "k", Data: []byte("x"),
		Extensions: map[string]any{"n": 5}})
	require.NoError(t, err)
	topic += "-2"
	require.NoError(t, leat.Declare(t.Context(), b, leat.Subscription{Topic: topic, Group: "g-" + topic}))
	require.NoError(t, leat.NewProducer(b, nil).Publish(within(t), topic, ours))
	config := wmkafka.DefaultSaramaSubscriberConfig()
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	sub, err := wmkafka.NewSubscriber(wmkafka.SubscriberConfig{Brokers: brokertest.Kafka(t), ConsumerGroup: "plain",
		OverwriteSaramaConfig: config}, wm.NopLogger{})
	require.NoError(t, err)
	messages, err := sub.Subscribe(within(t), topic)
	require.NoError(t, err)
	m, open := <-messages
	require.True(t, open)
	m.Ack()
	require.NoError(t, sub.Close())
	assert.Equal(t, "1", m.UUID)
	key, _ := wmkafka.MessageKeyFromCtx(m.Context())
	assert.Equal(t, "k", string(key))
	read, err := watermill.Codec{}.Event(topic, m)
	require.NoError(t, err)
	assert.True(t, read.Equal(ours))
}

// TestHostileRecords: records of any form come as deliveries, and none stops the partition.
func TestHostileRecords(t *testing.T) {
	b := open(t, kafka.Options{Partitions: 1})
	topic := "hostile-" + rand.Text()
	sub := leat.Subscription{Topic: topic, Group: "g"}
	require.NoError(t, leat.Declare(t.Context(), b, sub))
	config := sarama.NewConfig()
	config.Producer.Return.Successes = true
	raw, err := sarama.NewSyncProducer(brokertest.Kafka(t), config)
	require.NoError(t, err)
	defer func() { assert.NoError(t, raw.Close()) }()
	header := func(name, value string) sarama.RecordHeader {
		return sarama.RecordHeader{Key: []byte(name), Value: []byte(value)}
	}
	for _, headers := range [][]sarama.RecordHeader{
		nil,
		{header("_watermill_message_uuid", "1"), header("a", "1"), header("a", "2")},
		{header("ce_specversion", "1.0"), header("ce_id", "1"), header("ce_id", "2"), header("ce_source", "/"), header("ce_type", "t")},
		{header("", ""), header("ce_specversion", "9")},
		{header("content-type", "application/cloudevents+json")},
		{header("_watermill_message_uuid", "last")},
	} {
		_, _, err := raw.SendMessage(&sarama.ProducerMessage{Topic: topic, Key: sarama.ByteEncoder{0xff}, Headers: headers})
		require.NoError(t, err)
	}
	stream, err := b.Subscribe(within(t), sub)
	require.NoError(t, err)
	defer func() { assert.NoError(t, stream.Close(within(t))) }()
	var ids []string
	for offset := range 6 {
		into := make([]leat.Delivery, 8)
		n, err := stream.Receive(within(t), into)
		require.NoError(t, err)
		require.Equal(t, 1, n, "one message of a partition at a time")
		assert.EqualValues(t, offset, into[0].Position.Offset)
		if into[0].Malformed == nil {
			ids = append(ids, into[0].Event.ID())
			assert.Equal(t, "\xff", into[0].Key, "the record's key, whatever bytes it has")
		} else {
			require.Error(t, into[0].Malformed.Reason)
		}
		stream.Settle(&into[0], leat.Settlement{Action: leat.Ack})
	}
	assert.Equal(t, []string{"1", "last"}, ids)
}

func TestOptions(t *testing.T) {
	_, err := kafka.New(nil)
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
	_, err = kafka.New(&kafka.Options{Hosts: []string{"127.0.0.1:1"}, Configure: func(c *sarama.Config) { c.Metadata.Retry.Max = 0 }})
	assert.Equal(t, leat.CodeUnavailable, leat.CodeOf(err))
	b := open(t, kafka.Options{})
	e, err := leat.NewEvent("t", &leat.EventOptions{Source: "/s", Data: make([]byte, 1_000_001)})
	require.NoError(t, err)
	assert.Equal(t, leat.CodeTooLarge, leat.CodeOf(leat.NewProducer(b, nil).Publish(within(t), "t", e)))
}
