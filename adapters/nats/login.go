package nats

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/leatgo/leat/adapterkit/lifecycle"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// login sets how the client logs in. Without a secret it does not, and the link says why: the
// client takes an error of UserJWT only. login returns false when the link ended first.
func (l *link) login(opts *nats.Options) bool {
	o := l.o
	switch {
	case o.Credentials != nil:
		var failed error
		opts.UserInfo = func() (user, password string) { // it is called before UserJWT
			failed = l.secret(func(ctx context.Context) (err error) {
				user, password, err = o.Credentials(ctx)
				return err
			})
			return user, password
		}
		opts.UserJWT = func() (string, error) { return "", failed }
	case o.Token != nil:
		var token string
		opts.UserJWT = func() (string, error) { // it is called before TokenHandler
			return "", l.secret(func(ctx context.Context) (err error) {
				token, err = o.Token(ctx)
				return err
			})
		}
		opts.TokenHandler = func() string { return token }
	case o.Creds != nil:
		opts.UserJWT = l.jwt
		opts.SignatureCB = l.sign
	case o.NKey != nil:
		opts.SignatureCB = l.sign
		for opts.Nkey = l.publicKey(); opts.Nkey == ""; opts.Nkey = l.publicKey() {
			if !lifecycle.Sleep(l.ctx, l.wait()) {
				return false
			}
		}
	}
	return true
}

// secret calls f, which gets a secret.
func (l *link) secret(f func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(l.ctx, l.o.DialTimeout)
	defer cancel()
	err := f(ctx)
	if err != nil {
		err = fmt.Errorf("%w: %w", errNoSecret, err)
	}
	return err
}

var errNoSecret = errors.New("no credentials")

// jwt returns the JWT of the credentials.
func (l *link) jwt() (token string, err error) {
	err = l.secret(func(ctx context.Context) error {
		text, err := l.o.Creds(ctx)
		if err != nil {
			return err
		}
		found, err := nkeys.ParseDecoratedJWT([]byte(text)) // the whole text, where it finds none
		if found = strings.TrimSpace(found); err != nil || !isJWT(found) {
			return errors.New("no JWT; give a credentials file, as nsc writes it: creds_file of the URL, or Options.Creds")
		}
		token = found
		return nil
	})
	return token, err
}

// isJWT reports whether a text has the form of a JWT, so that nothing else is sent as one.
func isJWT(text string) bool {
	parts := strings.Split(text, ".")
	for _, part := range parts {
		if _, err := base64.RawURLEncoding.DecodeString(part); err != nil || part == "" {
			return false
		}
	}
	return len(parts) == 3 && strings.HasPrefix(text, "eyJ")
}

// key calls f with the key pair that signs, of the credentials or the seed.
func (l *link) key(f func(pair nkeys.KeyPair) error) error {
	return l.secret(func(ctx context.Context) error {
		get := l.o.NKey
		if get == nil {
			get = l.o.Creds
		}
		text, err := get(ctx)
		if err != nil {
			return err
		}
		pair, err := nkeys.ParseDecoratedNKey([]byte(text))
		if err != nil {
			return errNoSeed // the client's error may quote
		}
		defer pair.Wipe()
		return f(pair)
	})
}

var errNoSeed = errors.New("no seed of an nkey, which begins with SU: correct nkey_file or creds_file of the URL, or " +
	"Options.NKey or Creds")

func (l *link) sign(nonce []byte) (signature []byte, err error) {
	err = l.key(func(pair nkeys.KeyPair) (err error) {
		signature, err = pair.Sign(nonce)
		return err
	})
	return signature, err
}

// publicKey returns what the server knows the user by, or "".
func (l *link) publicKey() (public string) {
	l.failed(l.key(func(pair nkeys.KeyPair) (err error) {
		public, err = pair.PublicKey()
		return err
	}))
	return public
}
