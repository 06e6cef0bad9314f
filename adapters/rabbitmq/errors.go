package rabbitmq

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
	"github.com/leatgo/leat/internal/rabbit"
	"github.com/leatgo/leat/internal/secrets"
	amqp "github.com/rabbitmq/amqp091-go"
)

// codeOf classifies an error of the client or of the broker for everything but the outcome of a
// publish.
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

// tlsAlert is how the text of an alert begins by which the broker has ended the TLS handshake, as
// it does without a client certificate that it wants. With TLS 1.3 that is only seen after the
// handshake, by the client, which keeps nothing but the text.
const tlsAlert = "remote error: tls:"

// amqpCode classifies an error of the broker, or of the client, whose own reports are of the same
// type.
func amqpCode(err *amqp.Error) leat.Code {
	switch {
	case !err.Server && strings.HasPrefix(err.Reason, tlsAlert):
		return leat.CodeUnauthenticated
	case !err.Server && err.Code == amqp.AccessRefused && err != amqp.ErrVhost:
		return leat.CodeUnauthenticated
	}
	return rabbit.Code(err.Code, err.Reason)
}

// discreet returns an error of the broker without the name of the user, which RabbitMQ adds to what
// it refuses: "access to vhost 'shop' refused for user 'ann'". A user's name may be a token, and
// belongs to the URL like the password.
func discreet(err error) error {
	if e, ok := err.(*amqp.Error); ok { //nolint:errorlint // what wraps it has its text already
		return discreetAMQP(e)
	}
	return err
}

// discreetAMQP is discreet for what the client reports as its own type. It leaves the client's own
// errors, which are compared, as they are.
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

// advised adds to an error of connecting what to do about it, where trying again does not help.
func advised(err error) error {
	if _, plain := errors.AsType[tls.RecordHeaderError](err); plain {
		return fmt.Errorf("%w; what answers does not speak TLS: correct the port, which is 5671 by default, or do without TLS", err)
	}
	if _, ok := errors.AsType[*amqp.Error](err); !ok {
		return err
	}
	switch codeOf(err) {
	case leat.CodeUnauthenticated:
		return fmt.Errorf("%w; correct the user or the password: user:password@ or password_file of the URL, or Options.Credentials", err)
	case leat.CodePermissionDenied:
		return fmt.Errorf("%w; give the user permissions in this virtual host", err)
	case leat.CodeNotFound:
		return fmt.Errorf("%w; create the virtual host, or name another: it is the path of the URL, or Options.VHost", err)
	}
	return err
}

// refusal returns why the broker does not take what is published to a topic, and what to do.
func refusal(cause *amqp.Error) error {
	switch amqpCode(cause) {
	case leat.CodeNotFound:
		return fmt.Errorf("nobody has declared the topic yet; name it in ProducerOptions.Topics where it is "+
			"published to, or call leat.Declare (leat.Run declares what its consumers read): %w", cause)
	case leat.CodePermissionDenied:
		return fmt.Errorf("%w; docs/rabbitmq.md lists the permissions that publishing needs", cause)
	}
	return cause
}

// fail makes the error of an operation.
func fail(ctx context.Context, op, topic string, err error) error {
	return fault.Fail(ctx, op, topic, codeOf(err), err)
}
