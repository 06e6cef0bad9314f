// The quickstart publishes one order and handles it, on the broker in memory.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
)

// Order is what the event carries, as JSON.
type Order struct {
	ID    string `json:"id"`
	Cents int    `json:"cents"`
}

// OrderPlaced is the contract that the services share: the event's name, where it travels, and what
// keeps its order.
var OrderPlaced = leat.EventType[Order]{
	Name:  "com.example.order.placed.v1",
	Topic: "orders",
	Key:   func(o Order) string { return o.ID },
}

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()

	broker := memory.New(nil)
	defer func() { err = errors.Join(err, broker.Close()) }()
	producer := leat.NewProducer(broker, &leat.ProducerOptions{
		Source: "/shop/checkout",
		Topics: []string{OrderPlaced.Topic}, // declared by the first publish
	})
	billing := leat.Subscription{Topic: "orders", Group: "billing"}
	consumer := leat.NewConsumer(broker, billing, leat.NewRouter(OrderPlaced.Handler(
		func(_ context.Context, e leat.Event, o Order) error {
			fmt.Printf("%s: charge %d cents for order %s\n", e.Type(), o.Cents, o.ID)
			stop() // one order is all that this program handles
			return nil
		})), nil)

	if err := leat.Declare(ctx, broker, billing); err != nil { // from here on, the broker keeps orders for billing
		return err
	}
	if err := OrderPlaced.Publish(ctx, producer, Order{ID: "A-17", Cents: 1250}); err != nil {
		return err
	}
	return leat.Run(ctx, consumer) // until ctx ends; then it drains and returns
}
