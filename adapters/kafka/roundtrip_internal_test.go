package kafka

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// generator makes events of every shape that there is. The same seed makes the same events.
type generator struct{ *rand.Rand }

func newGenerator(seed uint64) generator { return generator{rand.New(rand.NewPCG(seed, 0))} }

// pieces are what texts are put together from: what encodings like to change.
var pieces = []string{
	"a", "Z", "0", " ", "%20", "%", "+", "\"", "\\", "/", ":", ";", ",", "=", "ce_", "\u00a0", "é", "e\u0301", "ß", "İ", "\u212a",
	"日本", "\u200f", "\u2028", "\ufeff", "🚀", "\U0010fffd", "null", "true", "<&>",
}

func (g generator) text(most int) string {
	var b strings.Builder
	for range g.IntN(most + 1) {
		b.WriteString(pieces[g.IntN(len(pieces))])
	}
	return b.String()
}

// required is a text that is not empty.
func (g generator) required(most int) string { return pieces[g.IntN(len(pieces))] + g.text(most) }

func (g generator) pick(from ...string) string { return from[g.IntN(len(from))] }

func (g generator) bytes(most int) []byte {
	b := make([]byte, g.IntN(most+1))
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	return b
}

func (g generator) time() time.Time {
	zone := time.UTC
	if g.IntN(2) == 0 {
		zone = time.FixedZone("", 60*(g.IntN(24*60)-12*60))
	}
	return time.Unix(g.Int64N(8e9)-2e9, g.Int64N(2)*g.Int64N(1e9)).In(zone)
}

func (g generator) value() any {
	switch g.IntN(7) {
	case 0:
		return g.IntN(2) == 0
	case 1:
		return int32(g.Uint32())
	case 2:
		return g.bytes(20)
	case 3:
		return leat.URI(g.pick("urn:x", "HTTP://A@b:1/%7e?q", "mailto:a@b"))
	case 4:
		return leat.URIRef(g.pick("/a", "?", "#f", "../%2e"))
	case 5:
		return g.time()
	}
	return g.text(8)
}

func (g generator) name() string {
	b := make([]byte, 1+g.IntN(8))
	for i := range b {
		b[i] = "abcdefghijklmnopqrstuvwxyz0123456789"[g.IntN(36)]
	}
	return "x" + string(b) // no name of an attribute begins with it
}

func (g generator) data() []byte {
	switch g.IntN(8) {
	case 0:
		return nil
	case 1:
		return []byte{}
	case 2:
		return []byte(g.pick("null", `""`, "{}", "[1,2]", `{"a":1.50,"b":"\u00e9"}`, " {} ", "{", "1e5"))
	case 3:
		return []byte(g.text(40))
	case 4:
		return g.bytes(1000)
	}
	return g.bytes(50)
}

// own makes an event as an application does.
func (g generator) own() (leat.Event, error) {
	o := &leat.EventOptions{
		ID: g.required(5), Source: g.pick("/s", "urn:a:b", "HTTP://A/%7e?q#f", "//h", "a"), Time: g.time(), Data: g.data(),
		DataContentType: g.pick("", "application/json", "text/plain; charset=utf-8", "a/b", `Application/X+JSON; a="b;c"`, "application/xml"),
	}
	if g.IntN(2) == 0 {
		o.Subject, o.Key = g.text(5), g.text(5)
	}
	if g.IntN(4) == 0 {
		o.DataSchema = g.pick("urn:x", "https://a/b?c")
	}
	if n := g.IntN(12); n > 6 {
		o.Extensions = map[string]any{}
		for range n - 6 {
			o.Extensions[g.name()] = g.value()
		}
	}
	return leat.NewEvent(g.required(5), o)
}

// foreign makes an event that only another producer can have made: more attributes, longer values, reserved names.
func (g generator) foreign() (leat.Event, error) {
	headers := []leat.Header{
		{Name: "specversion", Value: []byte("1.0")}, {Name: "id", Value: []byte(g.required(20))}, {Name: "source", Value: []byte("#")},
		{Name: "type", Value: []byte(g.required(2))}, {Name: "partitionkey", Value: []byte(g.text(3))},
		{Name: "time", Value: []byte(g.pick("2026-01-02t03:04:60.123456789z", "2016-12-31T23:59:60-00:00"))},
		{Name: "leatreason", Value: []byte(g.text(5))}, {Name: strings.Repeat("n", 128), Value: bytes.Repeat([]byte("v"), g.IntN(6<<10))},
	}
	for i := range g.IntN(72) {
		headers = append(headers, leat.Header{Name: fmt.Sprintf("x%d", i), Value: []byte(g.text(3))})
	}
	return leat.DecodeEvent(headers, g.data())
}

func (g generator) event() (leat.Event, error) {
	if g.IntN(8) == 0 {
		return g.foreign()
	}
	return g.own()
}

// TestDecodeIsTheInverseOfEncode holds for any event, alone and in a batch, in both modes: transport changes nothing.
func TestDecodeIsTheInverseOfEncode(t *testing.T) {
	t.Parallel()
	const total, most = 10_000, 64
	for seed, done := uint64(0), 0; done < total; seed++ {
		g := newGenerator(seed)
		events := make([]leat.Event, 1+g.IntN(most))
		for i := range events {
			e, err := g.event()
			require.NoError(t, err, "seed %d, event %d", seed, i)
			events[i] = e
		}
		checkRoundTrip(t, events, g.IntN(2) == 0, fmt.Sprintf("seed %d", seed))
		done += len(events)
	}
}

// checkRoundTrip encodes the events in one batch, in both modes, and decodes them again.
func checkRoundTrip(t testing.TB, events []leat.Event, keyed bool, where string) {
	t.Helper()
	for _, structured := range []bool{false, true} {
		n := newEncoder(events, structured, keyed)
		records := make([]kgo.Record, len(events))
		for i, e := range events {
			require.NoError(t, n.encode(&records[i], e), where)
		}
		var c decoder
		for i, e := range events {
			var d leat.Delivery
			c.decode(&records[i], &d)
			if d.Malformed != nil {
				t.Fatalf("%s, event %d, structured %v: %v", where, i, structured, d.Malformed.Reason)
			}
			if !d.Event.Equal(e) || d.Event.Size() != e.Size() {
				t.Fatalf("%s, event %d, structured %v: not the same:\n%v\n%v", where, i, structured, d.Event, e)
			}
			if key := records[i].Key; keyed && string(key) != e.Key() || !keyed && key != nil || key != nil && len(key) == 0 {
				t.Fatalf("%s, event %d: the record's key is %q and the event's %q", where, i, key, e.Key())
			}
			if size := sizeOf(&records[i]); size < e.Size() {
				t.Fatalf("%s, event %d, structured %v: counts as %d bytes and has %d", where, i, structured, size, e.Size())
			}
		}
	}
}
