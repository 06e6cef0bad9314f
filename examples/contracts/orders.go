package main

import (
	"context"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/schema"
)

// OrderV1 is an order in the code of release 1, and Order is one in that of release 2.
type (
	OrderV1 struct {
		ID    string `json:"id"`
		Cents int    `json:"cents"`
	}
	Order struct {
		ID    string `json:"id"`
		Cents int    `json:"cents"`
		Email string `json:"email,omitempty"`
	}
)

// orders is the producer. The function publishes an order.
type orders func(ctx context.Context, o Order) error

// newOrders returns a release of orders.
func newOrders(broker leat.Broker, topic string, release int, enforcer *schema.Enforcer) orders {
	producer := leat.NewProducer(broker, &leat.ProducerOptions{
		Source:     "/shop/orders",
		Middleware: []leat.PublishMiddleware{enforcer.Publish()},
	})
	if release == 1 {
		placed := leat.EventType[OrderV1]{Name: placedType, Topic: topic, ID: func(o OrderV1) string { return o.ID }}
		return func(ctx context.Context, o Order) error { return placed.Publish(ctx, producer, OrderV1{o.ID, o.Cents}) }
	}
	placed := leat.EventType[Order]{Name: placedType, Topic: topic, ID: func(o Order) string { return o.ID }}
	return func(ctx context.Context, o Order) error { return placed.Publish(ctx, producer, o) }
}
