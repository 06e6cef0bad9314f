package watermill_test

import (
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/watermill"
)

// BenchmarkCodec is what the bridge adds to a message: to one, and back to an event.
func BenchmarkCodec(b *testing.B) {
	e, err := leat.NewEvent("com.example.order.placed.v1", &leat.EventOptions{
		Source: "/shop/checkout", Subject: "orders/4711", Time: time.Now(), DataContentType: "application/json", Key: "customer-1",
		Data: make([]byte, 1_024),
	})
	if err != nil {
		b.Fatal(err)
	}
	codec := watermill.Codec{}
	m, err := codec.Message(e)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("Message", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = codec.Message(e)
		}
	})
	b.Run("Event", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = codec.Event("topic", m)
		}
	})
}
