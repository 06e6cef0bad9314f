package leat_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/middleware"
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
