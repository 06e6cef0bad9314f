// Package party has the libraries that are compared, each behind the same small interface, so that
// a scenario is written once.
package party

import (
	"context"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Party is a library in one configuration.
type Party struct {
	// Name is what commands call it, and Title what the tables call it.
	Name, Title string
	// How says how it is configured.
	How string
	// Open connects to a broker.
	Open func(ctx context.Context, t Target) (Peer, error)
}

// Target is what a peer publishes to and consumes from: one exchange, and one durable classic queue
// that is bound to it.
type Target struct {
	// URL is the broker's, with user and password.
	URL string
	// Exchange and Queue are the names.
	Exchange, Queue string
	// Arguments are added to those of the queue.
	Arguments amqp.Table
	// CloseTimeout is how long Close may take, for a library that is told when it is opened. 0
	// means its default.
	CloseTimeout time.Duration
}

// Peer is a library that is connected to a broker. Publish and Consume may be called by several
// goroutines.
type Peer interface {
	// Declare makes the exchange and the queue in the library's own way, or by a plain client where
	// it has none.
	Declare(ctx context.Context) error
	// Publish publishes a message for each id, in the way that the library has for several, and
	// returns what it said about each; nil means that it said the message is published. The message
	// with the id Broken cannot be encoded.
	Publish(ctx context.Context, ids ...string) []error
	// Consume calls handle for each message until ctx ends, or the library ends it. A nil error of
	// handle acks the message, another gives it back. Up to workers calls run at a time, where the
	// library does that at all.
	Consume(ctx context.Context, workers int, handle Handle) error
	// Close ends the connections. ctx is passed on where the library takes one.
	Close(ctx context.Context) error
}

// Handle handles the message with the id, which is also its body.
type Handle func(ctx context.Context, id string) error

// Broken is the id of a message that cannot be encoded.
const Broken = "broken"

// All returns the parties, Leat last.
func All() []Party {
	return []Party{
		watermillDefault(), watermillSafe(), watermillTransactional(), goCloudDefault(), goCloudSafe(), goCloudRecovering(), leatDefault(),
	}
}

// same returns the error for each of n messages.
func same(n int, err error) []error {
	errs := make([]error, n)
	for i := range errs {
		errs[i] = err
	}
	return errs
}
