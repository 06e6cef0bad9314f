package kafka

import (
	"context"
	"errors"
	"fmt"

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
