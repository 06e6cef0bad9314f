package leat_test

import (
	"context"
	"fmt"
	"net/url"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
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
