package watermill

import (
	"strings"

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

// headerOf returns the header of the transport that a metadata was. Of a trace context that was
// there more than once, the kafka package keeps the others as "name (2)", "name (3)" and so on.
func headerOf(name string) string {
	for _, trace := range [...]string{wire.TraceParent, wire.TraceState} {
		if number, ok := strings.CutPrefix(name, trace); ok && strings.HasPrefix(number, " (") {
			return trace
		}
	}
	return name
}
