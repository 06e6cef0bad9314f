package kafka

import (
	"slices"
	"strings"
	"testing"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

const traceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// decoded is the delivery of a record.
func decoded(r *kgo.Record) (d leat.Delivery) {
	var c decoder
	c.decode(r, &d)
	return d
}

// TestTraceHeaders: the trace context of a publish goes beside the event, and the event's own
// extensions of these names stay as they are.
func TestTraceHeaders(t *testing.T) {
	t.Parallel()
	events := []leat.Event{
		newEvent(t, leat.EventOptions{Data: []byte("1")}),
		newEvent(t, leat.EventOptions{Key: "k", Extensions: map[string]any{"traceparent": "its own", "tracestate": "b=2"}}),
	}
	for _, trace := range []*leat.TraceContext{nil, {Parent: traceParent}, {Parent: traceParent, State: "a=1"}} {
		for _, structured := range []bool{false, true} {
			for _, copies := range []bool{false, true} {
				var n encoder
				n.begin(events, structured, true, trace)
				n.copies = copies
				records := make([]kgo.Record, len(events))
				for i, e := range events {
					require.NoError(t, n.encode(&records[i], e))
				}
				for i, e := range events {
					var bare []header
					for _, h := range headersIn(&records[i]) {
						if strings.HasPrefix(h.name, "trace") {
							bare = append(bare, h)
						}
					}
					switch {
					case trace == nil:
						assert.Empty(t, bare)
					case trace.State == "":
						assert.Equal(t, []header{{"traceparent", traceParent}}, bare)
					default:
						assert.Equal(t, []header{{"traceparent", traceParent}, {"tracestate", "a=1"}}, bare)
					}
					d := decoded(&records[i])
					assert.True(t, e.Equal(d.Event), "%v", d.Event)
					assert.Equal(t, trace, d.Trace)
				}
			}
		}
	}
}

// A parcel is used again: what the last publish was under must not come along.
func TestTraceIsOfOnePublish(t *testing.T) {
	t.Parallel()
	var pools parcelPools
	events := []leat.Event{newEvent(t, leat.EventOptions{})}
	o := (&Options{}).withDefaults()
	for _, trace := range []*leat.TraceContext{{Parent: traceParent, State: "a=1"}, nil, {Parent: traceParent}, nil} {
		b := pools.take(events, trace, &o)
		var r kgo.Record
		require.NoError(t, b.encoder.encode(&r, events[0]))
		assert.Equal(t, trace, decoded(&r).Trace)
		b.Release()
	}
}

// TestForeignTrace: the headers of whatever the record is, malformed or not.
func TestForeignTrace(t *testing.T) {
	t.Parallel()
	bare, other := []string{"traceparent", traceParent}, traceParent[:53]+"00"
	want, both := &leat.TraceContext{Parent: traceParent}, &leat.TraceContext{Parent: traceParent, State: "a=1"}
	for name, c := range map[string]struct {
		r    *kgo.Record
		want *leat.TraceContext
	}{
		"an event":           {rec(nil, minimal(bare...)...), want},
		"with a state":       {rec(nil, minimal("tracestate", "a=1", bare[0], bare[1])...), both},
		"only the extension": {rec(nil, minimal("ce_traceparent", traceParent)...), nil},
		"not valid":          {rec(nil, minimal(bare[0], "0"+traceParent)...), nil},
		"no event":           {rec([]byte("x"), bare...), want},
		"three times":        {rec(nil, minimal(slices.Repeat(bare, 3)...)...), want},
		"back again":         {rec(nil, minimal(bare[0], bare[1], bare[0], other, bare[0], bare[1])...), nil},
		"the third differs":  {rec(nil, minimal(bare[0], bare[1], bare[0], bare[1], bare[0], other)...), nil},
		"in another case":    {rec(nil, minimal(bare[0], bare[1], "Traceparent", other)...), want},
		"malformed":          {rec(nil, minimal("ce_id", "2", bare[0], bare[1])...), want},
	} {
		d := decoded(c.r)
		assert.Equal(t, c.want, d.Trace, name)
		if d.Malformed != nil {
			assert.Equal(t, headersOf(nil, c.r), d.Malformed.Headers, name)
		} else {
			_, own := d.Event.Extension("traceparent")
			assert.Equal(t, name == "only the extension", own, name)
		}
	}
}

// TestTraceAllocations: an event without a trace context costs nothing for it, and the event with
// one costs no more than its text.
func TestTraceAllocations(t *testing.T) {
	events, records := benchEvents(t, 100), make([]kgo.Record, 100)
	encode := func(trace *leat.TraceContext) float64 {
		return testing.AllocsPerRun(100, func() {
			var n encoder
			n.begin(events, false, true, trace)
			for i, e := range events {
				if err := n.encode(&records[i], e); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	without := encode(nil)
	assert.LessOrEqual(t, encode(&leat.TraceContext{Parent: traceParent, State: "a=1"}), without+2, "of 100 events")
	plain := rec(nil, minimal()...)
	cost := decodeAllocations(plain)
	assert.InDelta(t, cost+2, decodeAllocations(rec(nil, minimal("traceparent", traceParent)...)), 0)
	assert.InDelta(t, cost, decodeAllocations(rec(nil, minimal("traceid", "x")...)), 0)
}
