package leat

import (
	"context"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/leatgo/leat/internal/nils"
	"github.com/leatgo/leat/internal/secrets"
)

// Opener connects to the broker that u names. Each adapter has one, which documents the parameters that it takes; one that it
// does not know is an error with [CodeInvalid], so that a typing slip does not pass for a setting. ctx bounds the opening only.
//
// u.Host is the list of hosts as the URL has it, such as "host1:9092,host2:9092,[::1]:9092", which [Openers] has checked. An Opener
// splits it at the commas itself. The error should name parameters that the Opener knows, and quote no other piece of u.
type Opener func(ctx context.Context, u *url.URL) (Broker, error)

// Openers says which adapter opens which URL scheme. The map is explicit, so that the compiler knows which adapters a program has:
//
//	brokers := leat.Openers{"mem": memory.Open, "kafka": kafka.Open}
//	broker, err := brokers.Open(ctx, os.Getenv("BROKER_URL"))
//
// Schemes are written in lower case; a URL may spell them as it likes.
type Openers map[string]Opener

// Open connects to the broker that rawURL names, by the Opener of its scheme. Space around the URL is ignored. Its form is
//
//	scheme://user:password@host1:port,host2:port/path?parameter=value
//
// Only the scheme is always required. An IPv6 address stands in brackets, its zone behind "%25". An '@' behind the hosts is
// percent-encoded (%40), and there is no fragment.
//
// The error is an [*Error], with [CodeInvalid] when the URL cannot be used. It quotes nothing of the URL. Where the text of an adapter of
// somebody else, or a cause of its error, has the URL's password or another secret of it, Open drops the text and the causes, and keeps
// the code.
func (o Openers) Open(ctx context.Context, rawURL string) (Broker, error) {
	rawURL = strings.TrimSpace(rawURL)
	u, err := parseBrokerURL(rawURL)
	if err != nil {
		return nil, o.unusable(err)
	}
	open := o[u.Scheme]
	if open == nil {
		return nil, o.unusable(secrets.Text("no adapter for the scheme of the broker URL"))
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

// unusable returns the error for a URL that no adapter gets to see.
func (o Openers) unusable(err error) error {
	return &Error{Op: "open", Code: CodeInvalid, Err: secrets.Text(err.Error() + "; " + o.known())}
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

// errWithheld takes the place of a text with a secret. Nothing of such a text is kept: with a piece masked, what is left would tell a
// short secret, or one that is a word of the text.
const errWithheld = secrets.Text("the adapter's error is not shown, because it has a piece of the broker URL in it that may be secret")

// safeError returns err as an *Error without secrets. The texts of Leat's own adapters are made of parts that are not secret, and are not
// searched: a password may be a word of theirs.
func safeError(secret secrets.Set, err error) error {
	if isPlain(err) {
		return err
	}
	if budget := maxCauses; reveals(secret, err, &budget) {
		return &Error{Op: "open", Code: CodeOf(err), Err: errWithheld}
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	return &Error{Op: "open", Code: CodeOf(err), Err: err}
}

// isPlain reports whether err is one that Leat's own adapters make for a URL.
func isPlain(err error) bool {
	e, ok := err.(*Error) //nolint:errorlint // this form and no other
	if !ok || e.Op != "open" || e.Topic != "" || e.EventID != "" {
		return false
	}
	_, ok = e.Err.(secrets.Text) //nolint:errorlint // likewise
	return ok
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
