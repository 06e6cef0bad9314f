package kafka

import (
	"slices"
	"strings"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/wire"
	"github.com/leatgo/leat/internal/eventgen"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// wireSize is no less than what a record takes of a batch that it is alone in (Kafka protocol,
// message format v2).
func wireSize(r *kgo.Record) int {
	const batch, record, varint = 61, 30, 5
	n := batch + record + len(r.Key) + len(r.Value) + 3*varint
	for _, h := range r.Headers {
		n += 2 + len(h.Key) + len(h.Value) // each length below 64 in one byte, below 8,192 in two
		if len(h.Value) >= 64 {
			n++
		}
		if len(h.Value) >= 8192 {
			n++
		}
	}
	return n
}

// TestLargestEventFits: an event of exactly the limit fits into MaxMessageBytes in some mode,
// whatever its bytes are, with its trace context and the most that WriteHeaders may add.
func TestLargestEventFits(t *testing.T) {
	t.Parallel()
	further := slices.Repeat([]leat.Header{{Name: "x"}}, mostFurther/(headerOverhead+1))
	trace := &leat.TraceContext{Parent: traceParent + strings.Repeat("x", 128-len(traceParent)), State: strings.Repeat("x", 512)}
	modes := map[bool]int{}
	for _, o := range []Options{
		{Structured: true}, {MaxMessageBytes: 200_000}, {NoRecordKey: true, MaxMessageBytes: 200_000},
		{NoRecordKey: true, Structured: true, MaxMessageBytes: 200_000},
		{MaxMessageBytes: 16 << 10}, {MaxMessageBytes: 16 << 10, Structured: true}, {MaxMessageBytes: 140_000, Structured: true},
	} {
		o = o.withDefaults()
		for _, contentType := range []string{"", "text/plain", "application/json", "application/cloudevents+json", "a/b"} {
			for _, text := range []string{`"`, "\xff", "x"} {
				for _, attributes := range []int{0, 1, 15, 70} {
					e, err := eventgen.Largest(o.mostEventBytes(), contentType, text, eventgen.Names(attributes, "partitionkey")...)
					require.NoError(t, err)
					var n encoder
					n.most, n.further = o.MaxMessageBytes, func(leat.Event) ([]leat.Header, error) { return further, nil }
					n.begin([]leat.Event{e}, o.Structured, !o.NoRecordKey, trace)
					var r kgo.Record
					require.NoError(t, n.encode(&r, e))
					assert.LessOrEqual(t, wireSize(&r), o.MaxMessageBytes, "%s of %q, %d attributes", contentType, text, attributes)
					d := decoded(&r)
					assert.True(t, e.Equal(d.Event), "%s of %q, %d attributes: %v", contentType, text, attributes, d.Malformed)
					modes[len(r.Headers) == 3]++
				}
			}
		}
	}
	assert.Len(t, modes, 2, "binary and structured mode")
}

// TestTooLargeForJSON: an event that JSON makes too large is written in binary mode, also where its
// data is said to be an event.
func TestTooLargeForJSON(t *testing.T) {
	t.Parallel()
	quotes := []byte(strings.Repeat("\"", 10_000))
	for _, c := range []struct {
		contentType string
		most        int
		want        header
	}{
		{"text/plain", 0, header{contentTypeHeader, wire.StructuredType}},
		{"text/plain", 30_000, header{contentTypeHeader, wire.StructuredType}},
		{"text/plain", 16_000, header{contentTypeHeader, "text/plain"}},
		{"application/cloudevents+json", 16_000, header{contentTypeHeader, wire.StructuredType}}, // base64, a third more
		{"application/cloudevents+json", 13_000, header{"ce_datacontenttype", "application/cloudevents+json"}},
	} {
		e := newEvent(t, leat.EventOptions{DataContentType: c.contentType, Data: quotes, Key: "k"})
		var n encoder
		n.most = c.most
		n.begin([]leat.Event{e}, true, true, nil)
		var r kgo.Record
		require.NoError(t, n.encode(&r, e))
		assert.Contains(t, headersIn(&r), c.want, "%d bytes", c.most)
		assert.Equal(t, "k", string(r.Key))
		assert.True(t, e.Equal(decoded(&r).Event))
	}
}
