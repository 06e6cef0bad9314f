package nats

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

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

// isInbox reports whether a denial is that of an inbox: Leat subscribes to nothing else but
// advisories.
func isInbox(err error) bool {
	text := err.Error()
	return strings.Contains(text, "for Subscription to") && !strings.Contains(text, "$JS.")
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

// advised adds to an error of a connection what to do about it, where waiting does not help.
func advised(err error) error {
	op, _ := errors.AsType[*net.OpError](err)
	switch {
	case errors.Is(err, errNoSecret): // which says it
		return err
	case errors.Is(err, nats.ErrSecureConnWanted):
		return fmt.Errorf("%w; the server does not offer TLS: write nats:// and not tls://, or leave Options.TLS nil", err)
	case fault.IsUntrusted(err):
		return fmt.Errorf("%w; give the certificate authority of the servers: ca_file of the URL with tls://, or Options.TLS", err)
	case errors.Is(err, nats.ErrNoInfoReceived), op != nil && op.Op == "read" && op.Timeout():
		return fmt.Errorf("%w; what answers does not say that it is a NATS server: correct the port, which is 4222 by default", err)
	case isLogin(err):
		return fmt.Errorf("%w; correct the login: user:password@, token@, password_file, token_file, creds_file or nkey_file "+
			"of the URL, or Options.Credentials, Token, Creds or NKey", err)
	case errors.Is(err, nats.ErrPermissionViolation) && isInbox(err):
		return fmt.Errorf("%w; give the user this permission, or set Options.InboxPrefix (inbox_prefix) to one that it has", err)
	case errors.Is(err, nats.ErrPermissionViolation):
		return fmt.Errorf("%w; docs/nats.md lists the permissions", err)
	}
	return err
}

// explain adds to an error of the JetStream API about a stream or a consumer what to do about it.
func (o *Options) explain(err error) error {
	code := 0
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		code = int(api.ErrorCode)
	}
	switch {
	case errors.Is(err, nats.ErrNoResponders) && o.Domain != "":
		return fmt.Errorf("%w; no server has JetStream in this domain: correct Options.Domain (domain of the URL)", err)
	case errors.Is(err, nats.ErrNoResponders), code == 10039, code == 10076:
		return fmt.Errorf("%w; turn JetStream on in the servers, and for the account", err)
	case code == 10074:
		return fmt.Errorf("%w; set Options.Replicas (replicas) to no more than there are servers", err)
	case code == 10065:
		return fmt.Errorf("%w; another stream takes a subject of the topic: name that stream by Options.Stream, or give "+
			"the topic other subjects", err)
	case codeOf(err) == leat.CodeNotFound && o.Provision != ProvisionCreate:
		return fmt.Errorf("%w; declare a subscription of it (leat.Declare, or leat.Run, which does) with "+
			"ProvisionCreate (provision=create), or create it", err)
	}
	return err
}

// fail makes the error of a call.
func fail(ctx context.Context, op, topic string, err error) error {
	return fault.Fail(ctx, op, topic, codeOf(err), err)
}
