package leat

import (
	"context"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/leatgo/leat/internal/hostlist"
	"github.com/leatgo/leat/internal/nils"
	"github.com/leatgo/leat/internal/secrets"
)

// Opener connects to the broker that u names. Each adapter has one, which documents the parameters
// that it takes; one that it does not know is an error with [CodeInvalid], so that a typing slip
// does not pass for a setting. ctx bounds the opening only.
//
// u.Host is the list of hosts as the URL has it, such as "host1:9092,host2:9092,[::1]:9092", which
// [Openers] has checked. An Opener splits it at the commas itself. The error should name parameters
// that the Opener knows, and quote no other piece of u.
type Opener func(ctx context.Context, u *url.URL) (Broker, error)

// Openers says which adapter opens which URL scheme. The map is explicit, so that the compiler
// knows which adapters a program has:
//
//	brokers := leat.Openers{"mem": memory.Open, "kafka": kafka.Open}
//	broker, err := brokers.Open(ctx, os.Getenv("BROKER_URL"))
//
// Schemes are written in lower case; a URL may spell them as it likes.
type Openers map[string]Opener

// Open connects to the broker that rawURL names, by the Opener of its scheme. Space around the URL
// is ignored. Its form is
//
//	scheme://user:password@host1:port,host2:port/path?parameter=value
//
// Only the scheme is always required. An IPv6 address stands in brackets, its zone behind "%25". An
// '@' behind the hosts is percent-encoded (%40), and there is no fragment.
//
// The error is an [*Error], with [CodeInvalid] when the URL cannot be used. It quotes nothing of
// the URL. Where the text of an adapter of somebody else, or a cause of its error, has the URL's
// password or another secret of it, Open drops the text and the causes, and keeps the code.
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

// errWithheld takes the place of a text with a secret. Nothing of such a text is kept: with a piece
// masked, what is left would tell a short secret, or one that is a word of the text.
const errWithheld = secrets.Text("the adapter's error is not shown, because it has a piece of the broker URL in it that may be secret")

// safeError returns err as an *Error without secrets. The texts of Leat's own adapters are made of
// parts that are not secret, and are not searched: a password may be a word of theirs.
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

// maxCauses is how many errors of a tree are looked at; in a larger one, a secret is taken for
// granted.
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

// What may be wrong with a broker URL. None quotes it: any piece may be one of a password.
const (
	errURLEmpty     = secrets.Text("the broker URL is empty; set it, as in kafka://host:9092")
	errURLScheme    = secrets.Text("the broker URL has no scheme followed by ://")
	errURLDelimiter = secrets.Text("the broker URL has '#', or '@' behind '/' or '?'; percent-encode what belongs to user, password or " +
		"a parameter: # as %23, / as %2F, ? as %3F, @ as %40")
	errURLUserinfo = secrets.Text("the broker URL's user and password have a character that cannot stand there; percent-encode what is " +
		"neither a letter nor a digit")
	errURLPath = secrets.Text("what follows the hosts in the broker URL cannot be parsed; percent-encode what is neither a letter nor a digit")
)

// parseBrokerURL parses scheme://user:password@host:port,host:port/path?parameters. Only what
// follows the hosts is left to [url.Parse], whose opinion of lists of hosts changes with the Go
// release: 1.26.0 dropped all but the last of several IPv6 addresses.
//
// No '@' may follow the hosts. So the last one is the end of user and password wherever they stand,
// and neither a host, a path nor a parameter can be a piece of a password whose '/' or '?' was not
// percent-encoded.
func parseBrokerURL(raw string) (*url.URL, error) {
	if raw == "" {
		return nil, errURLEmpty
	}
	scheme, rest, found := strings.Cut(raw, ":")
	rest, hasHosts := strings.CutPrefix(rest, "//")
	if !found || !isScheme(scheme) || !hasHosts && rest != "" && rest[0] != '?' {
		return nil, errURLScheme // what is before the colon may be a user, and what follows a password
	}
	authority, tail := rest, ""
	if end := strings.IndexAny(rest, "/?"); end >= 0 {
		authority, tail = rest[:end], rest[end:]
	}
	if strings.Contains(raw, "#") || strings.Contains(tail, "@") {
		return nil, errURLDelimiter
	}
	u, err := url.Parse("leat://" + tail)
	if err != nil { // which quotes
		return nil, errURLPath
	}
	u.Scheme = strings.ToLower(scheme)
	at := strings.LastIndex(authority, "@")
	if at >= 0 {
		if u.User, err = parseUserinfo(authority[:at]); err != nil {
			return nil, err
		}
	}
	if u.Host, err = hostlist.Unescape(authority[at+1:]); err != nil {
		return nil, secrets.Text("the broker URL cannot be used: " + err.Error() + "; user and password end with @")
	}
	return u, nil
}

// parseUserinfo parses user:password, or a user alone.
func parseUserinfo(text string) (*url.Userinfo, error) {
	name, password, hasPassword := strings.Cut(text, ":")
	plainName, nameErr := url.PathUnescape(name)
	plain, err := url.PathUnescape(password)
	if errors.Join(nameErr, err) != nil || strings.ContainsFunc(text, isForeignToUserinfo) {
		return nil, errURLUserinfo
	}
	if !hasPassword {
		return url.User(plainName), nil
	}
	return url.UserPassword(plainName, plain), nil
}

// isScheme reports whether text is a scheme (RFC 3986, section 3.1).
func isScheme(text string) bool {
	return text != "" && isLetter(rune(text[0])) && !strings.ContainsFunc(text, func(r rune) bool {
		return !isLetter(r) && !isDigit(r) && !strings.ContainsRune("+-.", r)
	})
}

// isForeignToUserinfo reports whether r has to be percent-encoded in user and password (RFC 3986,
// section 3.2.1). The '@' should be too, and is clear where it is not.
func isForeignToUserinfo(r rune) bool {
	return !isLetter(r) && !isDigit(r) && !strings.ContainsRune("-._~!$&'()*+,;=:%@", r)
}

func isLetter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }

func isDigit(r rune) bool { return r >= '0' && r <= '9' }
