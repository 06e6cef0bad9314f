package leat_test

import (
	"cmp"
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
)

const parentA = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// TestTraceParent has the examples of W3C Trace Context §3.2, and what its own test suite refuses.
func TestTraceParent(t *testing.T) {
	for _, parent := range []string{
		parentA, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff",
		"01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-ever",
		"cc" + parentA[2:] + "-" + strings.Repeat("x", 128-56),
	} {
		assert.Equal(t, &leat.TraceContext{Parent: parent}, leat.NewTraceContext(parent, ""), parent)
	}
	for _, parent := range []string{
		"", "-", parentA[:54], parentA + "-", parentA + "1", parentA + "-00", strings.ToUpper(parentA), " " + parentA[1:], parentA + "\x00",
		"ff" + parentA[2:], "0" + parentA[1:54], "g0" + parentA[2:], "cc" + parentA[2:] + ".what", "cc" + parentA[2:] + "-a b",
		"cc" + parentA[2:] + "-\xff", "cc" + parentA[2:] + "-" + strings.Repeat("x", 129-56),
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
		"00-4bf92f3577b34da6a3ce929d0e0e473G-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7_01", "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0.", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b.-01",
	} {
		assert.Nil(t, leat.NewTraceContext(parent, "a=1"), parent)
	}
}

func TestTraceState(t *testing.T) {
	for _, state := range []string{"", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "a=1, b=2", strings.Repeat("x", 512)} {
		assert.Equal(t, &leat.TraceContext{Parent: parentA, State: state}, leat.NewTraceContext(parentA, state), state)
	}
	for _, state := range []string{strings.Repeat("x", 513), "a=ü", "a=\x00", "a=1\n", "a=\x7f", "a=\xff"} {
		assert.Equal(t, &leat.TraceContext{Parent: parentA}, leat.NewTraceContext(parentA, state), state)
	}
}

func TestContextWithTrace(t *testing.T) {
	ctx := t.Context()
	assert.Nil(t, leat.TraceFrom(ctx))
	ctx = leat.ContextWithTrace(ctx, leat.TraceContext{Parent: parentA, State: "a=1"})
	assert.Equal(t, &leat.TraceContext{Parent: parentA, State: "a=1"}, leat.TraceFrom(ctx))
	bare := leat.ContextWithTrace(ctx, leat.TraceContext{Parent: parentA, State: "\n"})
	assert.Equal(t, &leat.TraceContext{Parent: parentA}, leat.TraceFrom(bare))
	assert.Nil(t, leat.TraceFrom(leat.ContextWithTrace(ctx, leat.TraceContext{Parent: "no", State: "a=1"})), "what is not valid is none")
	assert.Nil(t, leat.TraceFrom(leat.ContextWithTrace(ctx, leat.TraceContext{})), "the zero TraceContext is none")
}

// A handler sees the trace context, and the poison queue gets it in the ctx of its publish, so that
// the poisoned message carries it on.
func TestTraceOfADelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		want := leat.NewTraceContext(parentA, "a=1")
		seen, poisoned := map[string]*leat.TraceContext{}, map[string]*leat.TraceContext{}
		r := start(t, b, func(ctx context.Context, e leat.Event) error {
			info, _ := leat.InfoFrom(ctx)
			seen[e.ID()] = info.Trace
			return leat.Reject(errBoom)
		}, &leat.ConsumerOptions{Concurrency: 1, PoisonQueue: poisonFunc(func(ctx context.Context, p leat.Poisoned) error {
			assert.Equal(t, leat.TraceFrom(ctx), p.Info.Trace)
			poisoned[p.Info.Position.ID] = leat.TraceFrom(ctx)
			return nil
		})})
		lease := leat.NewLease()
		for _, d := range []leat.Delivery{
			{Event: event(t, "with", "k"), Trace: want},
			{Event: event(t, "without", "k")},
			{Malformed: &leat.Malformed{Reason: errBoom}, Trace: want},
		} {
			d.Lease, d.Position.ID = lease, cmp.Or(d.Event.ID(), "malformed")
			b.deliverRaw(d)
			synctest.Wait()
		}
		assert.Equal(t, map[string]*leat.TraceContext{"with": want, "without": nil}, seen)
		assert.Equal(t, map[string]*leat.TraceContext{"with": want, "without": nil, "malformed": want}, poisoned)
		r.stopClean()
	})
}
