package watermill

import (
	"strconv"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/wire"
)

// addTrace puts a trace context into the metadata of a message, which for other services of
// Watermill are the transport's headers.
func addTrace(m *message.Message, t *leat.TraceContext) {
	if t == nil {
		return
	}
	m.Metadata[wire.TraceParent] = t.Parent
	if t.State != "" {
		m.Metadata[wire.TraceState] = t.State
	}
}

// traceOf returns the trace context in the metadata of a message, nil where there is none.
func traceOf(m *message.Message) *leat.TraceContext {
	if _, ok := m.Metadata[wire.TraceParent]; !ok {
		return nil
	}
	var h wire.Trace
	addAll(&h, m.Metadata, wire.TraceParent)
	addAll(&h, m.Metadata, wire.TraceState)
	return h.Context()
}

// addAll adds every value of a header. Of one that was there more than once, the kafka package
// keeps the others as "name (2)", "name (3)" and so on.
func addAll(h *wire.Trace, metadata message.Metadata, name string) {
	value, ok := metadata[name]
	for n := 2; ok; n++ {
		h.Add(name, []byte(value))
		value, ok = metadata[name+" ("+strconv.Itoa(n)+")"]
	}
}
