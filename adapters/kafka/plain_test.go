package kafka_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/foreign"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// kindOf is the type of a plain record, which its producer writes into a header.
func kindOf(m foreign.Message) (string, error) {
	for _, h := range m.Headers {
		if h.Name == "kind" {
			return "order." + string(h.Value), nil
		}
	}
	return "", nil
}

// TestPlainRecords: a topic of a program that knows nothing of CloudEvents.
func TestPlainRecords(t *testing.T) {
	t.Parallel()
	addrs := brokertest.Kafka(t)
	topic := liveTopic(t, liveAdmin(t, addrs...), 1)
	raw, err := kgo.NewClient(kgo.SeedBrokers(addrs...))
	require.NoError(t, err)
	defer raw.Close()
	placed := []kgo.RecordHeader{{Key: "kind", Value: []byte("placed")}}
	broken := []kgo.RecordHeader{{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_id", Value: []byte("1")}}
	require.NoError(t, raw.ProduceSync(t.Context(),
		&kgo.Record{Topic: topic, Key: []byte("k"), Value: []byte(`{"order":7}`), Headers: placed},
		&kgo.Record{Topic: topic, Value: []byte("text"), Headers: []kgo.RecordHeader{{Key: "Content-Type", Value: []byte("text/plain")}}},
		&kgo.Record{Topic: topic, Value: []byte("{}"), Headers: broken},
	).FirstErr())

	o := liveOptions(addrs...)
	o.Mapping = foreign.Plain(&foreign.PlainOptions{TypeOf: kindOf, Source: "/legacy/orders", DataContentType: "application/json"})
	for _, group := range []string{topic + "-1", topic + "-2"} { // each sees the same
		s := liveSubscribe(t, liveBroker(t, o), leat.Subscription{Topic: topic, Group: group})
		got := liveHold(t, s, 3)
		e := got[0].Event
		assert.Equal(t, []string{topic + "/0/0", "order.placed", "/legacy/orders", "application/json", `{"order":7}`, "", "k"},
			[]string{e.ID(), e.Type(), e.Source(), e.DataContentType(), e.DataString(), e.Key(), got[0].Key})
		assert.WithinDuration(t, time.Now(), e.Time(), time.Minute, "the record's time")
		e = got[1].Event
		assert.Equal(t, []string{topic + "/0/1", topic, "text/plain", "text"}, []string{e.ID(), e.Type(), e.DataContentType(), e.DataString()})
		require.NotNil(t, got[2].Malformed, "what claims to be a CloudEvent is not read as a plain one")
		require.NoError(t, s.Close(t.Context()))
	}
	s := liveSubscribe(t, liveBroker(t, liveOptions(addrs...)), leat.Subscription{Topic: topic, Group: topic + "-3"})
	for _, d := range liveHold(t, s, 3) {
		assert.NotNil(t, d.Malformed, "nothing is guessed without a Mapping")
	}
}

// TestPlainConsumersReadEvents: in binary mode, which is the default, a program that knows nothing
// of CloudEvents finds the JSON of the data as the value, and the key as the record's.
func TestPlainConsumersReadEvents(t *testing.T) {
	t.Parallel()
	addrs := brokertest.Kafka(t)
	topic := liveTopic(t, liveAdmin(t, addrs...), 1)
	type order struct {
		ID    string `json:"id"`
		Cents int    `json:"cents"`
	}
	placed := leat.EventType[order]{Name: "order.placed", Topic: topic, Key: func(o order) string { return o.ID }}
	want := order{"7", 1999}
	p := leat.NewProducer(liveBroker(t, liveOptions(addrs...)), &leat.ProducerOptions{Source: "/shop"})
	require.NoError(t, placed.Publish(t.Context(), p, want))

	raw, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer raw.Close()
	ctx, cancel := context.WithTimeout(t.Context(), livePatience)
	defer cancel()
	records := raw.PollFetches(ctx).Records()
	require.Len(t, records, 1)
	var got order
	require.NoError(t, json.Unmarshal(records[0].Value, &got))
	assert.Equal(t, want, got)
	assert.Equal(t, "7", string(records[0].Key))
	contentType := ""
	for _, h := range records[0].Headers {
		if strings.EqualFold(h.Key, "content-type") {
			contentType = string(h.Value)
		}
	}
	assert.Equal(t, "application/json", contentType)
	e, err := kafka.DecodeRecord(records[0])
	require.NoError(t, err)
	assert.Equal(t, "order.placed", e.Type(), "and it is a CloudEvent")
}
