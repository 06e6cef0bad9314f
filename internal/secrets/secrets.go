// Package secrets keeps what a broker URL has in it out of texts. Errors of Leat's own are a
// [Text]. For those of others, a [Set] tells whether a secret is in them, so that the whole text
// can be dropped:
//
//	set := secrets.FromURL(rawURL, u)
//	if set.In(clientErr.Error()) {
package secrets

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Set is the secrets of a URL in every form in which they may be printed. The zero Set is empty.
type Set struct {
	forms []string
}

// minParameterBytes keeps a parameter that only sounds secret, such as "token_auth=on", from
// counting as one.
const minParameterBytes = 4

// FromURL returns the secrets of u: the password, or the user name where it stands alone, as a
// token does; and parameters whose name sounds like a secret, unless it names a file. raw is the
// text that u was parsed from, which may spell them in another way.
func FromURL(raw string, u *url.URL) Set {
	var s Set
	if u.User != nil {
		secret, ok := u.User.Password()
		name, rawSecret, _ := strings.Cut(rawUserinfo(raw), ":")
		if !ok {
			secret, rawSecret = u.User.Username(), name
		}
		s.add(secret)
		s.add(rawSecret)
	}
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, _ := url.QueryUnescape(rawName)
		if value, err := url.QueryUnescape(rawValue); err == nil && soundsSecret(name) && len(value) >= minParameterBytes {
			s.add(value)
			s.add(rawValue)
		}
	}
	return s
}

// In reports whether text contains a secret in any form.
func (s Set) In(text string) bool {
	return slices.ContainsFunc(s.forms, func(form string) bool { return strings.Contains(text, form) })
}

// add adds a secret in the forms that Go programs print.
func (s *Set) add(secret string) {
	quoted := strconv.Quote(secret)
	ascii := strconv.QuoteToASCII(secret)
	for _, form := range []string{
		secret,
		url.QueryEscape(secret),
		url.PathEscape(secret),
		strings.TrimPrefix(url.UserPassword("", secret).String(), ":"),
		quoted[1 : len(quoted)-1],
		ascii[1 : len(ascii)-1],
	} {
		if form != "" && !slices.Contains(s.forms, form) {
			s.forms = append(s.forms, form)
		}
	}
}

// rawUserinfo returns what stands before the last '@' of the authority, as [url.Parse] finds it.
func rawUserinfo(raw string) string {
	_, rest, found := strings.Cut(raw, "://")
	if !found {
		return ""
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	return rest[:max(strings.LastIndex(rest, "@"), 0)]
}

func soundsSecret(name string) bool {
	name = strings.ToLower(name)
	if strings.HasSuffix(name, "file") || strings.HasSuffix(name, "path") {
		return false
	}
	for _, word := range []string{"pass", "pwd", "secret", "token", "credential", "key"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}
