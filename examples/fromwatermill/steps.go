package main

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	leatmill "github.com/leatgo/leat/adapters/watermill"
	"github.com/leatgo/leat/middleware"
)

// orderID is the key: what happens to one order stays in order. gochannel had no order at all.
func orderID(_ string, m *message.Message) string {
	var o Order
	if json.Unmarshal(m.Payload, &o) != nil {
		return ""
	}
	return o.ID
}

// pubSub takes a broker of Leat as a Pub/Sub of Watermill.
func pubSub(broker leat.Broker) (*leatmill.Publisher, *leatmill.Subscriber) {
	return leatmill.NewPublisher(broker, &leatmill.PublisherOptions{Codec: leatmill.Codec{Key: orderID}}),
		leatmill.NewSubscriber(broker, &leatmill.SubscriberOptions{Group: "shop"})
}

// step1 changes the Pub/Sub and nothing else. What gets safer: messages wait for the group while
// the service is down, a message that fails holds up its order only, and a shutdown lets handlers
// finish.
func step1(ctx context.Context, broker leat.Broker, s *shop) error {
	pub, sub := pubSub(broker)
	return errors.Join(route(ctx, s, pub, sub, true), pub.Close(), sub.Close())
}

// Paid is the contract of what the Router publishes: a message that is not a CloudEvent becomes an
// event whose type is its topic.
var Paid = leat.EventType[Order]{
	Name: paidTopic, Topic: paidTopic, Source: "/shop", Key: func(o Order) string { return o.ID },
}

// consume returns a Consumer with the service's middleware and poison queue.
func consume(broker leat.Broker, topic string, route leat.Route) *leat.Consumer {
	return leat.NewConsumer(broker, leat.Subscription{Topic: topic, Group: "shop"}, leat.NewRouter(route), &leat.ConsumerOptions{
		Middleware:  []leat.Middleware{middleware.Retry(nil)},
		PoisonQueue: middleware.PoisonQueue(leat.NewProducer(broker, nil), nil),
	})
}

// shipping is the handler that ships, as Leat has it: the order is decoded, and the error is the
// outcome.
func shipping(broker leat.Broker, s *shop) *leat.Consumer {
	return consume(broker, paidTopic, Paid.Handler(func(_ context.Context, _ leat.Event, o Order) error { return s.ship(o) }))
}

// step2 moves one handler. The Router that is left and the Consumer share the broker and its
// topics; they might as well be two services.
func step2(ctx context.Context, broker leat.Broker, s *shop) error {
	pub, sub := pubSub(broker)
	return beside(ctx, func(ctx context.Context) error {
		return errors.Join(route(ctx, s, pub, sub, false), pub.Close(), sub.Close())
	}, shipping(broker, s))
}

// Placed is the contract of the other topic.
var Placed = leat.EventType[Order]{
	Name: "com.example.order.placed.v1", Topic: placedTopic, Source: "/shop", Key: func(o Order) string { return o.ID },
}

// step3 moves what is left: a handler that publishes does so by a Producer, before it returns nil.
func step3(ctx context.Context, broker leat.Broker, s *shop) error {
	producer := leat.NewProducer(broker, nil)
	charging := consume(broker, placedTopic, Placed.Handler(func(ctx context.Context, _ leat.Event, o Order) error {
		if err := s.charge(o); err != nil {
			return err
		}
		return Paid.Publish(ctx, producer, o)
	}))
	return beside(ctx, func(ctx context.Context) error {
		if err := Placed.Publish(ctx, producer, s.orders...); err != nil {
			return err
		}
		return s.wait(ctx)
	}, charging, shipping(broker, s))
}

// beside runs f while the consumers run, and stops these when it has returned.
func beside(ctx context.Context, f func(ctx context.Context) error, consumers ...*leat.Consumer) error {
	running, stop := context.WithCancel(ctx)
	defer stop()
	ran := make(chan error, 1)
	go func() { ran <- leat.Run(running, consumers...) }()
	err := f(ctx)
	stop()
	return errors.Join(err, <-ran)
}
