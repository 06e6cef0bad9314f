package leatotel_test

import (
	"context"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	leatotel "github.com/leatgo/leat/middleware/otel"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// spySampler remembers what it was asked about last.
type spySampler struct{ asked sdktrace.SamplingParameters }

func (s *spySampler) Description() string { return "spy" }

func (s *spySampler) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	s.asked = p
	return sdktrace.AlwaysSample().ShouldSample(p)
}

// TestLateAttributes are the same on a span; a sampler sees none.
func TestLateAttributes(t *testing.T) {
	e := newEvent(t, "1").WithExtension("traceparent", theirs).WithSource("/test")
	var spans [2][]attribute.Set
	for late := range spans {
		sampler, recorder := &spySampler{}, tracetest.NewSpanRecorder()
		broker := memory.New(nil)
		telemetry, err := leatotel.New(broker, &leatotel.Options{LateAttributes: late == 1, TracerProvider: sdktrace.NewTracerProvider(
			sdktrace.WithSampler(sampler), sdktrace.WithSpanProcessor(recorder))})
		require.NoError(t, err)
		t.Cleanup(func() {
			require.NoError(t, telemetry.Close())
			require.NoError(t, broker.Close())
		})
		h := telemetry.Process()(leat.HandlerFunc(succeed))
		require.NoError(t, h.Handle(leat.ContextWithInfo(t.Context(), leat.Info{Topic: "orders", Group: "billing", Attempt: 1}), e))
		assert.Equal(t, late == 1, len(sampler.asked.Attributes) == 0)
		assert.Equal(t, trace.SpanKindConsumer, sampler.asked.Kind)
		publish := telemetry.Publish()(func(context.Context, string, []leat.Event, func(int, error)) {})
		for _, n := range []int{1, 2} { // a span has ended when the last event is done; here each is recorded by its start
			publish(t.Context(), "orders", []leat.Event{e, e}[:n], nil)
			assert.Equal(t, late == 1, len(sampler.asked.Attributes) == 0)
		}
		for _, s := range recorder.Started() {
			spans[late] = append(spans[late], attribute.NewSet(s.Attributes()...))
		}
		require.Len(t, spans[late], 3)
	}
	assert.Equal(t, spans[0], spans[1])
}

// TestAParentOfAnotherProcess is what the package trace makes of it.
func TestAParentOfAnotherProcess(t *testing.T) {
	sampler := &spySampler{}
	broker := memory.New(nil)
	telemetry, err := leatotel.New(broker, &leatotel.Options{TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler))})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, telemetry.Close())
		require.NoError(t, broker.Close())
	})
	type key struct{}
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
	h := telemetry.Process()(leat.HandlerFunc(func(inner context.Context, _ leat.Event) error {
		assert.Equal(t, theirTrace, trace.SpanContextFromContext(inner).TraceID().String())
		assert.NotEqual(t, theirSpan, trace.SpanContextFromContext(inner).SpanID().String())
		assert.Equal(t, "value", inner.Value(key{}))
		cancel()
		<-inner.Done()
		return nil
	}))
	require.NoError(t, h.Handle(ctx, newEvent(t, "1").WithExtension("traceparent", theirs)))
	parent := trace.SpanFromContext(sampler.asked.ParentContext)
	assert.Equal(t, theirSpan, parent.SpanContext().SpanID().String())
	assert.True(t, parent.SpanContext().IsRemote())
	assert.True(t, parent.SpanContext().IsSampled())
	assert.False(t, parent.IsRecording())
}

// TestAllocations are those of OpenTelemetry's Start, and one for the context of the publish.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	e := newEvent(t, "1").WithExtension("traceparent", theirs)
	for _, c := range cases() {
		most, known := map[string]float64{"nothing": 0, "own-histogram": 0, "sampled-out": 4, "sampled-out-late": 3}[c.name]
		if !known {
			continue
		}
		broker, o := memory.New(nil), c.make()
		telemetry, err := leatotel.New(broker, &o)
		require.NoError(t, err)
		h := telemetry.Process()(leat.HandlerFunc(succeed))
		ctx := leat.ContextWithInfo(t.Context(), leat.Info{Topic: "orders", Group: "billing", Attempt: 1})
		assert.LessOrEqual(t, testing.AllocsPerRun(1_000, func() { _ = h.Handle(ctx, e) }), most, c.name)
		require.NoError(t, telemetry.Close())
		require.NoError(t, broker.Close())
	}
}
