package leat_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/middleware"
)

// BenchmarkHotPath is one producer to 64 handlers and ack through the in-memory broker, beside a
// channel with 64 receivers. It is for profiles and allocations while working on the engine; the
// figures that are quoted come from the benchmarks module.
func BenchmarkHotPath(b *testing.B) {
	for _, keys := range []int{0, 10, 10_000, 1_000_000} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) { benchmarkHotPath(b, keys) })
	}
	b.Run("channel", func(b *testing.B) {
		events := benchEvents(b, 1000, 0)
		ch := make(chan leat.Event, 1000)
		var left atomic.Int64
		left.Store(int64(b.N))
		done := make(chan struct{})
		for range 64 {
			go func() {
				for range ch {
					if left.Add(-1) == 0 {
						close(done)
					}
				}
			}()
		}
		b.ReportAllocs()
		b.ResetTimer()
		for i := range b.N {
			ch <- events[i%len(events)]
		}
		<-done
		b.StopTimer()
		close(ch)
	})
}

// TestHotPathAllocatesNoObjectPerEvent: what an event costs on its way is allocated for a batch of
// them.
func TestHotPathAllocatesNoObjectPerEvent(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	r := testing.Benchmark(func(b *testing.B) { benchmarkHotPath(b, 10_000) })
	if n := r.AllocsPerOp(); r.N == 0 || n > 0 {
		t.Errorf("%d objects for each of %d events", n, r.N)
	}
}

func benchmarkHotPath(b *testing.B, keys int) {
	broker := memory.New(nil)
	producer := leat.NewProducer(broker, nil)
	events := benchEvents(b, max(keys, 10_000), keys)
	var left atomic.Int64
	left.Store(int64(b.N))
	done := make(chan struct{})
	consumer := leat.NewConsumer(broker, leat.Subscription{Topic: "orders", Group: "billing"},
		leat.HandlerFunc(func(context.Context, leat.Event) error {
			if left.Add(-1) == 0 {
				close(done)
			}
			return nil
		}), &leat.ConsumerOptions{
			Concurrency: 64, MaxInFlight: 1_000, Middleware: []leat.Middleware{middleware.Retry(nil)},
			PoisonQueue: middleware.PoisonQueue(producer, nil),
		})
	ctx, cancel := context.WithCancel(b.Context())
	if err := leat.Declare(ctx, broker, leat.Subscription{Topic: "orders", Group: "billing"}); err != nil {
		b.Fatal(err)
	}
	result := make(chan error, 1)
	go func() { result <- leat.Run(ctx, consumer) }()
	b.ReportAllocs()
	b.ResetTimer()
	defer reportCPU(b)()
	for i := range b.N {
		if err := producer.Publish(ctx, "orders", events[i%len(events)]); err != nil {
			b.Fatal(err)
		}
	}
	<-done
	b.StopTimer()
	cancel()
	if err := <-result; err != nil {
		b.Fatal(err)
	}
}

func benchEvents(b *testing.B, n, keys int) []leat.Event {
	b.Helper()
	data := make([]byte, 1024)
	events := make([]leat.Event, n)
	for i := range events {
		key := ""
		if keys > 0 {
			key = fmt.Sprintf("key-%d", i%keys)
		}
		e, err := leat.NewEvent("com.example.bench", &leat.EventOptions{ID: fmt.Sprint(i), Source: "/bench", Key: key, Data: data[:64]})
		if err != nil {
			b.Fatal(err)
		}
		events[i] = e
	}
	return events
}

// reportCPU reports the process's CPU time for each event, which other programs on the machine
// disturb less than the time that passes.
func reportCPU(b *testing.B) func() {
	used := func() int64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	before := used()
	return func() { b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op") }
}
