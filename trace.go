package leat

import "context"

// TraceContext is a trace context as text, as W3C Trace Context has it: the values of the headers traceparent and tracestate. Leat carries
// it and does not read it.
type TraceContext struct {
	// Parent is the value of traceparent.
	Parent string
	// State is the value of tracestate. Empty means none.
	State string
}

type traceKey struct{}

// ContextWithTrace returns a context for a publish that carries the trace context of the span that sends. An adapter writes it beside
// each event, as the bare headers traceparent and tracestate, so that programs without CloudEvents read it; the event stays as it is.
func ContextWithTrace(ctx context.Context, t TraceContext) context.Context {
	return context.WithValue(ctx, traceKey{}, &t)
}

// TraceFrom returns the trace context that [ContextWithTrace] put into ctx, for adapters; nil where there is none.
func TraceFrom(ctx context.Context) *TraceContext {
	t, _ := ctx.Value(traceKey{}).(*TraceContext)
	return t
}
