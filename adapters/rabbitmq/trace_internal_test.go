package rabbitmq

import (
	"strings"
	"testing"

	"github.com/leatgo/leat"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const traceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// decoded is the delivery of a message.
func decoded(m *amqp.Delivery) (d leat.Delivery) {
	var c decoder
	c.decode(m, &d)
	return d
}

// TestTraceHeaders: the trace context of a publish goes beside the event, whose own extensions of
// these names stay as they are. The encoder keeps its table from message to message.
func TestTraceHeaders(t *testing.T) {
	t.Parallel()
	plain := newEvent(t, leat.EventOptions{Data: []byte("1")})
	own := newEvent(t, leat.EventOptions{Key: "k", Extensions: map[string]any{"traceparent": "its own", "tracestate": "b=2"}})
	for _, structured := range []bool{false, true} {
		n := encoder{structured: structured}
		for _, e := range []leat.Event{plain, own} {
			for _, trace := range []*leat.TraceContext{
				nil, {Parent: traceParent, State: "a=1"}, {Parent: traceParent}, nil, {Parent: traceParent, State: "a=1"}, nil,
			} {
				p, err := n.encode(e, trace)
				require.NoError(t, err)
				_, parent := p.Headers["traceparent"]
				_, state := p.Headers["tracestate"]
				assert.Equal(t, trace != nil, parent)
				assert.Equal(t, trace != nil && trace.State != "", state)
				d := decoded(delivered(p))
				assert.True(t, e.Equal(d.Event), "%v", d.Event)
				assert.Equal(t, trace, d.Trace)
			}
		}
	}
}

// TestTraceThatDoesNotFit: no event is written in another mode, or refused, because of its trace
// context.
func TestTraceThatDoesNotFit(t *testing.T) {
	t.Parallel()
	trace := &leat.TraceContext{Parent: traceParent, State: strings.Repeat("x", 512)}
	e := newEvent(t, leat.EventOptions{Subject: strings.Repeat("s", 2000)})
	modes := map[string]int{}
	for frame := 500; frame < 3500; frame += 10 {
		n := encoder{frameBytes: frame}
		without, err := n.encode(e, nil)
		require.NoError(t, err)
		contentType := without.ContentType
		with, err := n.encode(e, trace)
		require.NoError(t, err)
		assert.Equal(t, contentType, with.ContentType, "%d bytes: the mode", frame)
		size := contentBytes + len(with.MessageId) + len(with.ContentType)
		for name, value := range with.Headers {
			size += fieldBytes + len(name) + len(value.(string))
		}
		assert.LessOrEqual(t, size, frame)
		d := decoded(delivered(with))
		assert.True(t, e.Equal(d.Event))
		switch {
		case d.Trace == nil:
			modes["none"]++
		case d.Trace.State == "":
			modes["parent"]++
		default:
			modes["both"]++
		}
	}
	assert.Len(t, modes, 3, "%v", modes)
}

// TestForeignTrace: the headers of whatever the message is, malformed or not, as text or bytes.
func TestForeignTrace(t *testing.T) {
	t.Parallel()
	want, both := &leat.TraceContext{Parent: traceParent, State: "a=1"}, amqp.Table{"traceparent": traceParent, "tracestate": "a=1"}
	for name, c := range map[string]struct {
		m    *amqp.Delivery
		want *leat.TraceContext
	}{
		"an event":           {msg("", "", minimal(amqp.Table{"traceparent": traceParent, "tracestate": "a=1"})), want},
		"bytes":              {msg("", "", minimal(amqp.Table{"traceparent": []byte(traceParent), "tracestate": []byte("a=1")})), want},
		"structured":         {msg("application/cloudevents+json", minimalJSON, both), want},
		"no event":           {msg("", "x", both), want},
		"malformed":          {msg("", "", minimal(amqp.Table{"traceparent": traceParent, "tracestate": "a=1", "ce-time": "x"})), want},
		"only the extension": {msg("", "", minimal(amqp.Table{"ce-traceparent": traceParent})), nil},
		"in another case": {
			msg("", "", minimal(amqp.Table{"traceparent": traceParent, "tracestate": "a=1", "Traceparent": traceParent[:53] + "00"})), want,
		},
		"not valid": {msg("", "", minimal(amqp.Table{"traceparent": "0" + traceParent})), nil},
		"a number":  {msg("", "", minimal(amqp.Table{"traceparent": int64(1)})), nil},
		"null":      {msg("", "", minimal(amqp.Table{"traceparent": nil})), nil},
		"large":     {msg("", "", minimal(amqp.Table{"traceparent": make([]byte, 1<<20)})), nil},
		"a state that is no text": {
			msg("", "", minimal(amqp.Table{"traceparent": traceParent, "tracestate": amqp.Table{}})), &leat.TraceContext{Parent: traceParent},
		},
	} {
		d := decoded(c.m)
		assert.Equal(t, c.want, d.Trace, name)
		if d.Malformed != nil {
			assert.Equal(t, headersOf(c.m), d.Malformed.Headers, name)
			continue
		}
		_, own := d.Event.Extension("traceparent")
		assert.Equal(t, name == "only the extension", own, name)
	}
}

// TestTraceAllocations: an event without a trace context costs nothing for it, and one with costs
// what differs from the last.
func TestTraceAllocations(t *testing.T) {
	events := benchEvents(t, 100)
	encode := func(trace *leat.TraceContext) float64 {
		var n encoder
		return testing.AllocsPerRun(100, func() {
			for _, e := range events {
				if _, err := n.encode(e, trace); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	without := encode(nil)
	assert.LessOrEqual(t, encode(&leat.TraceContext{Parent: traceParent, State: "a=1"}), without+2, "of 100 events")
	decode := func(m *amqp.Delivery) float64 {
		var c decoder
		var d leat.Delivery
		return testing.AllocsPerRun(100, func() { c.decode(m, &d) })
	}
	assert.InDelta(t, decode(msg("", "", minimal(nil))), decode(msg("", "", minimal(amqp.Table{"traceid": "x"}))), 0)
}
