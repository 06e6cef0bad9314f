package watermill

import (
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/tracing"
)

// addTrace puts a trace context into the metadata of a message, which for other services of Watermill are the transport's headers.
func addTrace(m *message.Message, t *leat.TraceContext) {
	if t == nil {
		return
	}
	m.Metadata[tracing.Parent] = t.Parent
	if t.State != "" {
		m.Metadata[tracing.State] = t.State
	}
}

// traceOf returns the trace context in the metadata of a message, nil where there is none. A header that was there twice comes from the
// kafka package with a number behind its name: which of them is meant nobody knows.
func traceOf(m *message.Message) *leat.TraceContext {
	const second = " (2)"
	parent, ok := m.Metadata[tracing.Parent]
	if !ok {
		return nil
	}
	if other, twice := m.Metadata[tracing.Parent+second]; twice && other != parent {
		return nil
	}
	state := m.Metadata[tracing.State]
	if other, twice := m.Metadata[tracing.State+second]; twice && other != state {
		state = ""
	}
	return leat.NewTraceContext(parent, state)
}
