package main

import (
	"context"
	"errors"

	"github.com/leatgo/leat"
)

// billing charges each order once, and says so.
func billing(db ledger, p leat.Publisher) leat.Handler {
	return leat.NewRouter(OrderPlaced.Handler(func(ctx context.Context, _ leat.Event, o Order) error {
		if o.Cents <= 0 {
			return leat.Reject(errors.New("an order must cost something"))
		}
		if err := db.once(ctx, "charges", o.ID, o.Cents); err != nil {
			return err
		}
		// A crash before this line delivers the order again: it is not charged twice, and is
		// published.
		return OrderPaid.Publish(ctx, p, Payment{Order: o.ID, Cents: o.Cents})
	}))
}
