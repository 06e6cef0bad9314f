package kafka

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// benchEvents are like those of an application: 1 KiB of JSON, a key, a subject, a trace context
// and two extensions of its own.
func benchEvents(tb testing.TB, n int) []leat.Event {
	tb.Helper()
	events := make([]leat.Event, n)
	for i := range events {
		events[i] = newEvent(tb, leat.EventOptions{
			Subject: "o-1234567890", Key: fmt.Sprintf("c-%d", i), DataContentType: "application/json",
			Extensions: map[string]any{
				"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tenant": "blue", "sequence": 7,
			},
			Data: []byte(`{"a":"` + string(bytes.Repeat([]byte("x"), 1<<10)) + `"}`),
		})
	}
	return events
}

func encodeAll(tb testing.TB, events []leat.Event, records []kgo.Record, structured bool) {
	tb.Helper()
	n := newEncoder(events, structured, true)
	for i, e := range events {
		if err := n.encode(&records[i], e); err != nil {
			tb.Fatal(err)
		}
	}
}

// TestEncodeAllocations: the bytes, the headers and the names of one publish are one allocation
// each.
func TestEncodeAllocations(t *testing.T) {
	for _, n := range []int{1, 100} {
		events, records := benchEvents(t, n), make([]kgo.Record, n)
		for _, structured := range []bool{false, true} {
			allocs := testing.AllocsPerRun(100, func() { encodeAll(t, events, records, structured) })
			assert.LessOrEqual(t, allocs/float64(n), 3.0, "%d events, structured %v", n, structured)
		}
		shared := []leat.Header{{Name: "__value_schema_id", Value: make([]byte, 17)}}
		further := func(leat.Event) ([]leat.Header, error) { return shared, nil }
		allocs := testing.AllocsPerRun(100, func() {
			e := encoder{further: further}
			e.begin(events, false, true, nil)
			for i := range events {
				require.NoError(t, e.encode(&records[i], events[i]))
			}
		})
		assert.LessOrEqual(t, allocs/float64(n), 3.0, "%d events with a further header", n)
	}
}

func modeName(structured bool) string {
	if structured {
		return "structured"
	}
	return "binary"
}

func BenchmarkEncode(b *testing.B) {
	for _, structured := range []bool{false, true} {
		for _, n := range []int{1, 100} {
			b.Run(fmt.Sprintf("%s/%d", modeName(structured), n), func(b *testing.B) {
				events, records := benchEvents(b, n), make([]kgo.Record, n)
				b.ReportAllocs()
				for b.Loop() {
					encodeAll(b, events, records, structured)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/event")
			})
		}
	}
}

// decodeAllocations decodes a record again and again.
func decodeAllocations(r *kgo.Record) float64 {
	var c decoder
	var d leat.Delivery
	return testing.AllocsPerRun(100, func() {
		d = leat.Delivery{}
		c.decode(r, &d)
	})
}

// TestKeyAllocations: the record's key costs nothing where the event has a key of its own.
func TestKeyAllocations(t *testing.T) {
	records := make([]kgo.Record, 1)
	encodeAll(t, benchEvents(t, 1), records, false)
	own := records[0]
	own.Key = nil
	without := decodeAllocations(&own)
	own.Key = []byte("the key of an order")
	assert.InDelta(t, without, decodeAllocations(&own), 0, "an event with a key of its own")
	foreign := rec(nil, minimal()...)
	without = decodeAllocations(foreign)
	foreign.Key = []byte("the key of an order")
	assert.InDelta(t, without+1, decodeAllocations(foreign), 0, "one for the key of an event that has none")
}

func BenchmarkDecode(b *testing.B) {
	for _, structured := range []bool{false, true} {
		b.Run(modeName(structured), func(b *testing.B) {
			records := make([]kgo.Record, 1)
			encodeAll(b, benchEvents(b, 1), records, structured)
			var c decoder
			b.ReportAllocs()
			for b.Loop() {
				var d leat.Delivery
				c.decode(&records[0], &d)
				if d.Malformed != nil {
					b.Fatal(d.Malformed.Reason)
				}
			}
		})
	}
}
