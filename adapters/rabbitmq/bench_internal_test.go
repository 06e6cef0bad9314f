package rabbitmq

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
)

// benchEvents are like those of an application: 1 KiB of JSON, a key, a subject, a trace context
// and two extensions of its own.
func benchEvents(tb testing.TB, n int) []leat.Event {
	tb.Helper()
	events := make([]leat.Event, n)
	for i := range events {
		events[i] = newEvent(tb, leat.EventOptions{
			ID: fmt.Sprintf("0197f0a0-0000-7000-8000-%012d", i), Subject: "o-1234567890", Key: fmt.Sprintf("c-%d", i),
			DataContentType: "application/json",
			Extensions: map[string]any{
				"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tenant": "blue", "sequence": 7,
			},
			Data: []byte(`{"a":"` + string(bytes.Repeat([]byte("x"), 1<<10)) + `"}`),
		})
	}
	return events
}

func encodeAll(tb testing.TB, n *encoder, events []leat.Event) {
	tb.Helper()
	for _, e := range events {
		if _, err := n.encode(e, nil); err != nil {
			tb.Fatal(err)
		}
	}
}

// TestAllocations: what is the same in the next event costs nothing, what differs one allocation;
// an event that is read costs those of leat.Decoder.
func TestAllocations(t *testing.T) {
	events := benchEvents(t, 100)
	for _, structured := range []bool{false, true} {
		n := encoder{structured: structured}
		allocs := testing.AllocsPerRun(100, func() { encodeAll(t, &n, events) }) / float64(len(events))
		assert.LessOrEqual(t, allocs, 2.1, "the id and the key; structured %v", structured)
		m := delivered(encodeOne(t, events[0], structured))
		var c decoder
		decode := func() {
			var d leat.Delivery
			c.decode(m, &d)
		}
		for range 10 { // which learns what repeats
			decode()
		}
		read := testing.AllocsPerRun(100, decode)
		assert.LessOrEqual(t, read, 4.0, "structured %v", structured)
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
		b.Run(modeName(structured), func(b *testing.B) {
			events, n := benchEvents(b, 100), encoder{structured: structured}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := n.encode(events[i%len(events)], nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, structured := range []bool{false, true} {
		b.Run(modeName(structured), func(b *testing.B) {
			m := delivered(encodeOne(b, benchEvents(b, 1)[0], structured))
			var c decoder
			b.ReportAllocs()
			for b.Loop() {
				var d leat.Delivery
				c.decode(m, &d)
				if d.Malformed != nil {
					b.Fatal(d.Malformed.Reason)
				}
			}
		})
	}
}
