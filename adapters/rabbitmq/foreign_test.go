package rabbitmq_test

import (
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/rabbitmq"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/leatgo/leat/internal/foreigncases"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// foreignReader reads a topic from a RabbitMQ twice, without a mapping and with Lenient.
type foreignReader struct {
	topic         string
	without, with *rabbitmq.Stream
	channel       *amqp.Channel
}

func newForeignReader(t *testing.T) foreignReader {
	t.Helper()
	url := brokertest.RabbitMQ(t)
	r := foreignReader{topic: liveName(t), channel: liveChannel(t, liveRaw(t, url))}
	subscribe := func(query, group string) *rabbitmq.Stream {
		b := liveOpen(t, url+query)
		sub := leat.Subscription{Topic: r.topic, Group: group}
		require.NoError(t, b.Declare(t.Context(), sub))
		return liveSubscribe(t, b, sub)
	}
	r.without, r.with = subscribe("", "without"), subscribe("?mapping=lenient", "with")
	return r
}

// read publishes a message and returns what comes of it.
func (r foreignReader) read(t *testing.T, p amqp.Publishing) (without, with leat.Delivery) {
	t.Helper()
	require.NoError(t, r.channel.PublishWithContext(t.Context(), r.topic, "k", true, false, p))
	return liveHold(t, r.without, 1)[0], liveHold(t, r.with, 1)[0]
}

// TestForeignProducers reads what other producers write.
func TestForeignProducers(t *testing.T) {
	t.Parallel()
	r := newForeignReader(t)
	for _, c := range foreigncases.All(t) {
		if c.Transport != foreigncases.RabbitMQ {
			continue
		}
		headers := amqp.Table{}
		for _, h := range c.Headers {
			headers[h.Name] = string(h.Value)
		}
		without, with := r.read(t, amqp.Publishing{Headers: headers, ContentType: c.ContentType, ContentEncoding: c.Encoding, Body: c.Body})
		assert.Equal(t, c.Want == foreigncases.Reads, without.Malformed == nil, "%s: without a mapping", c)
		assert.Equal(t, c.Want == foreigncases.Refuses, with.Malformed != nil, "%s: with Lenient", c)
		if without.Malformed == nil || with.Malformed != nil {
			assert.True(t, without.Event.Equal(with.Event), "%s: Lenient changes nothing that is in order", c)
			continue
		}
		_, repaired := with.Event.Extension("leatrepaired")
		assert.True(t, repaired, "%s: leatrepaired is missing", c)
	}
}

// TestForeignValues reads headers whose types on the wire are none of CloudEvents.
func TestForeignValues(t *testing.T) {
	t.Parallel()
	r := newForeignReader(t)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	without, with := r.read(t, amqp.Publishing{ContentType: "application/json", Body: []byte("{}"), Headers: amqp.Table{
		"cloudEvents:specversion": "1.0", "cloudEvents:id": "1", "cloudEvents:source": "/s", "cloudEvents:type": "t",
		"cloudEvents:time": at, "cloudEvents:ratio": 1.5, "cloudEvents:labels": amqp.Table{"a": int32(1)}, "cloudEvents:n": int64(5_000_000_000),
		"cloudEvents:price": amqp.Decimal{Scale: 2, Value: -5}, "cloudEvents:whole": amqp.Decimal{Value: 7},
		"cloudEvents:bin": []byte{0, 1},
	}})
	require.NotNil(t, without.Malformed)
	require.Nil(t, with.Malformed, "%v", with.Malformed)
	for name, want := range map[string]string{
		"ratio": "1.5", "labels": `{"a":1}`, "n": "5000000000", "bin": "AAE=", "price": "-0.05", "whole": "7",
	} {
		value, _ := with.Event.Extension(name)
		assert.Equal(t, want, value, name)
	}
	assert.Equal(t, at, with.Event.Time())
	repaired, _ := with.Event.Extension("leatrepaired")
	assert.Contains(t, repaired, "message: read although it was refused")
}
