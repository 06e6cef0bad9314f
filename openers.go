package leat

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/leatgo/leat/internal/nils"
	"github.com/leatgo/leat/internal/secrets"
)

// Opener connects to the broker that u names. Each adapter has one, which documents the parameters that it takes; one that it
// does not know is an error with [CodeInvalid], so that a typing slip does not pass for a setting. ctx bounds the opening only.
type Opener func(ctx context.Context, u *url.URL) (Broker, error)

// Openers says which adapter opens which URL scheme. The map is explicit, so that the compiler knows which adapters a program has:
//
//	brokers := leat.Openers{"mem": memory.Open, "kafka": kafka.Open}
//	broker, err := brokers.Open(ctx, os.Getenv("BROKER_URL"))
//
// Schemes are written in lower case; a URL may spell them as it likes.
type Openers map[string]Opener

// Open connects to the broker that rawURL names, by the Opener of its scheme. Space around the URL is ignored.
//
// The error is an [*Error], with [CodeInvalid] when the URL cannot be used. It never contains the URL's password or another secret
// of it, whatever the adapter said: where that had one in its text or in a cause, Open masks the text and drops the cause, and
// keeps the code.
func (o Openers) Open(ctx context.Context, rawURL string) (Broker, error) {
	rawURL = strings.TrimSpace(rawURL)
	u, err := parseBrokerURL(rawURL)
	if err != nil {
		return nil, openError("%w; %s", err, o.known())
	}
	open := o[u.Scheme]
	if open == nil {
		return nil, openError("no adapter for the scheme %s; %s", quote(u.Scheme), o.known())
	}
	secret := secrets.FromURL(rawURL, u) // before the adapter gets u, which it may change
	broker, err := open(ctx, u)
	switch {
	case err != nil:
		return nil, safeError(secret, err)
	case nils.Is(broker):
		return nil, &Error{Op: "open", Code: CodeInternal, Err: errors.New("the adapter returned neither a broker nor an error")}
	}
	return broker, nil
}

// known lists the schemes, for a person who has to correct a URL.
func (o Openers) known() string {
	var schemes []string
	for _, scheme := range slices.Sorted(maps.Keys(o)) {
		if o[scheme] != nil {
			schemes = append(schemes, scheme+"://")
		}
	}
	if len(schemes) == 0 {
		return "no adapter is registered"
	}
	return "use one of " + strings.Join(schemes, ", ")
}

// parseBrokerURL parses a URL. Its errors quote nothing of it, because a URL that cannot be parsed cannot be masked either; the causes
// that net/url gives do quote.
func parseBrokerURL(raw string) (*url.URL, error) {
	if raw == "" {
		return nil, errors.New("the broker URL is empty; set it, as in kafka://host:9092")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("the broker URL cannot be parsed; write scheme://user:password@host:port, and percent-encode " +
			"what is neither a letter nor a digit in user and password")
	}
	if u.Scheme == "" || u.Opaque != "" { // without "//", what is before the colon may be a user, and what follows a password
		return nil, errors.New("the broker URL has no scheme followed by ://")
	}
	if strings.Contains(raw, "#") || strayAt(u) {
		return nil, errors.New("the broker URL has '#', '/' or '?' in its user or password, or '@' behind them; " +
			"percent-encode these: %23, %2F, %3F, %40")
	}
	return u, nil
}

// strayAt reports whether u has an '@' that is neither the end of user and password nor in the value of a parameter. In
// user:12/34@host, which parses as host "user" and port 12, nobody would know to mask that port.
func strayAt(u *url.URL) bool {
	name, _, _ := strings.Cut(u.RawQuery, "=")
	return strings.Contains(u.EscapedPath(), "@") || strings.Contains(name, "@")
}

func openError(format string, args ...any) error {
	return &Error{Op: "open", Code: CodeInvalid, Err: fmt.Errorf(format, args...)}
}

// safeError returns err as an *Error without secrets.
func safeError(secret secrets.Set, err error) error {
	budget := maxCauses
	if reveals(secret, err, &budget) {
		e, ok := err.(*Error) //nolint:errorlint // only the outermost; what it wraps is dropped
		if ok && e.Err != nil && !secret.In(e.Op+" "+e.Topic+" "+e.EventID) {
			return &Error{Op: e.Op, Topic: e.Topic, EventID: e.EventID, Code: e.Code, Err: errors.New(secret.Mask(e.Err.Error()))}
		}
		return &Error{Op: "open", Code: CodeOf(err), Err: errors.New(secret.Mask(err.Error()))}
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	return &Error{Op: "open", Code: CodeOf(err), Err: err}
}

// maxCauses is how many errors of a tree are looked at; in a larger one, a secret is taken for granted.
const maxCauses = 100

// reveals reports whether err, or an error that unwrapping leads to, has a secret in its text.
func reveals(secret secrets.Set, err error, budget *int) bool {
	if err == nil {
		return false
	}
	if *budget--; *budget < 0 || secret.In(err.Error()) {
		return true
	}
	switch e := err.(type) { //nolint:errorlint // this walks the tree itself
	case *Error:
		return secret.In(e.Topic) || secret.In(e.EventID) || reveals(secret, e.Err, budget)
	case interface{ Unwrap() error }:
		return reveals(secret, e.Unwrap(), budget)
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(e.Unwrap(), func(err error) bool { return reveals(secret, err, budget) })
	}
	return false
}
