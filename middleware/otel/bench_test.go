package leatotel_test

import (
	"context"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	leatotel "github.com/leatgo/leat/middleware/otel"
	"github.com/stretchr/testify/require"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// discard is an exporter that takes everything.
type discard struct{}

func (discard) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error { return nil }
func (discard) Shutdown(context.Context) error                             { return nil }

// cases are what a program may have on.
func cases() []struct {
	name string
	make func() leatotel.Options
} {
	return []struct {
		name string
		make func() leatotel.Options
	}{
		{"nothing", func() leatotel.Options {
			return leatotel.Options{TracerProvider: noop.NewTracerProvider(), MeterProvider: metricnoop.NewMeterProvider()}
		}},
		{"histogram", func() leatotel.Options {
			return leatotel.Options{TracerProvider: noop.NewTracerProvider(),
				MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))}
		}},
		{"histogram-no-age", func() leatotel.Options {
			return leatotel.Options{TracerProvider: noop.NewTracerProvider(), NoEventAge: true,
				MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))}
		}},
		{"sampled-out", func() leatotel.Options {
			return leatotel.Options{TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample())),
				MeterProvider: metricnoop.NewMeterProvider()}
		}},
		{"sampled-out-late", func() leatotel.Options {
			return leatotel.Options{TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample())),
				MeterProvider: metricnoop.NewMeterProvider(), LateAttributes: true}
		}},
		{"own-histogram", func() leatotel.Options {
			return leatotel.Options{TracerProvider: noop.NewTracerProvider(), Histograms: new(leatotel.Histograms)}
		}},
		{"sampled", func() leatotel.Options {
			return leatotel.Options{TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithBatcher(discard{})),
				MeterProvider: metricnoop.NewMeterProvider()}
		}},
	}
}

// BenchmarkProcess is what the middleware of a consumer costs an event.
func BenchmarkProcess(b *testing.B) {
	e, err := leat.NewEvent("order.placed", &leat.EventOptions{ID: "1", Source: "/test"})
	require.NoError(b, err)
	e = e.WithExtension("traceparent", theirs)
	for _, c := range cases() {
		b.Run(c.name, func(b *testing.B) {
			broker := memory.New(nil)
			b.Cleanup(func() { require.NoError(b, broker.Close()) })
			o := c.make()
			t, err := leatotel.New(broker, &o)
			require.NoError(b, err)
			b.Cleanup(func() { require.NoError(b, t.Close()) })
			if spans, ok := o.TracerProvider.(*sdktrace.TracerProvider); ok {
				b.Cleanup(func() { require.NoError(b, spans.Shutdown(context.Background())) })
			}
			h := t.Process()(leat.HandlerFunc(succeed))
			ctx := leat.ContextWithInfo(b.Context(), leat.Info{Topic: "orders", Group: "billing", Attempt: 1})
			b.ReportAllocs()
			for b.Loop() {
				if err := h.Handle(ctx, e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPublish is what the middleware of a producer costs an event.
func BenchmarkPublish(b *testing.B) {
	e, err := leat.NewEvent("order.placed", &leat.EventOptions{ID: "1", Source: "/test"})
	require.NoError(b, err)
	events := []leat.Event{e}
	for _, c := range cases() {
		b.Run(c.name, func(b *testing.B) {
			broker := memory.New(nil)
			b.Cleanup(func() { require.NoError(b, broker.Close()) })
			o := c.make()
			t, err := leatotel.New(broker, &o)
			require.NoError(b, err)
			b.Cleanup(func() { require.NoError(b, t.Close()) })
			if spans, ok := o.TracerProvider.(*sdktrace.TracerProvider); ok {
				b.Cleanup(func() { require.NoError(b, spans.Shutdown(context.Background())) })
			}
			publish := t.Publish()(func(_ context.Context, _ string, _ []leat.Event, done func(i int, err error)) { done(0, nil) })
			done := func(int, error) {}
			b.ReportAllocs()
			for b.Loop() {
				publish(b.Context(), "orders", events, done)
			}
		})
	}
}
