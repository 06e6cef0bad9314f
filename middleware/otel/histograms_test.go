package leatotel_test

import (
	"context"
	"os"
	"testing"

	"github.com/leatgo/leat"
	leatotel "github.com/leatgo/leat/middleware/otel"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

var _ sdkmetric.Producer = (*leatotel.Histograms)(nil)

// histogram returns the only series of a histogram that has these attributes.
func histogram(t *testing.T, m metricdata.Metrics, errorType string) metricdata.HistogramDataPoint[float64] {
	t.Helper()
	data, ok := m.Data.(metricdata.Histogram[float64])
	require.True(t, ok, "%T", m.Data)
	require.Equal(t, metricdata.CumulativeTemporality, data.Temporality)
	var found []metricdata.HistogramDataPoint[float64]
	for _, p := range data.DataPoints {
		if v, _ := p.Attributes.Value("error.type"); v.AsString() == errorType {
			found = append(found, p)
		}
	}
	require.Len(t, found, 1)
	return found[0]
}

// TestOwnHistogramsCountWhatTheSDKCounts, and count it once however often they are read.
func TestOwnHistogramsCountWhatTheSDKCounts(t *testing.T) {
	for name, o := range map[string]leatotel.Options{"the SDK's": {}, "own": {Histograms: new(leatotel.Histograms)}} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, o)
			require.NoError(t, b.producer.Publish(t.Context(), "orders", newEvent(t, "1"), newEvent(t, "2"), newEvent(t, "3")))
			b.consume(func(_ context.Context, e leat.Event) error {
				if e.ID() == "2" {
					return os.ErrDeadlineExceeded
				}
				return nil
			})
			for range 2 {
				m := b.metrics()
				for errorType, want := range map[string]uint64{"": 2, "*poll.DeadlineExceededError": 2} {
					p := histogram(t, m["messaging.process.duration"], errorType)
					assert.Equal(t, want, p.Count)
					assert.Positive(t, p.Sum)
					assert.Len(t, p.BucketCounts, len(p.Bounds)+1)
					assert.False(t, p.Time.Before(p.StartTime))
					var all uint64
					for _, n := range p.BucketCounts {
						all += n
					}
					assert.Equal(t, want, all)
				}
				assert.EqualValues(t, 2, histogram(t, m["leat.event.age"], "").Count)
				assert.Equal(t, 2, points(m["messaging.client.operation.duration"]), "the topic and the poison queue")
			}
		})
	}
}

// TestHistogramsOfTwoTelemetriesAddUp: two brokers of one kind have the same attributes.
func TestHistogramsOfTwoTelemetriesAddUp(t *testing.T) {
	var own leatotel.Histograms
	for range 2 {
		b := newBench(t, leatotel.Options{Histograms: &own})
		require.NoError(t, b.producer.Publish(t.Context(), "orders", newEvent(t, "1")))
		b.consume(succeed)
	}
	b := newBench(t, leatotel.Options{Histograms: &own})
	assert.EqualValues(t, 2, histogram(t, b.metrics()["messaging.process.duration"], "").Count)
}
