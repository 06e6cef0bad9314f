package amqp

import (
	"errors"

	"github.com/leatgo/leat"
	native "github.com/rabbitmq/amqp091-go"
)

// refusal is why a message is certainly not stored, and never will be.
type refusal struct {
	code leat.Code
	err  error
}

func (r *refusal) Error() string { return r.err.Error() }

func (r *refusal) Unwrap() error { return r.err }

// refused returns the code of a refusal, and 0 for every other error, whose outcome is unknown.
func refused(err error) leat.Code {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.code
	}
	return 0
}

// codeOf returns what an error of the broker means.
func codeOf(err error) leat.Code {
	if errors.Is(err, native.ErrCredentials) {
		return leat.CodeUnauthenticated
	}
	if e, ok := errors.AsType[*native.Error](err); ok {
		switch e.Code {
		case native.PreconditionFailed, native.CommandInvalid, native.NotAllowed:
			return leat.CodeInvalid
		case native.AccessRefused:
			return leat.CodePermissionDenied
		case native.NotFound:
			return leat.CodeNotFound
		}
	}
	return leat.CodeUnavailable
}
