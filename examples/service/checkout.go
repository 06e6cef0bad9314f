package main

import (
	"encoding/json"
	"net/http"

	"github.com/leatgo/leat"
)

// checkout takes orders over HTTP: POST /orders with an Order. The answer is 202 when the broker
// has the order. After a 503 the customer may send it again: the event has the same id then.
func checkout(p leat.Publisher) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var order Order
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&order); err != nil || order.ID == "" {
			http.Error(w, "send an order as JSON, with an id", http.StatusBadRequest)
			return
		}
		err := OrderPlaced.Publish(r.Context(), p, order)
		switch {
		case err == nil:
			w.WriteHeader(http.StatusAccepted)
		case leat.IsOutage(err):
			http.Error(w, "try again", http.StatusServiceUnavailable)
		default:
			http.Error(w, "the order cannot be taken", http.StatusBadRequest)
		}
	}
}
