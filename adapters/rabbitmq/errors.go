package rabbitmq

import (
	"context"
	"errors"
	"strings"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
	amqp "github.com/rabbitmq/amqp091-go"
)

// codeOf classifies an error of the client or of the broker for everything but the outcome of a publish.
func codeOf(err error) leat.Code {
	if own, ok := errors.AsType[*leat.Error](err); ok {
		return own.Code
	}
	if amqpErr, ok := errors.AsType[*amqp.Error](err); ok {
		return amqpCode(amqpErr)
	}
	if fault.IsUntrusted(err) || fault.IsAlert(err) {
		return leat.CodeUnauthenticated
	}
	return fault.Code(err)
}

// tlsAlert is how the text of an alert begins by which the broker has ended the TLS handshake, as it does without a client certificate
// that it wants. With TLS 1.3 that is only seen after the handshake, by the client, which keeps nothing but the text.
const tlsAlert = "remote error: tls:"

// amqpCode classifies a reply code of the broker or the client.
func amqpCode(err *amqp.Error) leat.Code {
	if !err.Server && strings.HasPrefix(err.Reason, tlsAlert) {
		return leat.CodeUnauthenticated
	}
	switch err.Code {
	case amqp.ContentTooLarge:
		return leat.CodeTooLarge
	case amqp.NotFound, amqp.NoRoute:
		return leat.CodeNotFound
	case amqp.InvalidPath: // a virtual host that does not exist
		return leat.CodeNotFound
	case amqp.AccessRefused:
		if err == amqp.ErrVhost {
			return leat.CodePermissionDenied
		}
		if !err.Server || isLogin(err.Reason) {
			return leat.CodeUnauthenticated
		}
		return leat.CodePermissionDenied
	case amqp.NotAllowed:
		return notAllowed(err.Reason)
	case amqp.PreconditionFailed:
		if strings.Contains(err.Reason, "message size") { // "is larger than configured max size"
			return leat.CodeTooLarge
		}
		return leat.CodeConflict
	case amqp.ResourceLocked:
		return leat.CodeConflict
	case amqp.NotImplemented:
		return leat.CodeUnsupported
	case amqp.ResourceError:
		return leat.CodeExhausted
	case amqp.SyntaxError, amqp.CommandInvalid:
		return leat.CodeInvalid
	}
	return leat.CodeUnavailable // 320, 501, 541 and what the client says when the connection is gone
}

// isLogin reports whether an ACCESS_REFUSED is about the login: "Login was refused using authentication mechanism PLAIN".
func isLogin(reason string) bool { return strings.Contains(reason, "Login was refused") }

// notAllowed classifies NOT_ALLOWED (530), by which the broker refuses a virtual host or a limit.
func notAllowed(reason string) leat.Code {
	switch {
	case strings.Contains(reason, "not found"):
		return leat.CodeNotFound
	case strings.Contains(reason, "limit"):
		return leat.CodeExhausted
	case strings.Contains(reason, "access to vhost"), strings.Contains(reason, "access refused"):
		return leat.CodePermissionDenied
	}
	return leat.CodeUnsupported
}

// fail makes the error of an operation.
func fail(ctx context.Context, op, topic string, err error) error {
	return fault.Fail(ctx, op, topic, codeOf(err), err)
}

func closedError(op, topic string) error {
	return &leat.Error{Op: op, Topic: topic, Code: leat.CodeClosed, Err: errors.New("the RabbitMQ broker is closed")}
}
