package rabbitmq

import (
	"github.com/leatgo/leat/internal/secrets"
	amqp "github.com/rabbitmq/amqp091-go"
)

// discreet returns an error of the broker without the name of the user, which RabbitMQ adds to what it refuses: "access to vhost 'shop'
// refused for user 'ann'". A user's name may be a token, and belongs to the URL like the password.
func discreet(err error) error {
	if e, ok := err.(*amqp.Error); ok { //nolint:errorlint // what wraps it has its text already
		return discreetAMQP(e)
	}
	return err
}

// discreetAMQP is discreet for what the client reports as its own type. It leaves the client's own errors, which are compared, as they are.
func discreetAMQP(e *amqp.Error) *amqp.Error {
	if e == nil {
		return nil
	}
	reason := secrets.WithoutUser(e.Reason)
	if reason == e.Reason {
		return e
	}
	own := *e
	own.Reason = reason
	return &own
}
