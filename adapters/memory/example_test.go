package memory_test

import (
	"context"
	"fmt"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
)

func Example() {
	ctx := context.Background()
	broker := memory.New(nil) // or memory.Open with the URL mem://
	defer func() { _ = broker.Close() }()

	// A Consumer does all of this by itself; this is what an adapter looks like from the inside.
	sub := leat.Subscription{Topic: "orders", Group: "billing"}
	if err := broker.Declare(ctx, sub); err != nil {
		fmt.Println(err)
		return
	}
	e, err := leat.NewEvent("com.example.order.placed.v1", &leat.EventOptions{ID: "o-1", Source: "/shop", Key: "customer-7"})
	if err != nil {
		fmt.Println(err)
		return
	}
	broker.Publish(ctx, "orders", []leat.Event{e}, func(_ int, err error) { fmt.Println("published:", err) })

	stream, err := broker.Subscribe(ctx, sub)
	if err != nil {
		fmt.Println(err)
		return
	}
	into := make([]leat.Delivery, 10)
	n, err := stream.Receive(ctx, into)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range n {
		fmt.Println("received:", into[i].Event.ID(), "with key", into[i].Event.Key())
		stream.Settle(&into[i], leat.Settlement{Action: leat.Ack})
	}
	// Output:
	// published: <nil>
	// received: o-1 with key customer-7
}
