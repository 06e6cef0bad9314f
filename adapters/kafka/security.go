package kafka

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
	"github.com/leatgo/leat/adapterkit/options"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// validate returns what is wrong.
func (s *SASL) validate() error {
	switch {
	case s == nil:
		return nil
	case !slices.Contains([]string{Plain, ScramSHA256, ScramSHA512, OAuthBearer}, s.Mechanism):
		return options.Reason("SASL.Mechanism is out of its range; use PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER")
	case s.Mechanism == OAuthBearer && s.Token == nil:
		return options.Reason("the mechanism OAUTHBEARER needs SASL.Token")
	case s.Mechanism != OAuthBearer && s.Credentials == nil:
		return options.Reason("the mechanism " + s.Mechanism + " needs SASL.Credentials")
	}
	return nil
}

// shows reports whether the mechanism sends the secret as it is.
func (s *SASL) shows() bool { return s.Mechanism == Plain || s.Mechanism == OAuthBearer }

// mechanism returns the client's form of s. maySend says which brokers may get the secret.
func (s *SASL) mechanism(maySend func(address string) bool) sasl.Mechanism {
	return login{s.native(), maySend}
}

func (s *SASL) native() sasl.Mechanism {
	switch s.Mechanism {
	case Plain:
		return plain.Plain(func(ctx context.Context) (plain.Auth, error) {
			user, password, err := s.Credentials(ctx)
			return plain.Auth{User: user, Pass: password}, err
		})
	case OAuthBearer:
		return oauth.Oauth(func(ctx context.Context) (oauth.Auth, error) {
			token, err := s.Token(ctx)
			return oauth.Auth{Token: token}, err
		})
	}
	credentials := func(ctx context.Context) (scram.Auth, error) {
		user, password, err := s.Credentials(ctx)
		return scram.Auth{User: user, Pass: password}, err
	}
	if s.Mechanism == ScramSHA256 {
		return scram.Sha256(credentials)
	}
	return scram.Sha512(credentials)
}

// login is a mechanism whose errors say that it is the credentials that are wrong.
type login struct {
	sasl.Mechanism

	maySend func(address string) bool
}

// session is one login.
type session struct {
	sasl.Session

	mechanism string
}

// Authenticate begins a login. When the credentials cannot be had, the broker was not asked.
func (l login) Authenticate(ctx context.Context, host string) (sasl.Session, []byte, error) {
	if !l.maySend(host) {
		return nil, nil, loginError(l.Name(), errors.New("the cluster advertises a broker that is not on this machine, and without TLS the "+
			"network would see the secret; set TLS, or AllowPlaintext"))
	}
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
	if s.mechanism == OAuthBearer {
		err = errors.New("the broker says " + tokenStatus(challenge))
	}
	return false, nil, loginError(s.mechanism, err)
}

// tokenStatus returns the reason by which a broker ends a login with OAUTHBEARER,
// {"status":"invalid_token"} (RFC 7628, section 3.2.2). What is not a word of that kind is not
// shown, since it may quote the token.
func tokenStatus(challenge []byte) string {
	var answer struct {
		Status string `json:"status"`
	}
	foreign := func(r rune) bool { return (r < 'a' || r > 'z') && r != '_' }
	if json.Unmarshal(challenge, &answer) != nil || answer.Status == "" || len(answer.Status) > 32 ||
		strings.ContainsFunc(answer.Status, foreign) {
		return "no"
	}
	return answer.Status
}

func loginError(mechanism string, err error) error {
	code := leat.CodeUnauthenticated
	if own, ok := errors.AsType[*leat.Error](err); ok {
		code = own.Code
	}
	return &leat.Error{Op: "log in", Code: code, Err: fmt.Errorf("%s: %w", mechanism, err)}
}

// discreet returns err without what a broker says about a login that it refuses, which may name the
// user, and with what to do about it where that is known.
func discreet(err error) error {
	if kafkaErr, ok := errors.AsType[*kerr.Error](err); ok && kafkaCode(kafkaErr) == leat.CodeUnauthenticated {
		err = fmt.Errorf("the broker refuses the login: %w", kafkaErr)
	}
	if do := advice(err); do != "" && !strings.Contains(err.Error(), do) {
		err = fmt.Errorf("%w; %s", err, do)
	}
	return err
}

// adviceEOF is advice for a broker that ends a connection at once, which may have several reasons.
const adviceEOF = "correct the port, TLS (tls=true of the URL, or Options.TLS) or the login (sasl and user:password@, or Options.SASL)"

// wantsTLS is in the client's error for what answers with an alert of TLS. The error has no type.
const wantsTLS = "is this a plaintext connection speaking to a tls endpoint?"

// advice says what to do about an error that does not pass by itself, in the words of both who
// opened a URL and who filled in Options. It is empty where the error says it, or nobody knows.
func advice(err error) string {
	if kafkaErr, ok := errors.AsType[*kerr.Error](err); ok {
		return adviceOf(kafkaErr)
	}
	_, isRecord := errors.AsType[tls.RecordHeaderError](err)
	_, isCert := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case isRecord:
		return "what answers does not speak TLS: correct the port, or leave out TLS (tls=true, Options.TLS)"
	case isCert:
		return "correct the host, or give the broker's certificate authority: ca_file of the URL, or Options.TLS"
	case fault.IsCertificateAlert(err):
		return "give a client certificate that the broker takes: cert_file and key_file of the URL, or Options.TLS"
	case hinted(err):
		return adviceEOF
	case strings.Contains(err.Error(), wantsTLS):
		return "use TLS: tls=true of the URL, or Options.TLS"
	}
	return ""
}

// adviceOf is advice for an error code of a broker.
func adviceOf(err *kerr.Error) string {
	switch {
	case err == kerr.UnsupportedSaslMechanism:
		return "use a mechanism that the broker has: sasl of the URL, or Options.SASL.Mechanism"
	case kafkaCode(err) == leat.CodeUnauthenticated:
		return "correct the user or the password: user:password@ or password_file of the URL, or Options.SASL"
	case kafkaCode(err) == leat.CodePermissionDenied:
		return "docs/kafka-acl.md lists the permissions"
	case err == kerr.MessageTooLarge:
		return "lower MaxMessageBytes (max_message_bytes of the URL) to what the topic takes, or raise its max.message.bytes"
	}
	return ""
}

// isRefusedLogin reports whether err says that the client and the broker do not accept each other's
// credentials, or do not speak the same security protocol. Trying again does not help before
// somebody changes something.
func isRefusedLogin(err error) bool {
	if kafkaErr, ok := errors.AsType[*kerr.Error](err); ok {
		return kafkaCode(kafkaErr) == leat.CodeUnauthenticated
	}
	if own, ok := errors.AsType[*leat.Error](err); ok {
		return own.Code == leat.CodeUnauthenticated
	}
	return fault.IsUntrusted(err) || fault.IsAlert(err)
}
