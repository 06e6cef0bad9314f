package rabbitmq

import (
	"strings"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/eventgen"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestLargestEventFits: an event of exactly the limit fits into MaxMessageBytes and a frame in some
// mode, whatever its bytes are.
func TestLargestEventFits(t *testing.T) {
	t.Parallel()
	trace := &leat.TraceContext{Parent: traceParent, State: strings.Repeat("x", 512)}
	modes := map[bool]int{}
	for _, o := range []Options{
		{Structured: true}, {MaxMessageBytes: 500_000}, {MaxMessageBytes: 500_000, Structured: true},
		{MaxMessageBytes: 16 << 10, Structured: true},
	} {
		o = o.withDefaults()
		n := encoder{structured: o.Structured, bodyBytes: o.MaxMessageBytes, frameBytes: 128 << 10}
		for _, contentType := range []string{"", "text/plain", "application/json", "application/cloudevents+json"} {
			for _, text := range []string{`"`, "\xff", "x"} {
				for _, attributes := range []int{0, 1, 15, 70} {
					e, err := eventgen.Largest(o.mostEventBytes(), contentType, text, eventgen.Names(attributes)...)
					require.NoError(t, err)
					p, err := n.encode(e, trace)
					require.NoError(t, err, "%s of %q, %d attributes", contentType, text, attributes)
					assert.LessOrEqual(t, len(p.Body), o.MaxMessageBytes)
					d := decoded(delivered(p))
					assert.True(t, e.Equal(d.Event), "%s of %q, %d attributes: %v", contentType, text, attributes, d.Malformed)
					modes[p.ContentType == structuredType]++
				}
			}
		}
	}
	assert.Len(t, modes, 2, "binary and structured mode")
}

// TestTooLargeForJSON: an event whose JSON does not fit is written in binary mode if its attributes
// fit into a frame, and refused otherwise.
func TestTooLargeForJSON(t *testing.T) {
	t.Parallel()
	quotes := []byte(strings.Repeat(`"`, 10_000))
	e := newEvent(t, leat.EventOptions{DataContentType: "text/plain", Data: quotes, Subject: strings.Repeat("s", 900)})
	for _, c := range []struct {
		body, frame int
		want        string
	}{
		{0, 0, structuredType}, {25_000, 0, structuredType}, {15_000, 0, "text/plain"}, {15_000, 4_096, "text/plain"}, {15_000, 500, ""},
	} {
		n := encoder{structured: true, bodyBytes: c.body, frameBytes: c.frame}
		for _, trace := range []*leat.TraceContext{nil, {Parent: traceParent}} {
			p, err := n.encode(e, trace)
			if c.want == "" {
				assert.Equal(t, leat.CodeTooLarge, leat.CodeOf(err))
				continue
			}
			require.NoError(t, err)
			assert.Equal(t, c.want, p.ContentType)
			d := decoded(delivered(p))
			assert.True(t, e.Equal(d.Event))
			assert.Equal(t, trace, d.Trace)
		}
	}
}
