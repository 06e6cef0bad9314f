package main

import (
	"context"
	"fmt"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/middleware"
	"github.com/leatgo/leat/schema"
)

// charge is what billing did for an order.
type charge struct{ order, text string }

// newBilling returns a release of the consumer.
func newBilling(broker leat.Broker, sub leat.Subscription, release int, enforcer *schema.Enforcer, charged chan<- charge) *leat.Consumer {
	return leat.NewConsumer(broker, sub, billing(sub.Topic, release, charged), &leat.ConsumerOptions{
		Middleware:  []leat.Middleware{enforcer.Process(), middleware.Retry(nil)},
		PoisonQueue: middleware.PoisonQueue(leat.NewProducer(broker, nil), nil),
	})
}

// billing returns the handler of a release.
func billing(topic string, release int, charged chan<- charge) leat.Handler {
	tell := func(ctx context.Context, order, text string) error {
		select {
		case charged <- charge{order, text}:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if release == 1 {
		return leat.NewRouter(leat.EventType[OrderV1]{Name: placedType, Topic: topic}.Handler(
			func(ctx context.Context, _ leat.Event, o OrderV1) error {
				return tell(ctx, o.ID, fmt.Sprintf("%d cents", o.Cents))
			}))
	}
	return leat.NewRouter(leat.EventType[Order]{Name: placedType, Topic: topic}.Handler(
		func(ctx context.Context, _ leat.Event, o Order) error {
			receipt := "without a receipt"
			if o.Email != "" {
				receipt = "with a receipt to " + o.Email
			}
			return tell(ctx, o.ID, fmt.Sprintf("%d cents, %s", o.Cents, receipt))
		}))
}
