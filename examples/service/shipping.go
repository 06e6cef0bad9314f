package main

import (
	"context"

	"github.com/leatgo/leat"
)

// shipping ships each order that is paid, once.
func shipping(db ledger) leat.Handler {
	return leat.NewRouter(OrderPaid.Handler(func(ctx context.Context, _ leat.Event, p Payment) error {
		return db.once(ctx, "shipments", p.Order, p.Cents)
	}))
}
