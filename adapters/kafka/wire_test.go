package kafka_test

import (
	"context"
	"crypto/rand"
	"strings"
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

// TestRawRecordsSurviveTheWire: what is no event comes out of a real Kafka as it went in, null and
// empty told apart, and however hostile; the event behind it is read.
func TestRawRecordsSurviveTheWire(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	topic := "wire-" + rand.Text()
	seeds := brokertest.Kafka(t)
	client, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.DefaultProduceTopic(topic), kgo.ProducerBatchMaxBytes(1<<20))
	require.NoError(t, err)
	defer client.Close()
	_, err = kadm.NewClient(client).CreateTopic(ctx, 1, -1, nil, topic)
	require.NoError(t, err)

	header := func(name string, value []byte) kgo.RecordHeader { return kgo.RecordHeader{Key: name, Value: value} }
	version := header("ce_specversion", []byte("1.0"))
	many := make([]kgo.RecordHeader, 200_000)
	for i := range many {
		many[i].Key = "ce_"[:i%4]
	}
	attributes := []kgo.RecordHeader{version}
	for i := range 90 {
		attributes = append(attributes, header("ce_x"+strings.Repeat("y", i), []byte{}))
	}
	records := []*kgo.Record{
		{}, {Key: []byte{}, Value: []byte{}}, {Key: []byte("k\xff"), Value: []byte("\xfe\x00")},
		{Headers: []kgo.RecordHeader{
			header("b", nil), header("a", []byte{}), header("b", []byte("2")), header("", []byte("\xff")), header("\xff", nil),
		}},
		{Headers: []kgo.RecordHeader{version, header("ce_id", nil)}},
		{Headers: []kgo.RecordHeader{version, header("ce_\xff\xc0", []byte("\xff"))}, Value: []byte("x")},
		{Headers: many, Value: []byte("x")}, {Headers: attributes},
		{Headers: []kgo.RecordHeader{version, header("ce_x", make([]byte, 1_000_000))}},
		{Headers: []kgo.RecordHeader{header("content-type", []byte("application/cloudevents+json"))}, Value: make([]byte, 1_000_000)},
	}
	require.NoError(t, client.ProduceSync(ctx, records...).FirstErr())
	b, err := kafka.New(&kafka.Options{Hosts: seeds})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.Close()) })
	after, err := leat.NewEvent("t", &leat.EventOptions{Source: "/s", Data: make([]byte, b.Limits().MaxEventBytes-1_000)})
	require.NoError(t, err)
	b.Publish(ctx, topic, []leat.Event{after}, func(_ int, err error) { assert.NoError(t, err) })

	stream, err := b.Subscribe(ctx, leat.Subscription{Topic: topic, Group: topic, MaxInFlight: 100, MaxInFlightBytes: 64 << 20})
	require.NoError(t, err)
	var got []leat.Delivery
	for len(got) <= len(records) {
		into := make([]leat.Delivery, 100)
		n, err := stream.Receive(ctx, into)
		require.NoError(t, err)
		got = append(got, into[:n]...)
	}
	for i, r := range records {
		m := got[i].Malformed
		require.NotNil(t, m, "record %d", i)
		assert.Equal(t, r.Key, m.Key, "record %d", i)
		assert.True(t, string(r.Value) == string(m.Body) && (r.Value == nil) == (m.Body == nil), "record %d", i)
		require.Len(t, m.Headers, len(r.Headers), "record %d", i)
		for j, h := range r.Headers {
			if h.Key != m.Headers[j].Name || string(h.Value) != string(m.Headers[j].Value) || (h.Value == nil) != (m.Headers[j].Value == nil) {
				t.Fatalf("record %d, header %d is not what it was", i, j)
			}
		}
		assert.Equal(t, int64(i), got[i].Position.Offset)
	}
	assert.True(t, got[len(records)].Event.Equal(after))
}
