// Package secrets finds and masks what a broker URL keeps secret, in texts that others wrote:
//
//	set := secrets.FromURL(rawURL, u)
//	err = errors.New(set.Mask(clientErr.Error())) // "dial amqp://shop:***@broker: refused"
package secrets

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Set is the secrets of a URL in every form in which they may be printed. The zero Set is empty.
type Set struct {
	forms []string // the longest first, so that no part of a longer one is left over
}

// hidden is what takes a secret's place.
const hidden = "***"

// minParameterBytes keeps a parameter that only sounds secret, such as "token_auth=on", from masking half of a text.
const minParameterBytes = 4

// FromURL returns the secrets of u: the password, or the user name where it stands alone, as a token does; and parameters whose name
// sounds like a secret, unless it names a file. raw is the text that u was parsed from, which may spell them in another way.
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
	} else {
		s.add(misplaced(raw))
	}
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		name, rawValue, _ := strings.Cut(pair, "=")
		if value, err := url.QueryUnescape(rawValue); err == nil && soundsSecret(name) && len(value) >= minParameterBytes {
			s.add(value)
			s.add(rawValue)
		}
	}
	slices.SortFunc(s.forms, func(a, b string) int { return len(b) - len(a) })
	return s
}

// In reports whether text contains a secret in any form.
func (s Set) In(text string) bool {
	return slices.ContainsFunc(s.forms, func(form string) bool { return strings.Contains(text, form) })
}

// Mask returns text with "***" for each secret. Where that is not enough, because a secret is part of what is left, nothing of the
// text is kept.
func (s Set) Mask(text string) string {
	if !s.In(text) {
		return text
	}
	for _, form := range s.forms {
		text = strings.ReplaceAll(text, form, hidden)
	}
	if s.In(text) {
		return hidden
	}
	return text
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

// misplaced returns what would be the password if the URL's first delimiter had been percent-encoded, as in user:12?x=34@host. In a URL
// that is in order, such as sns://host:1/?account=a@b, it is a text that no message has.
func misplaced(raw string) string {
	_, rest, _ := strings.Cut(raw, "://")
	_, rest, _ = strings.Cut(rest, ":")
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
