package secrets

import (
	"errors"
	"strings"
)

// Text is an error whose text was put together from Leat's own words, names of parameters and
// options that Leat has, numbers of Leat's own, and texts of the operating system: nothing of it
// comes from a URL, so it can be shown whatever the URL's secrets are.
type Text string //nolint:errname // a Text is first of all a text

// Error implements error.
func (t Text) Error() string { return string(t) }

// Join returns one error of one line for those that are not nil: a Text where all are, and
// otherwise one that wraps them.
func Join(errs ...error) error {
	var texts []string
	plain := true
	for _, err := range errs {
		if err != nil {
			_, isText := err.(Text) //nolint:errorlint // what wraps a Text may say more
			plain = plain && isText
			texts = append(texts, err.Error())
		}
	}
	switch {
	case texts == nil:
		return nil
	case plain:
		return Text(strings.Join(texts, "; "))
	}
	return errors.Join(errs...)
}
