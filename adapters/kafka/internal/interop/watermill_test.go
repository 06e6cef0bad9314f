package interop_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wkafka "github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/foreign"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fromWatermill is a Mapping for the messages of Watermill's DefaultMarshaler: its UUID is the id,
// and of the metadata, whose names are free, what is known is taken.
func fromWatermill(m foreign.Message) (leat.Event, error) {
	o := &leat.EventOptions{
		Source: "/watermill/" + m.Topic, Time: m.Time, Key: string(m.Key), Data: m.Body, Extensions: map[string]any{},
	}
	eventType := ""
	for _, h := range m.Headers {
		switch h.Name {
		case wkafka.UUIDHeaderKey:
			o.ID = string(h.Value)
		case "name":
			eventType = string(h.Value)
		case "content_type":
			o.DataContentType = string(h.Value)
		case "correlation_id":
			o.Extensions["correlationid"] = string(h.Value)
		}
	}
	if o.ID == "" {
		return leat.Event{}, fmt.Errorf("the record has no header %s", wkafka.UUIDHeaderKey)
	}
	return leat.NewEvent(eventType, o)
}

func TestWeReadMessagesOfWatermill(t *testing.T) {
	t.Parallel()
	tp := newTopic(t, 1)
	pub, err := wkafka.NewPublisher(wkafka.PublisherConfig{
		Brokers: tp.seeds,
		Marshaler: wkafka.NewWithPartitioningMarshaler(func(_ string, m *message.Message) (string, error) {
			return m.Metadata.Get("key"), nil
		}),
	}, watermill.NopLogger{})
	require.NoError(t, err)
	defer func() { assert.NoError(t, pub.Close()) }()
	uuid := watermill.NewUUID()
	full := message.NewMessage(uuid, []byte(`{"a":1}`))
	full.Metadata = message.Metadata{
		"key": "k", "name": "orders.placed", "content_type": "application/json", "correlation_id": "Köln", "other thing": "dropped",
	}
	empty := message.NewMessage(uuid, nil)
	empty.Metadata = message.Metadata{"name": "orders.placed"}
	nameless := message.NewMessage(uuid, []byte("x"))
	ready := message.NewMessage(uuid, []byte("x")) // whose metadata are a CloudEvent's headers
	ready.Metadata = message.Metadata{"ce_specversion": "1.0", "ce_id": "1", "ce_source": "/s", "ce_type": "t", "content-type": "text/plain"}
	require.NoError(t, pub.Publish(tp.name, full, empty, nameless, ready))

	got := tp.receive(t, kafka.Options{Mapping: fromWatermill}, 4)
	e := got[0].Event
	assert.Equal(t, map[string]string{
		"specversion": "1.0", "id": uuid, "source": "/watermill/" + tp.name, "type": "orders.placed", "datacontenttype": "application/json",
		"time": e.TimeString(), "partitionkey": "k", "correlationid": "Köln",
	}, attributes(e))
	assert.WithinDuration(t, time.Now(), e.Time(), time.Minute, "the record's time")
	assert.JSONEq(t, `{"a":1}`, e.DataString())

	assert.Equal(t, uuid, got[1].Event.ID())
	assert.False(t, got[1].Event.HasData(), "sarama writes an empty payload as null")

	require.NotNil(t, got[2].Malformed, "what the Mapping refuses")
	require.ErrorContains(t, got[2].Malformed.Reason, "type")
	assert.Equal(t, "x", string(got[2].Malformed.Body))
	assert.Equal(t, []leat.Header{{Name: wkafka.UUIDHeaderKey, Value: []byte(uuid)}}, got[2].Malformed.Headers)

	assert.Equal(t, map[string]string{"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "datacontenttype": "text/plain"},
		attributes(got[3].Event), "a CloudEvent needs no Mapping")

	for _, d := range tp.receive(t, kafka.Options{}, 4)[:3] {
		require.NotNil(t, d.Malformed, "nothing is guessed without a Mapping")
	}
}

// TestWatermillReadsOurRecords: headers become metadata as they are; the UUID is empty, since ours
// have no such header.
func TestWatermillReadsOurRecords(t *testing.T) {
	t.Parallel()
	tp := newTopic(t, 1)
	e := newEvent(t, leat.EventOptions{
		ID: "1", Source: "/s", Subject: "Köln %20", Time: someTime(), Key: "k", DataContentType: "application/json", Data: []byte(`{"a":1}`),
		Extensions: map[string]any{"abool": true},
	})
	tombstone := newEvent(t, leat.EventOptions{ID: "2", Source: "/s", Time: someTime()})
	tp.publish(t, kafka.Options{}, e, tombstone)
	tp.publish(t, kafka.Options{Structured: true}, e)

	config := wkafka.DefaultSaramaSubscriberConfig()
	config.Consumer.Offsets.Initial = saramaConfig().Consumer.Offsets.Initial
	sub, err := wkafka.NewSubscriber(wkafka.SubscriberConfig{
		Brokers: tp.seeds, Unmarshaler: wkafka.DefaultMarshaler{}, ConsumerGroup: "group-" + rand.Text(), OverwriteSaramaConfig: config,
	}, watermill.NopLogger{})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	messages, err := sub.Subscribe(ctx, tp.name)
	require.NoError(t, err)
	var got []*message.Message
	for len(got) < 3 {
		m, ok := <-messages
		require.True(t, ok, "after %d messages", len(got))
		got = append(got, m)
		m.Ack()
	}
	require.NoError(t, sub.Close())

	assert.Equal(t, message.Metadata{
		"ce_specversion": "1.0", "ce_id": "1", "ce_source": "/s", "ce_type": "com.example.t", "ce_subject": "Köln %20",
		"ce_time": e.TimeString(), "ce_partitionkey": "k", "ce_abool": "true", "content-type": "application/json",
	}, got[0].Metadata)
	assert.JSONEq(t, `{"a":1}`, string(got[0].Payload))
	assert.Empty(t, got[1].Payload)
	assert.Equal(t, message.Metadata{"content-type": "application/cloudevents+json; charset=UTF-8"}, got[2].Metadata)
	structured, err := leat.ParseEvent(got[2].Payload)
	require.NoError(t, err)
	assert.True(t, structured.Equal(e))
	for _, m := range got {
		assert.Empty(t, m.UUID)
	}
}
