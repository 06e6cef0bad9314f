package main

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	leatotel "github.com/leatgo/leat/middleware/otel"
	leatprometheus "github.com/leatgo/leat/middleware/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"
)

// TestBothModulesHaveTheSameMetrics: the board and the alerts hold for programs with OpenTelemetry
// and for those with Prometheus alone, whoever keeps the histograms.
func TestBothModulesHaveTheSameMetrics(t *testing.T) {
	t.Run("the SDK's histograms", func(t *testing.T) { testSameMetrics(t, false) })
	t.Run("own histograms", func(t *testing.T) { testSameMetrics(t, true) })
}

func testSameMetrics(t *testing.T, own bool) {
	broker := memory.New(nil)
	t.Cleanup(func() { require.NoError(t, broker.Close()) })
	p, err := newProviders(t.Context(), "none", 0, t.Output())
	require.NoError(t, err)
	o := &leatotel.Options{MeterProvider: p.meters, TracerProvider: noop.NewTracerProvider()}
	if own {
		o.Histograms = &p.histograms
	}
	telemetry, err := leatotel.New(broker, o)
	require.NoError(t, err)
	metrics, err := leatprometheus.New(broker, nil)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, telemetry.Close())
		require.NoError(t, metrics.Close())
	})
	alone := prometheus.NewRegistry()
	require.NoError(t, alone.Register(metrics))

	producer := leat.NewProducer(broker, &leat.ProducerOptions{
		Source: "/test", Topics: []string{topic}, Middleware: []leat.PublishMiddleware{telemetry.Publish(), metrics.Publish()},
	})
	sub := leat.Subscription{Topic: topic, Group: "issues"}
	require.NoError(t, leat.Declare(t.Context(), broker, sub))
	e, err := leat.NewEvent("com.github.issues", nil)
	require.NoError(t, err)
	require.NoError(t, producer.Publish(t.Context(), topic, e))
	consumer := leat.NewConsumer(broker, sub, leat.HandlerFunc(func(context.Context, leat.Event) error { return nil }),
		&leat.ConsumerOptions{Middleware: []leat.Middleware{telemetry.Process(), metrics.Process()}})
	telemetry.Watch(consumer)
	telemetry.WatchProducers(producer)
	metrics.Watch(consumer)
	metrics.WatchProducers(producer)
	require.NoError(t, leat.RunUntilIdle(t.Context(), 50*time.Millisecond, consumer))
	seen := shapes(t, p.registry)
	require.Greater(t, len(seen), 20)
	require.Equal(t, seen, shapes(t, alone))
}

// shapes returns the labels of each metric by its name and type.
func shapes(t *testing.T, registry prometheus.Gatherer) map[string][]string {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	all := map[string][]string{}
	for _, f := range families {
		if f.GetName() == "target_info" { // of the SDK
			continue
		}
		labels := map[string]bool{}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetValue() != "" { // which Prometheus takes for none
					labels[l.GetName()] = true
				}
			}
		}
		all[f.GetName()+" "+f.GetType().String()] = slices.Sorted(maps.Keys(labels))
	}
	return all
}
