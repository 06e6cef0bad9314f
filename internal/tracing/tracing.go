// Package tracing reads the headers of a trace context for adapters.
package tracing

import (
	"bytes"

	"github.com/leatgo/leat"
)

// The names of the headers, as W3C Trace Context writes them. Brokers tell capitals from small letters in names, and so does this.
const (
	Parent = "traceparent"
	State  = "tracestate"
)

// Headers are the values of these headers of one message. Of a header that is there twice with different values nobody knows which is
// meant: W3C Trace Context has such a message go on without.
type Headers struct {
	parent, state         []byte
	twoParents, twoStates bool
}

// Add looks at a header. It keeps the value.
func (h *Headers) Add(name string, value []byte) {
	switch {
	case len(name) != len(Parent) && len(name) != len(State) || value == nil:
	case name == Parent:
		h.twoParents = h.twoParents || h.parent != nil && !bytes.Equal(h.parent, value)
		h.parent = value
	case name == State:
		h.twoStates = h.twoStates || h.state != nil && !bytes.Equal(h.state, value)
		h.state = value
	}
}

// Context returns the trace context, which shares nothing with the values; nil where there is none.
func (h *Headers) Context() *leat.TraceContext {
	if h.parent == nil || h.twoParents {
		return nil
	}
	const most = 512 // bytes of the longest value that is taken
	if len(h.parent) > most {
		return nil
	}
	state := ""
	if !h.twoStates && len(h.state) <= most {
		state = string(h.state)
	}
	return leat.NewTraceContext(string(h.parent), state)
}
