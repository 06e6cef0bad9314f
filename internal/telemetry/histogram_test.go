package telemetry_test

import (
	"context"
	"sync"
	"testing"

	"github.com/leatgo/leat/internal/telemetry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestHistogramsLoseNothing, however many goroutines add values and one reads.
func TestHistogramsLoseNothing(t *testing.T) {
	const goroutines, values = 16, 5_000
	var h telemetry.Histograms
	labels := telemetry.Labels{"memory", "orders"}
	var adding, reading sync.WaitGroup
	ended := make(chan struct{})
	reading.Go(func() {
		for last := uint64(0); ; {
			for _, p := range h.Collect() {
				assert.GreaterOrEqual(t, p.Count, last)
				last = p.Count
			}
			select {
			case <-ended:
				return
			default:
			}
		}
	})
	for range goroutines {
		adding.Go(func() {
			one := h.Series(telemetry.ProcessDuration, labels)
			for range values {
				one(context.Background(), 0.25)
			}
		})
	}
	adding.Wait()
	close(ended)
	reading.Wait()
	points := h.Collect()
	require.Len(t, points, 1)
	assert.Equal(t, labels, points[0].Labels)
	assert.EqualValues(t, goroutines*values, points[0].Count)
	assert.InDelta(t, goroutines*values*0.25, points[0].Sum, 0)
}

// TestBucketsOfHistograms: a bound is the highest value of its bucket.
func TestBucketsOfHistograms(t *testing.T) {
	var h telemetry.Histograms
	one := h.Series(telemetry.ProcessDuration, telemetry.Labels{})
	assert.Empty(t, h.Collect(), "no values, no series")
	bounds := telemetry.Table()[telemetry.ProcessDuration].Buckets
	for i, bound := range bounds {
		one(t.Context(), bound)
		if i%2 == 0 {
			one(t.Context(), bound*1.01)
		}
	}
	one(t.Context(), 0)
	points := h.Collect()
	require.Len(t, points, 1)
	assert.Equal(t, []uint64{2, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 0}, points[0].Buckets)
}

// BenchmarkHistogram is a value of a handler, on all processors at once.
func BenchmarkHistogram(b *testing.B) {
	var h telemetry.Histograms
	one := h.Series(telemetry.ProcessDuration, telemetry.Labels{})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			one(context.Background(), 0.001)
		}
	})
}
