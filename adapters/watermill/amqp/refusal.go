package amqp

import (
	"errors"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
	"github.com/leatgo/leat/internal/rabbit"
	"github.com/leatgo/leat/internal/secrets"
	native "github.com/rabbitmq/amqp091-go"
)

// refusal is why a message is certainly not stored, and never will be.
type refusal struct {
	code leat.Code
	err  error
}

func (r *refusal) Error() string { return r.err.Error() }

func (r *refusal) Unwrap() error { return r.err }

// discreet returns err, or the broker's own error in it without the name of the user, which
// RabbitMQ adds to what it refuses. A user's name may be a token, and belongs to the URL like the
// password.
func discreet(err error) error {
	e, ok := errors.AsType[*native.Error](err)
	if !ok {
		return err
	}
	own := *e
	if own.Reason = secrets.WithoutUser(e.Reason); own.Reason == e.Reason {
		return err
	}
	return &own
}

// refused returns the code of a refusal, and 0 for every other error, whose outcome is unknown.
func refused(err error) leat.Code {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.code
	}
	return 0
}

// codeOf returns what an error of the broker means.
func codeOf(err error) leat.Code {
	if own, ok := errors.AsType[*leat.Error](err); ok {
		return own.Code
	}
	e, ok := errors.AsType[*native.Error](err)
	switch {
	case errors.Is(err, native.ErrCredentials), fault.IsUntrusted(err):
		return leat.CodeUnauthenticated
	case !ok:
		return leat.CodeUnavailable
	case e.Code == native.PreconditionFailed: // what exists differs from what Configure says
		return leat.CodeInvalid
	}
	return rabbit.Code(e.Code, e.Reason)
}
