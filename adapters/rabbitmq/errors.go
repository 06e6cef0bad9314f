package rabbitmq

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/leatgo/leat"
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
	_, isCert := errors.AsType[*tls.CertificateVerificationError](err)
	_, isRecord := errors.AsType[tls.RecordHeaderError](err) // what answers does not speak TLS
	if isCert || isRecord || isAlert(err) {
		return leat.CodeUnauthenticated
	}
	_, isNet := errors.AsType[*net.OpError](err)
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) && !isNet {
		return leat.CodeCanceled
	}
	return leat.CodeUnavailable // connections that cannot be made, or broke in one way or another
}

// tlsAlert is how the text of an alert begins by which the broker has ended the TLS handshake, as it does without a client certificate
// that it wants. With TLS 1.3 that is only seen after the handshake, by the client, which keeps nothing but the text.
const tlsAlert = "remote error: tls:"

// isAlert reports whether the broker ended the TLS handshake.
func isAlert(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error"
}

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

// fail makes the error of an operation. A context that ended says so with its own error, the last thing that was wrong beside it; when
// it was not the caller's, nobody answered within the adapter's timeout.
func fail(ctx context.Context, op, topic string, err error) error {
	code := codeOf(err)
	if ctx.Err() != nil {
		code = leat.CodeCanceled
		if !errors.Is(err, ctx.Err()) {
			err = fmt.Errorf("%w: %w", ctx.Err(), err)
		}
	} else if code == leat.CodeCanceled {
		code = leat.CodeUnavailable
	}
	if own, ok := errors.AsType[*leat.Error](err); ok && own == err { //nolint:errorlint // only the outermost
		err = own.Err
	}
	return &leat.Error{Op: op, Topic: topic, Code: code, Err: err}
}

func closedError(op, topic string) error {
	return &leat.Error{Op: op, Topic: topic, Code: leat.CodeClosed, Err: errors.New("the RabbitMQ broker is closed")}
}
