package leat_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/middleware"
)

// A handler's error is the outcome. This one is retried; then the event is done.
func ExampleConsumer() {
	broker := memory.New(nil)
	producer := leat.NewProducer(broker, &leat.ProducerOptions{Source: "/shop"})
	ctx, stop := context.WithCancel(context.Background())

	handle := leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
		info, _ := leat.InfoFrom(ctx)
		fmt.Printf("%s for %s, attempt %d\n", e.Type(), e.Subject(), info.Attempt)
		if info.Attempt == 1 {
			return leat.RetryAfter(time.Millisecond, errors.New("the bank does not answer"))
		}
		stop() // the example is over
		return nil
	})
	billing := leat.Subscription{Topic: "orders", Group: "billing"}
	consumer := leat.NewConsumer(broker, billing, handle, &leat.ConsumerOptions{Concurrency: 64})

	e, err := leat.NewEvent("com.example.order.placed.v1", &leat.EventOptions{Subject: "order-7", Key: "customer-1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := producer.Publish(ctx, "orders", e); err != nil {
		fmt.Println(err)
		return
	}
	if err := leat.Run(ctx, consumer); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("handled %d, retried %d\n", consumer.Stats().Handled, consumer.Stats().Retried)
	// Output:
	// com.example.order.placed.v1 for order-7, attempt 1
	// com.example.order.placed.v1 for order-7, attempt 2
	// handled 1, retried 1
}

// What a handler rejects, or fails too often, goes to the poison queue, where its group "replay"
// keeps it until somebody reads it.
func ExampleReject() {
	broker := memory.New(nil)
	producer := leat.NewProducer(broker, &leat.ProducerOptions{Source: "/shop"})
	ctx, stop := context.WithCancel(context.Background())

	billing := leat.NewConsumer(broker, leat.Subscription{Topic: "orders", Group: "billing"},
		leat.HandlerFunc(func(context.Context, leat.Event) error {
			return leat.Reject(errors.New("unknown currency"))
		}), &leat.ConsumerOptions{PoisonQueue: middleware.PoisonQueue(producer, nil)})
	replay := leat.NewConsumer(broker, leat.Subscription{Topic: leat.PoisonTopic("orders", "billing"), Group: leat.ReplayGroup},
		leat.HandlerFunc(func(_ context.Context, e leat.Event) error {
			p, err := leat.PoisonedFrom(e)
			if err != nil {
				return leat.Reject(err)
			}
			fmt.Println(p.Event.ID(), "was given up:", p.Reason)
			stop()
			return nil
		}), nil)

	e, err := leat.NewEvent("com.example.order.placed.v1", &leat.EventOptions{ID: "order-7"})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := producer.Publish(ctx, "orders", e); err != nil {
		fmt.Println(err)
		return
	}
	if err := leat.Run(ctx, billing, replay); err != nil {
		fmt.Println(err)
		return
	}
	// Output:
	// order-7 was given up: unknown currency
}

// Middleware wraps the handler; the first is the outermost.
func ExampleChain() {
	say := func(name string) leat.Middleware {
		return func(next leat.Handler) leat.Handler {
			return leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
				fmt.Println(name, "before")
				err := next.Handle(ctx, e)
				fmt.Println(name, "after:", err)
				return err
			})
		}
	}
	h := leat.Chain(leat.HandlerFunc(func(context.Context, leat.Event) error {
		fmt.Println("handler")
		return nil
	}), say("outer"), say("inner"))
	_ = h.Handle(context.Background(), leat.Event{})
	// Output:
	// outer before
	// inner before
	// handler
	// inner after: <nil>
	// outer after: <nil>
}
