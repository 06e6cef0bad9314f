package memory_test

import (
	"context"
	"strconv"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
)

// benchmark publishes from one goroutine, one event a call, while another receives and acks.
func benchmark(b *testing.B, keys int, unordered bool) {
	ctx := context.Background()
	broker := memory.New(nil)
	defer func() { _ = broker.Close() }()
	sub := leat.Subscription{Topic: "orders", Group: "billing", Unordered: unordered}
	stream := open(b, broker, sub)
	events := make([]leat.Event, 1024)
	for i := range events {
		o := &leat.EventOptions{ID: strconv.Itoa(i), Source: "/bench", Data: make([]byte, 256)}
		if keys > 0 {
			o.Key = "key-" + strconv.Itoa(i%keys)
		}
		events[i], _ = leat.NewEvent("t", o)
	}
	b.ReportAllocs()
	b.ResetTimer()
	go func() {
		done := func(int, error) {}
		for i := range b.N {
			k := i & 1023
			broker.Publish(ctx, "orders", events[k:k+1], done)
		}
	}()
	into := make([]leat.Delivery, 256)
	for got := 0; got < b.N; {
		n, err := stream.Receive(ctx, into)
		if err != nil {
			b.Fatal(err)
		}
		for i := range n {
			stream.Settle(&into[i], leat.Settlement{Action: leat.Ack})
		}
		got += n
	}
}

func BenchmarkUnkeyed(b *testing.B)   { benchmark(b, 0, false) }
func BenchmarkKeyed(b *testing.B)     { benchmark(b, 512, false) }
func BenchmarkUnordered(b *testing.B) { benchmark(b, 512, true) }

// BenchmarkOneGoroutine is the cost of the calls themselves, in batches of 64.
func BenchmarkOneGoroutine(b *testing.B) {
	ctx := context.Background()
	broker := memory.New(nil)
	defer func() { _ = broker.Close() }()
	sub := leat.Subscription{Topic: "orders", Group: "billing"}
	stream := open(b, broker, sub)
	events := make([]leat.Event, 64)
	for i := range events {
		events[i], _ = leat.NewEvent("t", &leat.EventOptions{ID: strconv.Itoa(i), Key: "key-" + strconv.Itoa(i)})
	}
	done := func(int, error) {}
	into := make([]leat.Delivery, 64)
	b.ReportAllocs()
	for b.Loop() {
		broker.Publish(ctx, "orders", events, done)
		for left := 64; left > 0; {
			n, _ := stream.Receive(ctx, into)
			for i := range n {
				stream.Settle(&into[i], leat.Settlement{Action: leat.Ack})
			}
			left -= n
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/event")
}

// BenchmarkChannel is the yardstick: a buffered channel of events.
func BenchmarkChannel(b *testing.B) {
	events := make(chan leat.Event, 1024)
	e, _ := leat.NewEvent("t", &leat.EventOptions{ID: "1"})
	b.ReportAllocs()
	go func() {
		for range b.N {
			events <- e
		}
	}()
	for range b.N {
		<-events
	}
}
