package leatotel_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	leatotel "github.com/leatgo/leat/middleware/otel"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

func TestWrongArguments(t *testing.T) {
	broker := memory.New(nil)
	t.Cleanup(func() { require.NoError(t, broker.Close()) })
	for text, o := range map[string]*leatotel.Options{
		"TracerProvider is a nil": {TracerProvider: (*sdktrace.TracerProvider)(nil)},
		"MeterProvider is a nil":  {MeterProvider: (*sdkmetric.MeterProvider)(nil)},
		"panicked":                {TracerProvider: panickingTracers{always: true}},
	} {
		_, err := leatotel.New(broker, o)
		require.ErrorContains(t, err, text)
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
	}
	_, err := leatotel.New(nil, nil)
	require.ErrorContains(t, err, "the broker is nil")
}

// panickingTracers is a provider whose spans panic.
type panickingTracers struct {
	noop.TracerProvider

	always bool
}

func (p panickingTracers) Tracer(string, ...trace.TracerOption) trace.Tracer {
	if p.always {
		panic("no tracer")
	}
	return panickingTracer{}
}

type panickingTracer struct{ noop.Tracer }

func (panickingTracer) Start(context.Context, string, ...trace.SpanStartOption) (context.Context, trace.Span) {
	panic("no span")
}

// panickingMeters is a provider whose histograms panic.
type panickingMeters struct{ metricnoop.MeterProvider }

func (panickingMeters) Meter(string, ...metric.MeterOption) metric.Meter { return panickingMeter{} }

type panickingMeter struct{ metricnoop.Meter }

func (panickingMeter) Float64Histogram(string, ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	return panickingHistogram{}, nil
}

type panickingHistogram struct{ metricnoop.Float64Histogram }

func (panickingHistogram) Record(context.Context, float64, ...metric.RecordOption) {
	panic("no record")
}

// TestEventsGoOnWithoutTelemetry: whatever a provider does, events are published and handled, and
// the log has one line.
func TestEventsGoOnWithoutTelemetry(t *testing.T) {
	shut := sdktrace.NewTracerProvider()
	require.NoError(t, shut.Shutdown(t.Context()))
	shutMeters := sdkmetric.NewMeterProvider()
	require.NoError(t, shutMeters.Shutdown(t.Context()))
	for name, c := range map[string]struct {
		o     leatotel.Options
		lines int
	}{
		"tracers that panic":      {leatotel.Options{TracerProvider: panickingTracers{}}, 1},
		"histograms that panic":   {leatotel.Options{MeterProvider: panickingMeters{}}, 1},
		"providers that are shut": {leatotel.Options{TracerProvider: shut, MeterProvider: shutMeters}, 0},
		"the global ones, unset":  {leatotel.Options{}, 0},
		"providers that do nothing": {leatotel.Options{
			TracerProvider: noop.NewTracerProvider(), MeterProvider: metricnoop.NewMeterProvider(),
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			c.o.Logger = slog.New(slog.NewTextHandler(&log, nil))
			b := &bench{t: t, broker: memory.New(nil)}
			t.Cleanup(func() { require.NoError(t, b.broker.Close()) })
			var err error
			b.telemetry, err = leatotel.New(b.broker, &c.o)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, b.telemetry.Close()) })
			b.producer = leat.NewProducer(b.broker, &leat.ProducerOptions{
				Source: "/test", Middleware: []leat.PublishMiddleware{b.telemetry.Publish()},
			})
			require.NoError(t, leat.Declare(t.Context(), b.broker, orders))
			for range 5 {
				require.NoError(t, b.producer.Publish(t.Context(), "orders", newEvent(t, "1")))
			}
			var handled atomic.Int64
			b.consume(func(context.Context, leat.Event) error {
				handled.Add(1)
				return nil
			})
			assert.EqualValues(t, 5, handled.Load())
			assert.Equal(t, c.lines, strings.Count(log.String(), "\n"), log.String())
		})
	}
}
