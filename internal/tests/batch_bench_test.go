package leat_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/middleware"
)

// BenchmarkBatch is one producer to batches of 500, and ack, through the in-memory broker: what an
// event costs beside the same event alone (BenchmarkHotPath).
func BenchmarkBatch(b *testing.B) {
	for _, sameKey := range []bool{false, true} {
		for _, keys := range []int{0, 10, 10_000} {
			if keys == 10 && !sameKey {
				continue // a batch would be of ten
			}
			b.Run(fmt.Sprintf("SameKey=%v/keys=%d", sameKey, keys), func(b *testing.B) {
				benchmarkBatch(b, keys, &leat.BatchOptions{MaxEvents: 500, MaxWait: time.Second, SameKey: sameKey})
			})
		}
	}
}

func benchmarkBatch(b *testing.B, keys int, o *leat.BatchOptions) {
	broker := memory.New(nil)
	producer := leat.NewProducer(broker, nil)
	events := benchEvents(b, max(keys, 10_000), keys)
	var left, batches atomic.Int64
	left.Store(int64(b.N))
	done := make(chan struct{})
	consumer := leat.NewConsumer(broker, leat.Subscription{Topic: "orders", Group: "billing"},
		leat.Batch(o, func(_ context.Context, events []leat.Event) error {
			batches.Add(1)
			if left.Add(-int64(len(events))) == 0 {
				close(done)
			}
			return nil
		}), &leat.ConsumerOptions{
			MaxInFlight: 2_000, Middleware: []leat.Middleware{middleware.Retry(nil)}, PoisonQueue: middleware.PoisonQueue(producer, nil),
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
		producer.PublishAsync(ctx, "orders", nil, events[i%len(events)])
	}
	<-done
	b.StopTimer()
	b.ReportMetric(float64(b.N)/float64(batches.Load()), "events/batch")
	cancel()
	if err := <-result; err != nil {
		b.Fatal(err)
	}
}
