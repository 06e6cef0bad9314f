package leatotel

import (
	"context"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/w3ctrace"
	"go.opentelemetry.io/otel/trace"
)

// The extensions of the CloudEvents extension for distributed tracing.
const (
	traceParent = "traceparent"
	traceState  = "tracestate"
)

// createdIn returns the trace context that an event carries in its extensions; one that is not
// valid where there is none.
func createdIn(e *leat.Event) trace.SpanContext {
	parent := extension(e, traceParent)
	if parent == "" {
		return trace.SpanContext{}
	}
	return spanContext(parent, extension(e, traceState))
}

// extension returns the value of an extension that is a string, and "" otherwise.
func extension(e *leat.Event, name string) string {
	v, _ := e.Extension(name)
	s, _ := v.(string)
	return s
}

// sentIn returns the trace context that the transport carries.
func sentIn(c *leat.TraceContext) trace.SpanContext {
	if c == nil {
		return trace.SpanContext{}
	}
	return spanContext(c.Parent, c.State)
}

// spanContext reads a trace context by W3C Trace Context (§3.2, §3.3), of version 00 and of what
// later versions append to it. One that is not valid is none.
func spanContext(parent, state string) trace.SpanContext {
	if !w3ctrace.IsParent(parent) {
		return trace.SpanContext{}
	}
	traceID, err := trace.TraceIDFromHex(parent[3:35])
	if err != nil {
		return trace.SpanContext{}
	}
	spanID, err := trace.SpanIDFromHex(parent[36:52])
	if err != nil {
		return trace.SpanContext{}
	}
	config := trace.SpanContextConfig{TraceID: traceID, SpanID: spanID, Remote: true}
	if isSampled(parent[54]) {
		config.TraceFlags = trace.FlagsSampled
	}
	if state != "" && w3ctrace.IsState(state) {
		config.TraceState, _ = trace.ParseTraceState(state) // one that is not valid counts for nothing
	}
	return trace.NewSpanContext(config)
}

// isSampled reads the lowest bit of a digit of lower-case hex.
func isSampled(digit byte) bool {
	if digit >= 'a' {
		digit -= 'a' - 10
	}
	return digit&1 == 1
}

// carrying returns ctx with its span's context as text, for [leat.TraceFrom]; nil where it has
// none.
func carrying(ctx context.Context) context.Context {
	c := trace.SpanContextFromContext(ctx)
	if !c.IsValid() {
		return nil
	}
	const digits = "0123456789abcdef"
	text := [55]byte{2: '-', 35: '-', 52: '-', 53: '0', 54: '0'}
	text[0], text[1] = '0', '0'
	put := func(at int, bytes []byte) {
		for _, b := range bytes {
			text[at], text[at+1] = digits[b>>4], digits[b&15]
			at += 2
		}
	}
	traceID, spanID := c.TraceID(), c.SpanID()
	put(3, traceID[:])
	put(36, spanID[:])
	put(53, []byte{byte(c.TraceFlags())})
	return leat.ContextWithTrace(ctx, leat.TraceContext{Parent: string(text[:]), State: c.TraceState().String()})
}
