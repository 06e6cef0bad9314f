// Package eventgen makes random events of every shape that there is, for tests of what carries
// them.
package eventgen

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/leatgo/leat"
)

// Generator makes events. The same seed makes the same events.
type Generator struct{ *rand.Rand }

// New returns a Generator.
func New(seed uint64) Generator { return Generator{rand.New(rand.NewPCG(seed, 0))} }

// Batches calls check with batches of at most so many events until there were total events. where
// names a batch, so that it can be made again.
func Batches(total, most int, check func(g Generator, events []leat.Event, where string)) error {
	for seed := uint64(0); total > 0; seed++ {
		g := New(seed)
		events := make([]leat.Event, 1+g.IntN(most))
		for i := range events {
			var err error
			if events[i], err = g.Event(); err != nil {
				return fmt.Errorf("seed %d, event %d: %w", seed, i, err)
			}
		}
		check(g, events, fmt.Sprintf("seed %d", seed))
		total -= len(events)
	}
	return nil
}

// pieces are what texts are put together from: what encodings like to change.
var pieces = []string{
	"a", "Z", "0", " ", "%20", "%", "+", "\"", "\\", "/", ":", ";", ",", "=", "ce_", "\u00a0", "é", "e\u0301", "ß", "İ", "\u212a",
	"日本", "\u200f", "\u2028", "\ufeff", "🚀", "\U0010fffd", "null", "true", "<&>",
}

func (g Generator) text(most int) string {
	var b strings.Builder
	for range g.IntN(most + 1) {
		b.WriteString(pieces[g.IntN(len(pieces))])
	}
	return b.String()
}

// required is a text that is not empty.
func (g Generator) required(most int) string { return pieces[g.IntN(len(pieces))] + g.text(most) }

func (g Generator) pick(from ...string) string { return from[g.IntN(len(from))] }

func (g Generator) bytes(most int) []byte {
	b := make([]byte, g.IntN(most+1))
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	return b
}

func (g Generator) time() time.Time {
	zone := time.UTC
	if g.IntN(2) == 0 {
		zone = time.FixedZone("", 60*(g.IntN(24*60)-12*60))
	}
	return time.Unix(g.Int64N(8e9)-2e9, g.Int64N(2)*g.Int64N(1e9)).In(zone)
}

func (g Generator) value() any {
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

func (g Generator) name() string {
	b := make([]byte, 1+g.IntN(8))
	for i := range b {
		b[i] = "abcdefghijklmnopqrstuvwxyz0123456789"[g.IntN(36)]
	}
	return "x" + string(b) // no name of an attribute begins with it
}

func (g Generator) data() []byte {
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
func (g Generator) own() (leat.Event, error) {
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

// foreign makes an event that only another producer can have made: more attributes, longer values,
// reserved names.
func (g Generator) foreign() (leat.Event, error) {
	headers := []leat.Header{ //nolint:prealloc // the loop adds to what stands here
		{Name: "specversion", Value: []byte("1.0")}, {Name: "id", Value: []byte(g.required(20))}, {Name: "source", Value: []byte("#")},
		{Name: "type", Value: []byte(g.required(2))}, {Name: "partitionkey", Value: []byte(g.text(3))},
		{Name: "time", Value: []byte(g.pick("2026-01-02t03:04:60.123456789z", "2016-12-31T23:59:60-00:00"))},
		{Name: "leatreason", Value: []byte(g.text(5))}, {Name: strings.Repeat("n", 128), Value: bytes.Repeat([]byte("v"), g.IntN(6<<10))},
	}
	for i := range g.IntN(72) {
		headers = append(headers, leat.Header{Name: fmt.Sprintf("x%d", i), Value: []byte(g.text(3))})
	}
	return new(leat.Decoder).Decode(headers, g.data())
}

// Event makes an event: mostly as an application does, at times as only another producer can.
func (g Generator) Event() (leat.Event, error) {
	if g.IntN(8) == 0 {
		return g.foreign()
	}
	return g.own()
}
