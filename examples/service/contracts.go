package main

import "github.com/leatgo/leat"

// Order is what a customer has ordered.
type Order struct {
	ID    string `json:"id"`
	Cents int    `json:"cents"`
}

// Payment is what billing has charged for an order.
type Payment struct {
	Order string `json:"order"`
	Cents int    `json:"cents"`
}

// The contracts between the services. Events of one order keep their order. Their ids are made of
// the order's, so that a service that repeats itself after a crash publishes the same event again.
// Two events must not share source and id, so each type has a prefix of its own.
var (
	OrderPlaced = leat.EventType[Order]{
		Name: "com.example.order.placed.v1", Topic: "orders",
		ID: func(o Order) string { return "placed-" + o.ID }, Key: func(o Order) string { return o.ID },
	}
	OrderPaid = leat.EventType[Payment]{
		Name: "com.example.order.paid.v1", Topic: "payments",
		ID: func(p Payment) string { return "paid-" + p.Order }, Key: func(p Payment) string { return p.Order },
	}
)
