package leat_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/middleware"
)

type parcel struct {
	ID string `json:"id"`
}

// A Router hands each event to the handler for its type, decoded. What no handler wants is skipped.
func ExampleRouter() {
	sent := leat.EventType[parcel]{Name: "com.example.parcel.sent.v1", Topic: "parcels", Key: func(p parcel) string { return p.ID }}
	lost := leat.EventType[parcel]{Name: "com.example.parcel.lost.v1", Topic: "parcels", Key: func(p parcel) string { return p.ID }}

	broker, err := leat.Openers{"mem": memory.Open}.Open(context.Background(), "mem://")
	if err != nil {
		fmt.Println(err)
		return
	}
	producer := leat.NewProducer(broker, &leat.ProducerOptions{Source: "/depot"})
	ctx, stop := context.WithCancel(context.Background())
	consumer := leat.NewConsumer(broker, leat.Subscription{Topic: "parcels", Group: "tracking"}, leat.NewRouter(
		sent.Handler(func(_ context.Context, _ leat.Event, p parcel) error {
			fmt.Println("sent:", p.ID)
			return nil
		}),
		lost.Handler(func(_ context.Context, _ leat.Event, p parcel) error {
			fmt.Println("lost:", p.ID)
			stop()
			return nil
		}),
	), nil)
	if err := sent.Publish(ctx, producer, parcel{ID: "p1"}); err != nil {
		fmt.Println(err)
		return
	}
	if err := lost.Publish(ctx, producer, parcel{ID: "p1"}); err != nil {
		fmt.Println(err)
		return
	}
	if err := leat.Run(ctx, consumer); err != nil {
		fmt.Println(err)
		return
	}
	// Output:
	// sent: p1
	// lost: p1
}

// A URL picks the broker. One that is not known is an error that lists those that are.
func ExampleOpeners() {
	brokers := leat.Openers{
		"mem": memory.Open,
		"own": func(context.Context, *url.URL) (leat.Broker, error) { return memory.New(nil), nil },
	}
	_, err := brokers.Open(context.Background(), "kafka://localhost:9092")
	fmt.Println(leat.CodeOf(err))
	fmt.Println(err)
	// Output:
	// invalid
	// leat: open: invalid: no adapter for the scheme of the broker URL; use one of mem://, own://
}

// A program lists what it publishes and consumes. A table, an AsyncAPI document or a test is made
// of that.
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
