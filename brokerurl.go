package leat

import (
	"errors"
	"net/url"
	"strings"

	"github.com/leatgo/leat/internal/hostlist"
	"github.com/leatgo/leat/internal/secrets"
)

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

// parseBrokerURL parses scheme://user:password@host:port,host:port/path?parameters. Only what follows the hosts is left to [url.Parse],
// whose opinion of lists of hosts changes with the Go release: 1.26.0 dropped all but the last of several IPv6 addresses.
//
// No '@' may follow the hosts. So the last one is the end of user and password wherever they stand, and neither a host, a path nor a
// parameter can be a piece of a password whose '/' or '?' was not percent-encoded.
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

// isForeignToUserinfo reports whether r has to be percent-encoded in user and password (RFC 3986, section 3.2.1). The '@' should be too,
// and is clear where it is not.
func isForeignToUserinfo(r rune) bool {
	return !isLetter(r) && !isDigit(r) && !strings.ContainsRune("-._~!$&'()*+,;=:%@", r)
}

func isLetter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }

func isDigit(r rune) bool { return r >= '0' && r <= '9' }
