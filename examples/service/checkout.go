package main

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/leatgo/leat"
)

// publishTimeout is how long a customer waits for the broker. Without a deadline a publish waits as
// long as the adapter's DeliveryTimeout, which is minutes in an outage.
const publishTimeout = 5 * time.Second

// checkout takes orders over HTTP: POST /orders with an Order. The answer is 202 when the broker
// has the order. After a 503 the customer may send it again: the event has the same id then.
func checkout(p leat.Publisher) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var order Order
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&order); err != nil || order.ID == "" {
			http.Error(w, "send an order as JSON, with an id", http.StatusBadRequest)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), publishTimeout)
		defer cancel()
		err := OrderPlaced.Publish(ctx, p, order)
		switch code := leat.CodeOf(err); {
		case err == nil:
			w.WriteHeader(http.StatusAccepted)
		case code == leat.CodeInvalid || code == leat.CodeTooLarge:
			http.Error(w, "the order cannot be taken", http.StatusBadRequest)
		default: // an outage, a permission that is missing, no queue yet: nothing that the customer can mend
			http.Error(w, "try again", http.StatusServiceUnavailable)
		}
	}
}
