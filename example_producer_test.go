package leat_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
)

// One call publishes many events, and tells the outcome of each: what is not named in the error is
// stored.
func ExampleProducer_Publish() {
	broker := memory.New(&memory.Options{MaxEventBytes: 20_000})
	producer := leat.NewProducer(broker, &leat.ProducerOptions{Source: "/shop"})
	ctx := context.Background()

	var events []leat.Event
	for i, size := range []int{10, 50_000, 10} {
		e, err := leat.NewEvent("com.example.photo.added.v1", &leat.EventOptions{ID: fmt.Sprint("photo-", i)})
		if err != nil {
			fmt.Println(err)
			return
		}
		events = append(events, e.WithText(strings.Repeat("x", size)))
	}
	err := producer.Publish(ctx, "photos", events...)
	if failed, ok := errors.AsType[*leat.PublishError](err); ok {
		for _, f := range failed.Failures {
			switch leat.CodeOf(f.Err) {
			case leat.CodeUnknown:
				fmt.Println(f.Event.ID(), "may be stored")
			default:
				fmt.Println(f.Event.ID(), "is not stored:", leat.CodeOf(f.Err))
			}
		}
	}
	// Output:
	// photo-1 is not stored: too large
}

// PublishAsync does not wait for the broker. Its callback tells the outcome, and Close waits for
// all of them.
func ExampleProducer_PublishAsync() {
	producer := leat.NewProducer(memory.New(nil), &leat.ProducerOptions{Source: "/shop"})
	ctx := context.Background()
	for i := range 3 {
		e, err := leat.NewEvent("com.example.order.placed.v1", &leat.EventOptions{ID: fmt.Sprint("order-", i)})
		if err != nil {
			fmt.Println(err)
			return
		}
		producer.PublishAsync(ctx, "orders", func(e leat.Event, err error) { fmt.Println(e.ID(), err) }, e)
	}
	if err := producer.Close(ctx); err != nil {
		fmt.Println(err)
		return
	}
	// Output:
	// order-0 <nil>
	// order-1 <nil>
	// order-2 <nil>
}
