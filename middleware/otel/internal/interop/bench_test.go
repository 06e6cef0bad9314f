package interop_test

import (
	"context"
	"crypto/rand"
	"slices"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/middleware"
	leatotel "github.com/leatgo/leat/middleware/otel"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// bench is a broker with telemetry, a producer and a recorder of spans.
type bench struct {
	t         *testing.T
	broker    leat.Broker
	sub       leat.Subscription
	spans     *tracetest.SpanRecorder
	tracers   *sdktrace.TracerProvider
	telemetry *leatotel.Telemetry
	producer  *leat.Producer
}

func newBench(t *testing.T, broker leat.Broker, unordered bool) *bench {
	t.Helper()
	b := &bench{t: t, broker: broker, sub: leat.Subscription{Topic: "trace-" + rand.Text(), Group: "billing", Unordered: unordered}}
	b.spans = tracetest.NewSpanRecorder()
	b.tracers = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(b.spans))
	var err error
	b.telemetry, err = leatotel.New(broker, &leatotel.Options{TracerProvider: b.tracers, MeterProvider: sdkmetric.NewMeterProvider()})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.telemetry.Close()) })
	b.producer = leat.NewProducer(broker, &leat.ProducerOptions{
		Source: "/test", Middleware: []leat.PublishMiddleware{b.telemetry.Publish()},
	})
	require.NoError(t, leat.Declare(t.Context(), broker, b.sub))
	return b
}

// consumer returns one of the group, which tries each event twice at most.
func (b *bench) consumer(h leat.HandlerFunc) *leat.Consumer {
	return leat.NewConsumer(b.broker, b.sub, h, &leat.ConsumerOptions{
		Middleware:  []leat.Middleware{b.telemetry.Process(), middleware.Retry(&middleware.RetryOptions{MaxAttempts: 2, InitialDelay: 1})},
		PoisonQueue: middleware.PoisonQueue(b.producer, nil),
	})
}

// named returns the spans that have ended, by name, in their order.
func (b *bench) named(name string) []sdktrace.ReadOnlySpan {
	return slices.DeleteFunc(b.spans.Ended(), func(s sdktrace.ReadOnlySpan) bool { return s.Name() != name })
}

// value returns the value of an attribute, or "".
func value(all []attribute.KeyValue, key string) string {
	for _, kv := range all {
		if string(kv.Key) == key {
			return kv.Value.String()
		}
	}
	return ""
}

// gauges collects what watched consumers show, anew: a Telemetry asks for lag once in 10 s at most.
// The key of a value is the name of its metric; there is one group.
func (b *bench) gauges(c *leat.Consumer) map[string]float64 {
	b.t.Helper()
	reader := sdkmetric.NewManualReader()
	fresh, err := leatotel.New(b.broker, &leatotel.Options{
		NoSpans: true, MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)),
	})
	require.NoError(b.t, err)
	defer func() { require.NoError(b.t, fresh.Close()) }()
	fresh.Watch(c)
	var all metricdata.ResourceMetrics
	require.NoError(b.t, reader.Collect(b.t.Context(), &all))
	found := map[string]float64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch d := m.Data.(type) {
			case metricdata.Gauge[int64]:
				for _, p := range d.DataPoints {
					b.isOfGroup(m.Name, p.Attributes)
					found[m.Name] = float64(p.Value)
				}
			case metricdata.Gauge[float64]:
				for _, p := range d.DataPoints {
					b.isOfGroup(m.Name, p.Attributes)
					found[m.Name] = p.Value
				}
			}
		}
	}
	return found
}

func (b *bench) isOfGroup(name string, s attribute.Set) {
	b.t.Helper()
	assert.Equal(b.t, b.sub.Topic, value(s.ToSlice(), "messaging.destination.name"), name)
	assert.Equal(b.t, b.sub.Group, value(s.ToSlice(), "messaging.consumer.group.name"), name)
}

// until runs a consumer until the channel gives n values.
func until[V any](t *testing.T, c *leat.Consumer, n int, values <-chan V) (all []V) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- leat.Run(ctx, c) }()
	for range n {
		all = append(all, next(t, values))
	}
	stop()
	require.NoError(t, <-result)
	return all
}
