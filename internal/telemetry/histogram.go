package telemetry

import (
	"cmp"
	"context"
	"math"
	"math/bits"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Histograms keeps histograms of the table. A value takes no lock and no allocation, and handlers
// on several processors add to counts of their own. The zero value is empty. It must not be copied.
type Histograms struct {
	places sync.Pool // of *uint32: each processor's place among the shards
	next   atomic.Uint32

	mu     sync.Mutex
	series map[Point]*histogram // the Value of a key is 0
}

// HistogramPoint is what one series has counted since it began.
type HistogramPoint struct {
	Instrument int
	Labels     Labels
	Began      time.Time
	Read       time.Time
	Count      uint64
	Sum        float64
	Buckets    []uint64 // one for each of the bounds of the instrument, and one for what is above the last
}

// Series returns the series of a histogram with these labels.
func (h *Histograms) Series(instrument int, l Labels) Series {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := Point{Instrument: instrument, Labels: l}
	s := h.series[key]
	if s == nil {
		if h.series == nil {
			h.series = map[Point]*histogram{}
		}
		s = newHistogram(Table()[instrument].Buckets)
		h.series[key] = s
	}
	return func(_ context.Context, seconds float64) {
		place, _ := h.places.Get().(*uint32)
		if place == nil {
			place = new(h.next.Add(1))
		}
		s.observe(*place, seconds)
		h.places.Put(place)
	}
}

// Collect returns the series that have values, in the order of the table and of their labels.
func (h *Histograms) Collect() []HistogramPoint {
	h.mu.Lock()
	defer h.mu.Unlock()
	points := make([]HistogramPoint, 0, len(h.series))
	for key, s := range h.series {
		if p := s.point(); p.Count > 0 {
			p.Instrument, p.Labels = key.Instrument, key.Labels
			points = append(points, p)
		}
	}
	slices.SortFunc(points, func(a, b HistogramPoint) int {
		return cmp.Or(cmp.Compare(a.Instrument, b.Instrument), slices.Compare(a.Labels[:], b.Labels[:]))
	})
	return points
}

// histogram is one series.
type histogram struct {
	bounds []float64
	began  time.Time
	shards []shard // a power of two
}

// MostBounds is how many bounds a histogram may have: then a shard fills two lines of a processor's
// cache.
const MostBounds = 14

// mostShards bounds the memory of a series on machines with many processors.
const mostShards = 16

// shard has the counts of a series from some of the processors.
type shard struct {
	sum    atomic.Uint64 // the bits of a float64
	counts [MostBounds + 1]atomic.Uint64
}

func newHistogram(bounds []float64) *histogram {
	n := min(1<<bits.Len(uint(runtime.GOMAXPROCS(0)-1)), mostShards)
	return &histogram{bounds, time.Now(), make([]shard, n)}
}

func (h *histogram) observe(place uint32, value float64) {
	bucket := 0
	for bucket < len(h.bounds) && value > h.bounds[bucket] {
		bucket++
	}
	s := &h.shards[int(place)&(len(h.shards)-1)]
	s.counts[bucket].Add(1)
	for {
		old := s.sum.Load()
		if s.sum.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+value)) {
			return
		}
	}
}

// point adds the shards up. The sum may lack a value that the counts have, or have one more.
func (h *histogram) point() HistogramPoint {
	p := HistogramPoint{Began: h.began, Read: time.Now(), Buckets: make([]uint64, len(h.bounds)+1)}
	for i := range h.shards {
		s := &h.shards[i]
		for bucket := range p.Buckets {
			n := s.counts[bucket].Load()
			p.Buckets[bucket] += n
			p.Count += n
		}
		p.Sum += math.Float64frombits(s.sum.Load())
	}
	return p
}
