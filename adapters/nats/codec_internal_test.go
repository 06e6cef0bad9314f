package nats

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/eventgen"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const traceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// TestLargestEventFits: an event of exactly the limit fits into MaxMessageBytes and the headers
// that JetStream takes, in some mode, whatever its bytes are.
func TestLargestEventFits(t *testing.T) {
	t.Parallel()
	trace := &leat.TraceContext{Parent: traceParent, State: strings.Repeat("x", 512)}
	modes := map[bool]int{}
	const most = 128 << 10
	for _, o := range []Options{{MaxMessageBytes: most}, {MaxMessageBytes: most, Structured: true}} {
		o = o.withDefaults()
		for _, contentType := range []string{"", "text/plain", "application/json", "application/cloudevents+json"} {
			for _, text := range []string{`"`, "\xff", "x"} {
				for _, attributes := range []int{0, 1, 15, 70} {
					e, err := eventgen.Largest(o.mostEventBytes(), contentType, text, eventgen.Names(attributes)...)
					require.NoError(t, err)
					m, err := newEncoder().encode(e, trace, &o)
					require.NoError(t, err, "%s of %q, %d attributes", contentType, text, attributes)
					assert.LessOrEqual(t, m.Size(), o.MaxMessageBytes)
					d := decoded(m, &o)
					assert.True(t, e.Equal(d.Event), "%s of %q, %d attributes: %v", contentType, text, attributes, d.Malformed)
					assert.Equal(t, traceParent, d.Trace.Parent)
					modes[m.Header.Get(contentTypeHeader) != ""]++
				}
			}
		}
	}
	assert.Len(t, modes, 2, "binary and structured mode")
}

func decoded(m *nats.Msg, o *Options) (d leat.Delivery) {
	c := decoder{o: o}
	c.decode(m, time.Now(), &d)
	return d
}

// TestMalformedIsTheSame: headers in the order of their names, without what differs by delivery.
func TestMalformedIsTheSame(t *testing.T) {
	t.Parallel()
	m := &nats.Msg{Header: nats.Header{"b": {"2", "1"}, "a": {""}, pinHeader: {"x"}, "X-Key": {"k"}}, Data: []byte("plain")}
	d := decoded(m, &Options{KeyHeader: "X-Key"})
	require.NotNil(t, d.Malformed)
	var names []string
	for _, h := range d.Malformed.Headers {
		names = append(names, h.Name+"="+string(h.Value))
	}
	assert.Equal(t, []string{"X-Key=k", "a=", "b=2", "b=1"}, names)
	assert.Equal(t, "k", string(d.Malformed.Key))
	assert.Equal(t, "plain", string(d.Malformed.Body))
}

func TestOrigin(t *testing.T) {
	t.Parallel()
	for _, reply := range []string{
		"$JS.ACK.orders.billing.3.41.40.1700000000000000000.5",
		"$JS.ACK.hub.ACCHASH.orders.billing.3.41.40.1700000000000000000.5",
		"$JS.ACK.hub.ACCHASH.orders.billing.3.41.40.1700000000000000000.5.token",
	} {
		o, ok := originOf(reply)
		assert.True(t, ok, reply)
		assert.Equal(t, origin{seq: 41, delivery: 40, deliveries: 3, at: time.Unix(0, 1700000000000000000)}, o)
	}
	for _, reply := range []string{"", "_INBOX.1.2", "$JS.ACK.a.b.c", "$JS.ACK.orders.billing.x.41.40.1.5"} {
		_, ok := originOf(reply)
		assert.False(t, ok, reply)
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern string
		want    bool
	}{{"a.b.c", true}, {"a.*.c", true}, {"a.>", true}, {">", true}, {"a.b", false}, {"a.b.c.d", false}, {"a.b.c.>", false}, {"a.x.c", false}} {
		assert.Equal(t, c.want, matches(c.pattern, "a.b.c"), c.pattern)
	}
	assert.True(t, matches("a.>", "a.*"), "all that a pattern means")
	assert.False(t, matches("a.*", "a.>"))
}

// TestAnswers: what is certain is refused, and the rest unknown.
func TestAnswers(t *testing.T) {
	t.Parallel()
	known, missing := &topic{name: "s", exists: new(sync.Map)}, &topic{exists: new(sync.Map)}
	known.confirm()
	for _, c := range []struct {
		data, status string
		of           *topic
		want         leat.Code
	}{
		{`{"stream":"s", "seq":7}`, "", known, leat.CodeOf(nil)},
		{`{"stream":"s","seq":7,"duplicate":true}`, "", known, leat.CodeOf(nil)},
		{"", "503", known, leat.CodeUnavailable}, {"", "503", missing, leat.CodeNotFound},
		{`{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"},"stream":"s","seq":0}`, "", known, leat.CodeExhausted},
		{`{"error":{"code":503,"err_code":10077,"description":"the disk failed"},"stream":"s","seq":0}`, "", known, leat.CodeUnknown},
		{`{"error":{"code":400,"err_code":10054,"description":"message size exceeds maximum allowed"}}`, "", known, leat.CodeTooLarge},
		{`{}`, "", known, leat.CodeUnknown}, {`hello`, "", known, leat.CodeUnknown},
	} {
		m := &nats.Msg{Data: []byte(c.data), Header: nats.Header{}}
		if c.status != "" {
			m.Header.Set("Status", c.status)
		}
		err := answerOf(m, c.of)
		if c.want == leat.CodeUnknown {
			require.Error(t, err, c.data)
			if e, ok := errors.AsType[*leat.Error](err); ok {
				assert.Equal(t, c.want, e.Code, c.data)
			}
			continue
		}
		assert.Equal(t, c.want, leat.CodeOf(err), c.data)
	}
}

// TestTopicsThatAreForgottenExist: that a topic exists is remembered, however many other names are
// published to, so that an outage is not taken for a topic that nobody has declared.
func TestTopicsThatAreForgottenExist(t *testing.T) {
	t.Parallel()
	var b Broker
	orders := b.topicOf("orders")
	require.False(t, orders.isKnown())
	orders.confirm()
	for n := 0; b.topicOf("orders") == orders; n++ {
		require.False(t, b.topicOf(strconv.Itoa(n)).isKnown())
	}
	require.True(t, b.topicOf("orders").isKnown())
}
