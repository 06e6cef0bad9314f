package main

import "github.com/leatgo/leat"

// subscriptions are those of the services that consume.
var subscriptions = map[string]leat.Subscription{
	"billing":  {Topic: OrderPlaced.Topic, Group: "billing"},
	"shipping": {Topic: OrderPaid.Topic, Group: "shipping"},
}

// handler is what a service does with its events.
func (a *app) handler(service string) leat.Handler {
	if service == "billing" {
		return billing(a.db, a.producer)
	}
	return shipping(a.db)
}
