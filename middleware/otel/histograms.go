package leatotel

import (
	"context"

	"github.com/leatgo/leat/internal/telemetry"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// Histograms keeps the histograms in the place of OpenTelemetry's SDK, and takes about a third of
// the time for a value. Give it to the reader of the metrics, and to [New]:
//
//	var histograms leatotel.Histograms
//	reader := sdkmetric.NewPeriodicReader(exporter, sdkmetric.WithProducer(&histograms))
//	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
//	telemetry, err := leatotel.New(broker, &leatotel.Options{MeterProvider: meters, Histograms: &histograms})
//
// Names, units, buckets and attributes are the same. What the SDK does with a histogram is missing:
// views, exemplars, the smallest and the largest value, and delta temporality. One may serve any
// number of readers and of Telemetries. The zero value is empty. It must not be copied, and is safe
// for concurrent use.
type Histograms struct{ kept telemetry.Histograms }

// Produce implements the Producer of go.opentelemetry.io/otel/sdk/metric. The values are
// cumulative. The error is always nil.
func (h *Histograms) Produce(context.Context) ([]metricdata.ScopeMetrics, error) {
	all := metricdata.ScopeMetrics{Scope: instrumentation.Scope{Name: scope}}
	table, of := telemetry.Table(), map[int][]metricdata.HistogramDataPoint[float64]{}
	for _, p := range h.kept.Collect() {
		in := &table[p.Instrument]
		of[p.Instrument] = append(of[p.Instrument], metricdata.HistogramDataPoint[float64]{
			Attributes: attributesOf(in.Labels, p.Labels), StartTime: p.Began, Time: p.Read,
			Count: p.Count, Sum: p.Sum, Bounds: in.Buckets, BucketCounts: p.Buckets,
		})
	}
	for place, in := range table {
		if points := of[place]; points != nil {
			all.Metrics = append(all.Metrics, metricdata.Metrics{
				Name: in.Name, Description: in.Description, Unit: in.Unit,
				Data: metricdata.Histogram[float64]{DataPoints: points, Temporality: metricdata.CumulativeTemporality},
			})
		}
	}
	if all.Metrics == nil {
		return nil, nil
	}
	return []metricdata.ScopeMetrics{all}, nil
}

// attributesOf returns the attributes of a point; those without a value are left out.
func attributesOf(names []string, values telemetry.Labels) attribute.Set {
	all := make([]attribute.KeyValue, 0, len(names))
	for i, name := range names {
		if values[i] != "" {
			all = append(all, attribute.String(name, values[i]))
		}
	}
	return attribute.NewSet(all...)
}
