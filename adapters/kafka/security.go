package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/leatgo/leat"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// validate returns what is wrong. mayShow says that a password may be sent as it is.
func (s *SASL) validate(mayShow bool) error {
	if s == nil {
		return nil
	}
	switch s.Mechanism {
	case Plain, OAuthBearer:
		if !mayShow {
			return fmt.Errorf("SASL mechanism %s without TLS shows the secret to the network; set TLS, or AllowPlaintext", s.Mechanism)
		}
	case ScramSHA256, ScramSHA512:
	default:
		return fmt.Errorf("SASL.Mechanism is %q; use %s, %s, %s or %s", s.Mechanism, Plain, ScramSHA256, ScramSHA512, OAuthBearer)
	}
	if s.Mechanism == OAuthBearer && s.Token == nil {
		return errors.New("the mechanism OAUTHBEARER needs SASL.Token")
	}
	if s.Mechanism != OAuthBearer && s.Credentials == nil {
		return errors.New("the mechanism " + s.Mechanism + " needs SASL.Credentials")
	}
	return nil
}

// mechanism returns the client's form of s.
func (s *SASL) mechanism() sasl.Mechanism {
	switch s.Mechanism {
	case Plain:
		return login{plain.Plain(func(ctx context.Context) (plain.Auth, error) {
			user, password, err := s.Credentials(ctx)
			return plain.Auth{User: user, Pass: password}, err
		})}
	case OAuthBearer:
		return login{oauth.Oauth(func(ctx context.Context) (oauth.Auth, error) {
			token, err := s.Token(ctx)
			return oauth.Auth{Token: token}, err
		})}
	}
	credentials := func(ctx context.Context) (scram.Auth, error) {
		user, password, err := s.Credentials(ctx)
		return scram.Auth{User: user, Pass: password}, err
	}
	if s.Mechanism == ScramSHA256 {
		return login{scram.Sha256(credentials)}
	}
	return login{scram.Sha512(credentials)}
}

// login is a mechanism whose errors say that it is the credentials that are wrong.
type login struct{ sasl.Mechanism }

// session is one login.
type session struct {
	sasl.Session

	mechanism string
}

// Authenticate begins a login. When the credentials cannot be had, the broker was not asked.
func (l login) Authenticate(ctx context.Context, host string) (sasl.Session, []byte, error) {
	s, first, err := l.Mechanism.Authenticate(ctx, host)
	if err != nil {
		return nil, nil, loginError(l.Name(), err)
	}
	return session{s, l.Name()}, first, nil
}

// Challenge answers the broker.
func (s session) Challenge(challenge []byte) (bool, []byte, error) {
	done, answer, err := s.Session.Challenge(challenge)
	if err == nil {
		return done, answer, nil
	}
	if s.mechanism == OAuthBearer { // which the broker ends with its reason, such as {"status":"invalid_token"}
		err = fmt.Errorf("the broker says %.200q", challenge)
	}
	return false, nil, loginError(s.mechanism, err)
}

func loginError(mechanism string, err error) error {
	code := leat.CodeUnauthenticated
	if own, ok := errors.AsType[*leat.Error](err); ok {
		code = own.Code
	}
	return &leat.Error{Op: "log in", Code: code, Err: fmt.Errorf("%s: %w", mechanism, err)}
}

// isRefusedLogin reports whether err says that the client and the broker do not accept each other's credentials, or do not speak the same
// security protocol. Trying again does not help before somebody changes something.
func isRefusedLogin(err error) bool {
	if kafkaErr, ok := errors.AsType[*kerr.Error](err); ok {
		return kafkaCode(kafkaErr) == leat.CodeUnauthenticated
	}
	if own, ok := errors.AsType[*leat.Error](err); ok {
		return own.Code == leat.CodeUnauthenticated
	}
	_, isCert := errors.AsType[*tls.CertificateVerificationError](err)
	_, isRecord := errors.AsType[tls.RecordHeaderError](err)
	return isCert || isRecord || isAlert(err)
}

// isAlert reports whether the broker ended the TLS handshake, as it does without a client certificate that it wants.
func isAlert(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error"
}

// certificateAlerts are the alerts that are about the client's certificate (RFC 8446, section 6.2).
var certificateAlerts = []tls.AlertError{42, 43, 44, 45, 46, 48, 116}

// isCertificateAlert reports whether the broker does not accept the client's certificate, or misses one. The standard library does not
// export the type of an alert that comes from a connection, only that of QUIC with the same texts.
func isCertificateAlert(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && isAlert(err) && slices.ContainsFunc(certificateAlerts, func(a tls.AlertError) bool { return a.Error() == op.Err.Error() })
}
