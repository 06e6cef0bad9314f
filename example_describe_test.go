package leat_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/middleware"
)

// A program lists what it publishes and consumes. A table, an AsyncAPI document or a test is made of that.
func ExampleDescribe() {
	type Order struct{ ID string }
	type Invoice struct{ Order string }
	placed := leat.EventType[Order]{Name: "order.placed.v1", Topic: "orders", Key: func(o Order) string { return o.ID }}
	billed := leat.EventType[Invoice]{Name: "invoice.sent.v1", Topic: "invoices"}

	broker := memory.New(nil)
	defer func() { _ = broker.Close() }()
	producer := leat.NewProducer(broker, nil)
	router := leat.NewRouter(placed.Handler(func(ctx context.Context, _ leat.Event, o Order) error {
		return billed.Publish(ctx, producer, Invoice{Order: o.ID})
	}))
	billing := leat.NewConsumer(broker, leat.Subscription{Topic: "orders", Group: "billing"}, router,
		&leat.ConsumerOptions{PoisonQueue: middleware.PoisonQueue(producer, nil)})

	program := leat.Describe([]*leat.Consumer{billing}, billed.Describe())
	for _, c := range program.Consumes {
		for _, t := range c.Types {
			fmt.Printf("%s: %s from %s as %s, rejected to %s\n", c.Subscription.Group, t.Type, t.Topic, t.Data.Name(), c.PoisonTopic)
			for field := range t.Data.Fields() {
				fmt.Println("  field", strings.ToLower(field.Name), field.Type)
			}
		}
	}
	for _, t := range program.Publishes {
		fmt.Printf("publishes %s to %s as %s, %s\n", t.Type, t.Topic, t.Data.Name(), t.ContentType)
	}
	// Output:
	// billing: order.placed.v1 from orders as Order, rejected to orders.billing.poison
	//   field id string
	// publishes invoice.sent.v1 to invoices as Invoice, application/json
}
