package leat

import "context"

// TraceContext is a trace context as text, as W3C Trace Context has it: the values of the headers
// traceparent and tracestate. Leat carries it and does not read more of it than its form. Make one
// with [NewTraceContext].
type TraceContext struct {
	// Parent is the value of traceparent.
	Parent string
	// State is the value of tracestate. Empty means none.
	State string
}

// The longest values that are carried. A traceparent of version 00 has 55 bytes.
const (
	maxTraceParent = 128
	maxTraceState  = 512
)

// NewTraceContext returns the trace context of the values of the headers traceparent and
// tracestate, for adapters. It returns nil where parent is not a traceparent of W3C Trace Context
// (§3.2) in version 00 or a later one, in lower case, with ids that are not all zero, and 128 bytes
// at most. A state that is not printable ASCII of 512 bytes at most is dropped. A value that is not
// valid is never an error: it comes from other programs, and no event fails because of it.
func NewTraceContext(parent, state string) *TraceContext {
	if !isTraceParent(parent) {
		return nil
	}
	if !isTraceState(state) {
		state = ""
	}
	return &TraceContext{Parent: parent, State: state}
}

// isTraceParent checks version-traceid-parentid-flags, with what later versions may append behind
// another '-'.
func isTraceParent(s string) bool {
	const version, traceID, parentID, flags = 2, 3 + 32, 3 + 32 + 17, 55 // where each ends
	switch {
	case len(s) < flags || len(s) > maxTraceParent || s[version] != '-' || s[traceID] != '-' || s[parentID] != '-':
		return false
	case !isLowerHex(s[:version]), !isLowerHex(s[version+1 : traceID]), !isLowerHex(s[traceID+1 : parentID]),
		!isLowerHex(s[parentID+1 : flags]):
		return false
	case s[:version] == "ff" || isZeros(s[version+1:traceID]) || isZeros(s[traceID+1:parentID]):
		return false
	case len(s) == flags:
		return true
	}
	return s[:version] != "00" && s[flags] == '-' && isPrintable(s[flags:], '!')
}

func isTraceState(s string) bool { return len(s) <= maxTraceState && isPrintable(s, ' ') }

func isLowerHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func isZeros(s string) bool {
	for i := range len(s) {
		if s[i] != '0' {
			return false
		}
	}
	return true
}

// isPrintable reports whether s is ASCII from the byte least to '~'.
func isPrintable(s string, least byte) bool {
	for i := range len(s) {
		if s[i] < least || s[i] > '~' {
			return false
		}
	}
	return true
}

type traceKey struct{}

// ContextWithTrace returns a context for a publish that carries the trace context of the span that
// sends. An adapter writes it beside each event, as the bare headers traceparent and tracestate, so
// that programs without CloudEvents read it; the event stays as it is. A t that [NewTraceContext]
// would not make is none, whatever ctx carried before.
func ContextWithTrace(ctx context.Context, t TraceContext) context.Context {
	return withTrace(ctx, NewTraceContext(t.Parent, t.State))
}

func withTrace(ctx context.Context, t *TraceContext) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

// TraceFrom returns the trace context that [ContextWithTrace] put into ctx, for adapters; nil where
// there is none. Nobody changes it.
func TraceFrom(ctx context.Context) *TraceContext {
	t, _ := ctx.Value(traceKey{}).(*TraceContext)
	return t
}
