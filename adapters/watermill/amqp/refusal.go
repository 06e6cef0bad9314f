package amqp

import (
	"crypto/tls"
	"errors"
	"strings"

	"github.com/leatgo/leat"
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

// discreet returns err, or the broker's own error in it without the name of the user, which RabbitMQ adds to what it refuses. A user's name
// may be a token, and belongs to the URL like the password.
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
	if errors.Is(err, native.ErrCredentials) {
		return leat.CodeUnauthenticated
	}
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); untrusted {
		return leat.CodeUnauthenticated
	}
	e, ok := errors.AsType[*native.Error](err)
	if !ok {
		return leat.CodeUnavailable
	}
	switch e.Code {
	case native.PreconditionFailed, native.CommandInvalid:
		return leat.CodeInvalid
	case native.AccessRefused:
		if strings.Contains(e.Reason, "Login was refused") {
			return leat.CodeUnauthenticated
		}
		return leat.CodePermissionDenied
	case native.NotFound, native.InvalidPath:
		return leat.CodeNotFound
	case native.NotAllowed:
		return notAllowed(e.Reason)
	case native.ResourceLocked: // a queue that is exclusive elsewhere
		return leat.CodeConflict
	case native.NotImplemented:
		return leat.CodeUnsupported
	case native.ContentTooLarge:
		return leat.CodeTooLarge
	}
	return leat.CodeUnavailable
}

// notAllowed returns what NOT_ALLOWED means, by which the broker refuses a virtual host, a limit, or an exchange of another type.
func notAllowed(reason string) leat.Code {
	switch {
	case strings.Contains(reason, "vhost") && strings.Contains(reason, "not found"):
		return leat.CodeNotFound
	case strings.Contains(reason, "limit"):
		return leat.CodeExhausted
	case strings.Contains(reason, "access to vhost"), strings.Contains(reason, "access refused"):
		return leat.CodePermissionDenied
	}
	return leat.CodeInvalid
}
