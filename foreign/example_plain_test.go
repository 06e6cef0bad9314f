package foreign_test

import (
	"context"
	"fmt"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/foreign"
)

// A topic has plain JSON of an older program, and events of a producer that breaks a rule of
// CloudEvents. Lenient reads the latter and leaves the former to Plain. The broker in memory stands
// for Kafka or RabbitMQ, whose Options have the same field.
func ExamplePlain() {
	broker := memory.New(&memory.Options{
		Mapping: foreign.First(foreign.Lenient(nil), foreign.Plain(&foreign.PlainOptions{Type: "order.placed", Source: "/legacy"})),
	})
	ctx, stop := context.WithCancel(context.Background())
	left := 2
	consumer := leat.NewConsumer(broker, leat.Subscription{Topic: "orders", Group: "billing"}, leat.HandlerFunc(
		func(ctx context.Context, e leat.Event) error {
			info, _ := leat.InfoFrom(ctx)
			fmt.Printf("%s %s from %s, key %q: %s\n", e.Type(), e.ID(), e.Source(), info.Key, e.DataString())
			if left--; left == 0 {
				stop()
			}
			return nil
		}), &leat.ConsumerOptions{Concurrency: 1})
	messages := []leat.Malformed{
		{Key: []byte("ann"), Body: []byte(`{"order":7}`)},
		{Key: []byte("ann"), Body: []byte(`{"order":8}`), Headers: []leat.Header{
			{Name: "ce_specversion", Value: []byte(`"1.0"`)}, {Name: "ce_id", Value: []byte(`"8"`)},
			{Name: "ce_source", Value: []byte(`"/spring"`)}, {Name: "ce_type", Value: []byte(`"order.placed"`)},
		}},
	}
	if err := leat.Declare(ctx, broker, leat.Subscription{Topic: "orders", Group: "billing"}); err != nil {
		fmt.Println(err)
	}
	for _, m := range messages {
		if err := broker.DeliverRaw("orders", m); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(leat.Run(ctx, consumer), broker.Close())
	// Output:
	// order.placed orders/0/0 from /legacy, key "ann": {"order":7}
	// order.placed 8 from /spring, key "ann": {"order":8}
	// <nil> <nil>
}
