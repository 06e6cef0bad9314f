// Package leat writes and handles events the same way on every message broker: producers and
// handlers are written once, and a URL picks the broker.
//
// Events are immutable CloudEvents 1.0 envelopes. A [Producer] returns nil only when the broker has
// an event durably. A [Consumer] runs handlers concurrently, keeps the order of each key, retries
// without blocking other keys, and loses nothing: what is not handled goes to the poison queue.
//
//	broker := memory.New(nil)
//	producer := leat.NewProducer(broker, &leat.ProducerOptions{
//		Source: "/shop/checkout",
//		Topics: []string{OrderPlaced.Topic}, // declared by the first publish
//	})
//	billing := leat.Subscription{Topic: OrderPlaced.Topic, Group: "billing"}
//	consumer := leat.NewConsumer(broker, billing,
//		leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
//			fmt.Println(e.Type(), e.Subject())
//			return nil
//		}), nil)
//	err := leat.Declare(ctx, broker, billing) // from here on, the broker keeps orders for billing
//	go leat.Run(ctx, consumer)
//	err = OrderPlaced.Publish(ctx, producer, order) // OrderPlaced is an EventType
package leat
