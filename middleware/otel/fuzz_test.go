package leatotel_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat"
	leatotel "github.com/leatgo/leat/middleware/otel"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// FuzzTraceContext publishes and handles events with any trace context in the extensions and in the
// transport's headers: each is handled, those that are not valid count for nothing, and what a span
// has of them is bounded.
func FuzzTraceContext(f *testing.F) {
	const other = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
	for _, s := range [][4]string{
		{theirs, "a=1", theirs, "a=1"},
		{theirs, "a=1", other, "b=2"},
		{"", "a=1", "", "b=2"},
		{"", "", other, ""},
		{strings.ToUpper(theirs), "", theirs, ""},
		{theirs + "-more", "", "01" + theirs[2:] + "-more", ""},
		{"ff" + theirs[2:], "", "zz" + theirs[2:], ""},
		{"zz" + theirs[2:], "", theirs[:53] + "zz", ""},
		{theirs[:53] + "zz", "", theirs[:54], ""},
		{"00-" + strings.Repeat("0", 32) + "-" + theirSpan + "-01", "", "00-" + theirTrace + "-" + strings.Repeat("0", 16) + "-01", ""},
		{strings.Repeat("0", 60_000), strings.Repeat("a=1,", 20_000), strings.Repeat("-", 60_000), strings.Repeat("=", 60_000)},
		{theirs, strings.Repeat("a=1,", 8), theirs, "a=" + strings.Repeat("x", 600)},
		{"01" + theirs[2:] + "-" + strings.Repeat("x", 60_000), "a=" + strings.Repeat("x", 200) + ",b=" + strings.Repeat("y", 250) + ",c=" +
			strings.Repeat("z", 250), theirs, "=,=,="},
		{"ä€", "ä=€", "\xff", "\x00"},
	} {
		f.Add(s[0], s[1], s[2], s[3])
	}
	f.Fuzz(func(t *testing.T, parent, state, headerParent, headerState string) {
		b := newBench(t, leatotel.Options{})
		e := newEvent(t, "1")
		if parent != "" {
			e = e.WithExtension("traceparent", parent)
		}
		if state != "" {
			e = e.WithExtension("tracestate", state)
		}
		if e.Validate() != nil {
			t.Skip("not an event")
		}
		ctx := leat.ContextWithTrace(t.Context(), leat.TraceContext{Parent: headerParent, State: headerState})
		plain := leat.NewProducer(b.broker, &leat.ProducerOptions{Source: "/test"})
		require.NoError(t, plain.Publish(ctx, "orders", e), "by a program without telemetry")
		require.NoError(t, b.producer.Publish(ctx, "orders", e), "by one that has it")
		handled := 0
		h := leat.HandlerFunc(func(_ context.Context, got leat.Event) error {
			if handled++; parent != "" {
				kept, _ := got.Extension("traceparent")
				assert.Equal(t, parent, kept, "it stays as it is")
			}
			return nil
		})
		c := leat.NewConsumer(b.broker, orders, h, &leat.ConsumerOptions{Middleware: []leat.Middleware{b.telemetry.Process()}, Concurrency: 1})
		require.NoError(t, leat.RunUntilIdle(t.Context(), time.Millisecond, c))
		assert.Equal(t, 2, handled)
		for _, s := range b.spans.Ended() {
			size := len(s.Name()) + len(s.Parent().TraceState().String())
			for _, kv := range s.Attributes() {
				size += len(kv.Key) + len(kv.Value.String())
			}
			for _, link := range s.Links() {
				size += len(link.SpanContext.TraceState().String())
			}
			assert.Less(t, size, 4_096)
			assert.LessOrEqual(t, len(s.Links()), 2)
		}
		want := theirContext(parent)
		if !want.IsValid() {
			want = theirContext(headerParent)
		}
		first := b.named("process orders")[0]
		assert.Equal(t, want.SpanID(), first.Parent().SpanID(), "the event of the plain program")
	})
}

// theirContext reads a traceparent as OpenTelemetry does, of the length that Leat carries.
func theirContext(parent string) trace.SpanContext {
	if len(parent) > 128 {
		return trace.SpanContext{}
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": parent})
	return trace.SpanContextFromContext(ctx)
}
