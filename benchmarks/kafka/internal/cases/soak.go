package cases

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/benchmarks/internal/load"
)

const (
	soakSamples = 30
	// soakGrowth is how much more live heap there may be in the last third of the samples than in
	// the first.
	soakGrowth = 8 << 20
	// soakBehind is how many events may be published and not handled, so that what is compared is
	// not how far the consumer is behind.
	soakBehind = 50_000
)

// soakSample is the state at one moment.
type soakSample struct {
	after      time.Duration
	events     int64
	heap       uint64
	goroutines int
}

// soak is a producer and a consumer at full rate in this process.
type soak struct {
	env      *Env
	topic    string
	arrivals *load.Arrivals
	party    *consumer
	room     chan struct{}
	failed   load.FirstError
}

// Soak publishes and consumes as fast as it goes for a while, and compares the live heap at the end
// with that at the beginning. It returns a section for the report, and whether the heap stayed
// flat.
func (e *Env) Soak(ctx context.Context, length time.Duration, progress io.Writer) (section []byte, met bool, err error) {
	s := &soak{env: e, topic: e.name("soak"), room: make(chan struct{}, soakBehind)}
	small, some := "16777216", "67108864" // of a partition, so that the disk stays empty: it holds more than soakBehind events
	if err := e.create(ctx, s.topic, manyPartitions, map[string]*string{"segment.bytes": &small, "retention.bytes": &some}); err != nil {
		return nil, false, err
	}
	defer func() {
		removeCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		err = errors.Join(err, e.remove(removeCtx, s.topic))
	}()
	samples, err := s.run(ctx, length, progress)
	if err != nil {
		return nil, false, fmt.Errorf("soak: %w", err)
	}
	section, met = soakReport(length, samples)
	return section, met, nil
}

// run samples the process while events flow.
func (s *soak) run(ctx context.Context, length time.Duration, progress io.Writer) (samples []soakSample, err error) {
	s.arrivals = load.NewArrivals(0, true)
	s.arrivals.Passed = func() {
		select {
		case <-s.room:
		default: // a duplicate, which the arrivals report
		}
	}
	s.arrivals.Expect(1 << 50)
	if s.party, err = leatConsumer(16, 10_000, 0)(ctx, s.env, s.topic, s.env.name("group"), s.arrivals); err != nil {
		return nil, err
	}
	publishCtx, stop := context.WithCancel(ctx)
	published := make(chan error, 1)
	go func() { published <- s.publish(publishCtx) }()
	defer func() {
		stop()
		s.arrivals.Release()
		err = errors.Join(err, <-published, s.party.close(), s.arrivals.Err())
	}()
	tick := time.NewTicker(length / soakSamples)
	defer tick.Stop()
	start := time.Now()
	for len(samples) < soakSamples {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if err := errors.Join(s.failed.Err(), s.arrivals.Err()); err != nil {
			return nil, err
		}
		sample := soakSample{
			after: time.Since(start), events: s.arrivals.Handled(), heap: liveHeap(), goroutines: runtime.NumGoroutine(),
		}
		samples = append(samples, sample)
		_, _ = fmt.Fprintf(progress, "soak: %v of %v, %d events, %.1f MiB\n", sample.after.Round(time.Second), length, sample.events,
			mib(sample.heap))
	}
	return samples, nil
}

// publish publishes one event after the other until ctx ends.
func (s *soak) publish(ctx context.Context) error {
	broker, err := s.env.leat()
	if err != nil {
		return err
	}
	producer := leat.NewProducer(broker, nil)
	done := func(_ leat.Event, err error) { s.failed.Note(err) }
	for i := 0; ; i++ {
		select {
		case s.room <- struct{}{}:
		case <-ctx.Done():
			return broker.Close()
		}
		event, err := load.NewEvent(s.env.names.Endless(i))
		if err != nil {
			return errors.Join(err, broker.Close())
		}
		producer.PublishAsync(context.WithoutCancel(ctx), s.topic, done, event)
	}
}

// soakReport writes the section.
func soakReport(length time.Duration, samples []soakSample) (section []byte, met bool) {
	third := len(samples) / 3
	first, last := medianHeap(samples[:third]), medianHeap(samples[len(samples)-third:])
	met = last <= first+soakGrowth
	verdict := "met"
	if !met {
		verdict = "**missed**"
	}
	end := samples[len(samples)-1]
	var w bytes.Buffer
	fmt.Fprintf(&w, "### soak\n\nOne producer and one consumer (16 handlers, MaxInFlight 10,000) in one process for %v at full rate: "+
		"%d events, %.0f a second. The live heap is measured after a collection, %d times.\n\n", length, end.events,
		float64(end.events)/end.after.Seconds(), len(samples))
	fmt.Fprintf(&w, "Median live heap in the first third %.1f MiB, in the last third %.1f MiB; at most %d MiB more: %s.\n\n",
		mib(first), mib(last), soakGrowth>>20, verdict)
	fmt.Fprintf(&w, "| after | events | live heap MiB | goroutines |\n|---:|---:|---:|---:|\n")
	for i, s := range samples {
		if i%5 == 4 {
			fmt.Fprintf(&w, "| %v | %d | %.1f | %d |\n", s.after.Round(time.Second), s.events, mib(s.heap), s.goroutines)
		}
	}
	fmt.Fprintln(&w)
	return w.Bytes(), met
}

func medianHeap(samples []soakSample) uint64 {
	heaps := make([]uint64, len(samples))
	for i, s := range samples {
		heaps[i] = s.heap
	}
	slices.Sort(heaps)
	return heaps[len(heaps)/2]
}

func mib(bytes uint64) float64 { return float64(bytes) / (1 << 20) }
