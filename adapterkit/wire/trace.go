package wire

import (
	"bytes"

	"github.com/leatgo/leat"
)

// The headers of a trace context, as W3C Trace Context writes them. They have no prefix, and are
// compared with case, as brokers do.
const (
	TraceParent = "traceparent"
	TraceState  = "tracestate"
)

const longestTrace = 512 // bytes of a value that is taken

// Trace collects the trace context of one message. A [Reader] has one. If a header is there twice
// with different values, nobody knows which one is meant: W3C Trace Context has such a message go
// on without it.
type Trace struct {
	parent, state         []byte
	twoParents, twoStates bool
	any                   bool // there is one of them
}

// Add looks at a header, whatever its name. It keeps value.
func (t *Trace) Add(name string, value []byte) {
	switch {
	case len(name) != len(TraceParent) && len(name) != len(TraceState) || value == nil:
	case name == TraceParent:
		t.any = true
		t.twoParents = t.twoParents || t.parent != nil && !bytes.Equal(t.parent, value)
		t.parent = value
	case name == TraceState:
		t.any = true
		t.twoStates = t.twoStates || t.state != nil && !bytes.Equal(t.state, value)
		t.state = value
	}
}

// Context returns the trace context, which shares nothing with the values, or nil.
func (t *Trace) Context() *leat.TraceContext {
	if t.parent == nil || t.twoParents || len(t.parent) > longestTrace {
		return nil
	}
	if t.twoStates || len(t.state) > longestTrace {
		return leat.NewTraceContext(string(t.parent), "")
	}
	return leat.NewTraceContext(string(t.parent), string(t.state))
}
