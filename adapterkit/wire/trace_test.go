package wire_test

import (
	"strings"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/wire"
	"github.com/stretchr/testify/assert"
)

func TestTrace(t *testing.T) {
	const parent, other = traceParent, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b8-01"
	const p, s = "traceparent", "tracestate"
	alone := &leat.TraceContext{Parent: parent}
	both := &leat.TraceContext{Parent: parent, State: "a=1"}
	for name, c := range map[string]struct {
		headers []string // name, value
		want    *leat.TraceContext
	}{
		"none":             {[]string{"other", parent}, nil},
		"both":             {[]string{s, "a=1", "x", "y", p, parent}, both},
		"parent alone":     {[]string{p, parent}, alone},
		"state alone":      {[]string{s, "a=1"}, nil},
		"other case":       {[]string{"Traceparent", parent}, nil},
		"an attribute":     {[]string{"ce_traceparent", parent}, nil},
		"twice the same":   {[]string{p, parent, p, parent}, alone},
		"twice, different": {[]string{p, parent, p, other}, nil},
		"back again":       {[]string{p, parent, p, other, p, parent}, nil},
		"empty and not":    {[]string{p, "", p, parent}, nil},
		"two states":       {[]string{p, parent, s, "a=1", s, "b=1"}, alone},
		"long":             {[]string{p, parent, s, strings.Repeat("x", 513)}, alone},
		"malformed":        {[]string{p, parent[1:], s, "a=1"}, nil},
	} {
		var h wire.Trace
		for i := 0; i < len(c.headers); i += 2 {
			h.Add(c.headers[i], []byte(c.headers[i+1]))
		}
		h.Add("traceparent", nil) // a null header is no value
		assert.Equal(t, c.want, h.Context(), name)
	}
}

func TestNoTraceCostsNothing(t *testing.T) {
	names := []string{"ce_id", "ce_type", "content-type", "xraceparent", "xracestate"}
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		var h wire.Trace
		for _, name := range names {
			h.Add(name, nil)
		}
		if h.Context() != nil {
			t.Fail()
		}
	}))
}
