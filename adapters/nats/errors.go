package nats

import (
	"context"
	"errors"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// codeOf classifies an error of the client or of a server for everything but the outcome of a
// publish.
func codeOf(err error) leat.Code {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		return apiCode(int(api.ErrorCode), api.Code)
	}
	switch {
	case isLogin(err), fault.IsUntrusted(err), fault.IsAlert(err):
		return leat.CodeUnauthenticated
	case errors.Is(err, nats.ErrPermissionViolation):
		return leat.CodePermissionDenied
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionDraining):
		return leat.CodeClosed
	case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, jetstream.ErrConsumerNotFound):
		return leat.CodeNotFound
	case errors.Is(err, jetstream.ErrNotPullConsumer),
		errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return leat.CodeUnsupported
	}
	return fault.Code(err)
}

// isLogin reports whether a server refuses the login.
func isLogin(err error) bool {
	for _, refusal := range []error{
		nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired,
		nats.ErrNkeysNotSupported, nats.ErrSecureConnRequired, nats.ErrSecureConnWanted,
		errNoSecret,
	} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// apiCode classifies an error code of the JetStream API, whose status is like that of HTTP.
func apiCode(code, status int) leat.Code {
	switch code {
	case 10014, 10059: // consumer, stream not found
		return leat.CodeNotFound
	case 10054: // message size exceeds maximum allowed
		return leat.CodeTooLarge
	case 10013, 10058, 10148, 10065: // names in use, consumer exists, subjects overlap
		return leat.CodeConflict
	case 10002, 10023, 10026, 10027, 10028, 10047, 10077: // resources, limits, storage
		return leat.CodeExhausted
	case 10039, 10076, 10074: // JetStream not enabled, more replicas than a server has
		return leat.CodeUnsupported
	}
	switch status {
	case 400:
		return leat.CodeInvalid
	case 404:
		return leat.CodeNotFound
	case 429:
		return leat.CodeExhausted
	}
	return leat.CodeUnavailable
}

// fail makes the error of a call.
func fail(ctx context.Context, op, topic string, err error) error {
	return fault.Fail(ctx, op, topic, codeOf(err), err)
}
