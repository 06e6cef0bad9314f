package rabbitmq

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/brokertest"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var newEvent = brokertest.Event

const structuredType = "application/cloudevents+json; charset=UTF-8"

// delivered is a message as it comes back from the broker, its memory not shared with the
// encoder's.
func delivered(p amqp.Publishing) *amqp.Delivery {
	return &amqp.Delivery{
		Headers: maps.Clone(p.Headers), ContentType: p.ContentType, DeliveryMode: p.DeliveryMode, CorrelationId: p.CorrelationId,
		MessageId: p.MessageId, Timestamp: time.Unix(p.Timestamp.Unix(), 0), RoutingKey: "t", Exchange: "topic",
		Body: append([]byte(nil), p.Body...),
	}
}

func encodeOne(t testing.TB, e leat.Event, structured bool) amqp.Publishing {
	t.Helper()
	n := encoder{structured: structured}
	p, err := n.encode(e, nil)
	require.NoError(t, err)
	return p
}

func TestBinaryMode(t *testing.T) {
	t.Parallel()
	required := amqp.Table{
		"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t", "ce-time": "2026-01-02T03:04:05.000000006Z",
	}
	long := "a/b; c=" + strings.Repeat("d", 300)
	for name, c := range map[string]struct {
		options     leat.EventOptions
		headers     amqp.Table // beside the required ones
		contentType string
		body        string
	}{
		"no data is an empty body":     {},
		"empty data is marked as such": {options: leat.EventOptions{Data: []byte{}}, headers: amqp.Table{"leat-data": "empty"}},
		"data is the body, byte for byte": {
			options: leat.EventOptions{Data: []byte("\x00\xff {}\n")}, body: "\x00\xff {}\n",
		},
		"datacontenttype is the property content_type": {
			options:     leat.EventOptions{DataContentType: `Application/X+JSON; a="b c"`, Data: []byte("{}")},
			contentType: `Application/X+JSON; a="b c"`, body: "{}",
		},
		"a datacontenttype that is too long for a property": {
			options: leat.EventOptions{DataContentType: long}, headers: amqp.Table{"ce-datacontenttype": long},
		},
		"an event as data does not choose the mode": {
			options: leat.EventOptions{DataContentType: "application/cloudevents+json", Data: []byte("{}")},
			headers: amqp.Table{"ce-datacontenttype": "application/cloudevents+json"}, body: "{}",
		},
		"all types, as canonical strings": {
			options: leat.EventOptions{
				Subject: "s", DataSchema: "urn:x", Key: "k",
				Extensions: map[string]any{
					"abool": true, "bint": int32(-2147483648), "cbinary": []byte{0xff, 0}, "duri": leat.URI("HTTP://A/%7e"),
					"euriref": leat.URIRef("../a?b"), "ftime": time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600)), "gstring": "x", "hempty": "",
				},
			},
			headers: amqp.Table{
				"ce-dataschema": "urn:x", "ce-subject": "s", "ce-partitionkey": "k",
				"ce-abool": "true", "ce-bint": "-2147483648", "ce-cbinary": "/wA=", "ce-duri": "HTTP://A/%7e", "ce-euriref": "../a?b",
				"ce-ftime": "2026-01-02T03:04:05+01:00", "ce-gstring": "x", "ce-hempty": "",
			},
		},
		"any Unicode, without percent-encoding": {
			options: leat.EventOptions{Subject: "Köln %20 \"日本\" 🚀\u200f,;"},
			headers: amqp.Table{"ce-subject": "Köln %20 \"日本\" 🚀\u200f,;"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := encodeOne(t, newEvent(t, c.options), false)
			want := maps.Clone(required)
			maps.Copy(want, c.headers)
			assert.Equal(t, want, p.Headers)
			assert.Equal(t, c.contentType, p.ContentType)
			assert.Equal(t, c.body, string(p.Body))
			assert.Equal(t, amqp.Persistent, p.DeliveryMode)
			assert.Equal(t, "1", p.MessageId)
			assert.Equal(t, int64(1767323045), p.Timestamp.Unix())
		})
	}
}

func TestPropertiesThatDoNotFitAreLeftOut(t *testing.T) {
	t.Parallel()
	p := encodeOne(t, newEvent(t, leat.EventOptions{ID: strings.Repeat("i", 256), Time: time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC)}), false)
	assert.Empty(t, p.MessageId)
	assert.True(t, p.Timestamp.IsZero())
	assert.Len(t, p.Headers["ce-id"], 256)
}

func TestStructuredMode(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		options leat.EventOptions
		body    string
	}{
		"no data":         {leat.EventOptions{}, ""},
		"JSON":            {leat.EventOptions{Key: "k", DataContentType: "application/json", Data: []byte(`{"a":1}`)}, `"data":{"a":1}`},
		"text":            {leat.EventOptions{DataContentType: "text/plain", Data: []byte("ü")}, `"data":"ü"`},
		"binary":          {leat.EventOptions{Key: "k", DataContentType: "a/b", Data: []byte{0xff}}, `"data_base64":"/w=="`},
		"typed extension": {leat.EventOptions{Extensions: map[string]any{"a": true, "b": 7}}, `"a":true,"b":7`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := encodeOne(t, newEvent(t, c.options), true)
			assert.Equal(t, "application/cloudevents+json; charset=UTF-8", p.ContentType)
			assert.Empty(t, p.Headers)
			assert.True(t, json.Valid(p.Body))
			assert.Contains(t, string(p.Body), c.body)
			assert.Equal(t, amqp.Persistent, p.DeliveryMode)
			assert.Equal(t, "1", p.MessageId)
		})
	}
}

// TestWhatCannotBeSentIsRefusedBeforeItIs: the broker would close the channel, or the connection,
// with everything on it.
func TestWhatCannotBeSentIsRefusedBeforeItIs(t *testing.T) {
	t.Parallel()
	var n encoder
	_, err := n.encode(leat.Event{}, nil)
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
	n.structured = true
	_, err = n.encode(newEvent(t, leat.EventOptions{}).WithSource(""), nil)
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
	n = encoder{bodyBytes: 10}
	_, err = n.encode(newEvent(t, leat.EventOptions{Data: make([]byte, 11)}), nil)
	assert.Equal(t, leat.CodeTooLarge, leat.CodeOf(err))
	p, err := n.encode(newEvent(t, leat.EventOptions{Data: make([]byte, 10)}), nil)
	require.NoError(t, err)
	assert.Len(t, p.Body, 10)
}

// TestAttributesThatDoNotFitIntoAFrame: CloudEvents sets no limit to attributes, and RabbitMQ
// closes the connection for headers that are larger than a frame.
func TestAttributesThatDoNotFitIntoAFrame(t *testing.T) {
	t.Parallel()
	n := encoder{frameBytes: 4096}
	for size := 3000; size <= 4000; size++ {
		e := newEvent(t, leat.EventOptions{Subject: strings.Repeat("s", size), DataContentType: "text/plain", Data: []byte("x")})
		p, err := n.encode(e, nil)
		require.NoError(t, err)
		headers := 0
		for name, value := range p.Headers {
			headers += fieldBytes + len(name) + len(value.(string))
		}
		if p.Headers == nil {
			assert.Equal(t, structuredType, p.ContentType)
		}
		assert.Less(t, headers+len(p.ContentType)+len(p.MessageId), 4096)
		var d leat.Delivery
		(&decoder{}).decode(delivered(p), &d)
		require.Nil(t, d.Malformed)
		require.True(t, d.Event.Equal(e))
	}
	assert.Equal(t, structuredType, encodeLast(t, &n, strings.Repeat("s", 4000)).ContentType)
	assert.Empty(t, encodeLast(t, &n, "s").ContentType, "the next one is in binary mode again")
}

func encodeLast(t *testing.T, n *encoder, subject string) amqp.Publishing {
	t.Helper()
	p, err := n.encode(newEvent(t, leat.EventOptions{Subject: subject}), nil)
	require.NoError(t, err)
	return p
}

// TestNothingOfAnEarlierEventIsLeft: an encoder uses its headers and body again.
func TestNothingOfAnEarlierEventIsLeft(t *testing.T) {
	t.Parallel()
	var n encoder
	for i := range 512 {
		name := fmt.Sprintf("x%d", i)
		_, err := n.encode(newEvent(t, leat.EventOptions{
			Subject: "s", Key: "k", DataSchema: "urn:x", DataContentType: "a/b", Extensions: map[string]any{name: "v"}, Data: []byte("data"),
		}), nil)
		require.NoError(t, err)
		assert.Equal(t, "v", n.headers["ce-"+name])
	}
	p, err := n.encode(newEvent(t, leat.EventOptions{}), nil)
	require.NoError(t, err)
	assert.Equal(t, encodeOne(t, newEvent(t, leat.EventOptions{}), false).Headers, p.Headers)
	assert.Empty(t, p.Body)
	assert.Empty(t, p.ContentType)
}

func TestRoutingKey(t *testing.T) {
	t.Parallel()
	typed := func(name string) leat.Event {
		return newEvent(t, leat.EventOptions{}).WithType(name)
	}
	for name, want := range map[string]string{
		"com.example.order.placed.v1":       "com.example.order.placed.v1",
		strings.Repeat("a", 255):            strings.Repeat("a", 255),
		strings.Repeat("a", 256):            strings.Repeat("a", 255),
		strings.Repeat("a", 254) + "ü":      strings.Repeat("a", 254),
		strings.Repeat("a", 252) + "🚀" + "": strings.Repeat("a", 252),
	} {
		key, err := (&Options{}).routingKey("topic", typed(name))
		require.NoError(t, err)
		assert.Equal(t, want, key)
	}
	o := &Options{RoutingKey: func(topic string, e leat.Event) string { return topic + "." + e.Source() }}
	key, err := o.routingKey("topic", typed("x"))
	require.NoError(t, err)
	assert.Equal(t, "topic./s", key)
	_, err = o.routingKey(strings.Repeat("a", 256), typed("x"))
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
}
