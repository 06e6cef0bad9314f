package leatotel_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/middleware"
	leatotel "github.com/leatgo/leat/middleware/otel"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a broker with telemetry, a producer and a recorder of spans.
type bench struct {
	t         *testing.T
	broker    *memory.Broker
	telemetry *leatotel.Telemetry
	producer  *leat.Producer
	spans     *tracetest.SpanRecorder
	reader    *sdkmetric.ManualReader
}

func newBench(t *testing.T, o leatotel.Options) *bench {
	t.Helper()
	b := &bench{t: t, broker: memory.New(nil), spans: tracetest.NewSpanRecorder(), reader: sdkmetric.NewManualReader()}
	if o.Histograms != nil {
		b.reader = sdkmetric.NewManualReader(sdkmetric.WithProducer(o.Histograms))
	}
	o.TracerProvider = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(b.spans))
	o.MeterProvider = sdkmetric.NewMeterProvider(sdkmetric.WithReader(b.reader))
	var err error
	b.telemetry, err = leatotel.New(b.broker, &o)
	require.NoError(t, err)
	b.producer = leat.NewProducer(b.broker, &leat.ProducerOptions{
		Source: "/test", Middleware: []leat.PublishMiddleware{b.telemetry.Publish()},
	})
	b.telemetry.WatchProducers(b.producer)
	require.NoError(t, leat.Declare(t.Context(), b.broker, orders))
	t.Cleanup(func() {
		require.NoError(t, b.telemetry.Close())
		require.NoError(t, b.broker.Close())
	})
	return b
}

var orders = leat.Subscription{Topic: "orders", Group: "billing"}

// consume handles what is there, each event twice at most.
func (b *bench) consume(h leat.HandlerFunc) *leat.Consumer {
	b.t.Helper()
	c := leat.NewConsumer(b.broker, orders, h, &leat.ConsumerOptions{
		Middleware:  []leat.Middleware{b.telemetry.Process(), middleware.Retry(&middleware.RetryOptions{MaxAttempts: 2, InitialDelay: 1})},
		PoisonQueue: middleware.PoisonQueue(b.producer, nil),
	})
	b.telemetry.Watch(c)
	require.NoError(b.t, leat.RunUntilIdle(b.t.Context(), 50*time.Millisecond, c))
	return c
}

// named returns the spans that have ended, by name, in their order.
func (b *bench) named(name string) []sdktrace.ReadOnlySpan {
	return slices.DeleteFunc(b.spans.Ended(), func(s sdktrace.ReadOnlySpan) bool { return s.Name() != name })
}

// value returns the value of an attribute of a span, or "".
func value(s sdktrace.ReadOnlySpan, key string) string {
	for _, kv := range s.Attributes() {
		if string(kv.Key) == key {
			return kv.Value.String()
		}
	}
	return ""
}

func (b *bench) metrics() map[string]metricdata.Metrics {
	b.t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(b.t, b.reader.Collect(b.t.Context(), &all))
	found := map[string]metricdata.Metrics{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			require.NotContains(b.t, found, m.Name)
			found[m.Name] = m
		}
	}
	return found
}

func newEvent(t *testing.T, id string) leat.Event {
	t.Helper()
	e, err := leat.NewEvent("order.placed", &leat.EventOptions{ID: id})
	require.NoError(t, err)
	return e
}

func TestASpanOfThePublishIsTheParentOfTheHandlers(t *testing.T) {
	b := newBench(t, leatotel.Options{})
	require.NoError(t, b.producer.Publish(t.Context(), "orders", newEvent(t, "1")))
	var inside trace.SpanContext
	b.consume(func(ctx context.Context, _ leat.Event) error {
		inside = trace.SpanContextFromContext(ctx)
		return nil
	})
	spans := b.spans.Ended()
	require.Len(t, spans, 2)
	send, process := spans[0], spans[1]
	assert.Equal(t, "send orders", send.Name())
	assert.Equal(t, trace.SpanKindProducer, send.SpanKind())
	assert.Equal(t, "process orders", process.Name())
	assert.Equal(t, trace.SpanKindConsumer, process.SpanKind())
	assert.Equal(t, send.SpanContext().SpanID(), process.Parent().SpanID())
	require.Len(t, process.Links(), 1)
	assert.Equal(t, send.SpanContext().SpanID(), process.Links()[0].SpanContext.SpanID())
	assert.Equal(t, process.SpanContext().SpanID(), inside.SpanID())
}
