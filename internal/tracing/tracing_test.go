package tracing_test

import (
	"strings"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/tracing"
	"github.com/stretchr/testify/assert"
)

func TestHeaders(t *testing.T) {
	const parent, other = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b8-01"
	for name, c := range map[string]struct {
		headers []string // name, value
		want    *leat.TraceContext
	}{
		"none":             {[]string{"other", parent}, nil},
		"both":             {[]string{"tracestate", "a=1", "x", "y", "traceparent", parent}, &leat.TraceContext{Parent: parent, State: "a=1"}},
		"parent alone":     {[]string{"traceparent", parent}, &leat.TraceContext{Parent: parent}},
		"state alone":      {[]string{"tracestate", "a=1"}, nil},
		"other case":       {[]string{"Traceparent", parent}, nil},
		"an attribute":     {[]string{"ce_traceparent", parent}, nil},
		"twice the same":   {[]string{"traceparent", parent, "traceparent", parent}, &leat.TraceContext{Parent: parent}},
		"twice, different": {[]string{"traceparent", parent, "traceparent", other}, nil},
		"back again":       {[]string{"traceparent", parent, "traceparent", other, "traceparent", parent}, nil},
		"empty and not":    {[]string{"traceparent", "", "traceparent", parent}, nil},
		"two states":       {[]string{"traceparent", parent, "tracestate", "a=1", "tracestate", "b=1"}, &leat.TraceContext{Parent: parent}},
		"long":             {[]string{"traceparent", parent, "tracestate", strings.Repeat("x", 513)}, &leat.TraceContext{Parent: parent}},
		"malformed":        {[]string{"traceparent", parent[1:], "tracestate", "a=1"}, nil},
	} {
		var h tracing.Headers
		for i := 0; i < len(c.headers); i += 2 {
			h.Add(c.headers[i], []byte(c.headers[i+1]))
		}
		h.Add("traceparent", nil) // a null header is no value
		assert.Equal(t, c.want, h.Context(), name)
	}
}

func TestNothingCostsNothing(t *testing.T) {
	names := []string{"ce_id", "ce_type", "content-type", "xraceparent", "xracestate"}
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		var h tracing.Headers
		for _, name := range names {
			h.Add(name, nil)
		}
		if h.Context() != nil {
			t.Fail()
		}
	}))
}
