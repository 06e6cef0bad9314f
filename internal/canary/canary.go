// Package canary holds adapters to it that no piece of a broker URL is ever in an error. A canary
// stands in for a piece that is secret:
//
//	for _, raw := range canary.URLs("amqp", "heartbeat", "password_file") {
//		canary.Check(t, openers, raw)
//	}
package canary

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/leatgo/leat"
)

// Word is the canary. No text of Leat has it.
const Word = "zq7xjw"

// others take the canary's place: a text that does not depend on the URL's secrets is the same with
// all of them. They are words of Leat's texts, which a mask would find there.
var others = []string{"kj4vhd", "PLAIN", "open", "a", "number", "password"}

// shapes have the canary, %s, in every position. A password that is not percent-encoded makes a
// piece of it a host, a port, a path, a parameter's name or value, or a fragment.
var shapes = []string{
	"%s", "%s://h", "://%s", "//%s@h", "%s@h:1", "%s:%s@h:1", "SCHEME:%s", "SCHEME:%s@h",
	"SCHEME://%s", "SCHEME://%s:1,h:2", "SCHEME://h:%s", "SCHEME://h,%s!:1", "SCHEME://[%s]:1", "SCHEME://[::1]%s", "SCHEME://[::1%%25%s!]:1",
	"SCHEME://%s@h", "SCHEME://%s:p@h", "SCHEME://u:%s@h", "SCHEME://u:%s@", "SCHEME://:%s@h", "SCHEME://u:p%s@%s:x@h:1", "SCHEME://u:%s",
	"SCHEME://u:%%zz%s@h", "SCHEME://u:\"%s@h", "SCHEME://u:\x01%s@h", "SCHEME://u:%s@h:0", "SCHEME://u:%s@h:99999", "SCHEME://u:%s@h h",
	"SCHEME://u:a/%s@h", "SCHEME://u:1/%s@h:2", "SCHEME://u:a?%s@h", "SCHEME://u:1?%s@h", "SCHEME://u:1?%s=2@h", "SCHEME://u:1?2=%s@h",
	"SCHEME://u:1?PARAMETER=%s@h", "SCHEME://u:1#%s@h", "SCHEME://u:1@2/%s@h", "SCHEME://u:1@2?%s@h", "SCHEME://u:1?%s=2&PARAMETER=1@h",
	"SCHEME://u:1?%s=2", "SCHEME://u:1?2=%s", "SCHEME://u:p%%3F%s@h?x=1", "SCHEME://u:1%%40%s@h/a/b",
	"SCHEME://u:p@h/%s/%s", "SCHEME://u:p@h/%s%%2", "SCHEME://u:p@h#%s", "SCHEME://h?%s", "SCHEME://h?%s=1", "SCHEME://h?%s=1&%s=2",
	"SCHEME://h?%s=1&%s=2&password=%s", "SCHEME://h?token=%s", "SCHEME://h?PARAMETER=%s", "SCHEME://h?PARAMETER=1&PARAMETER=%s",
	"SCHEME://h?PARAMETER=%s&PARAMETER=%s", "SCHEME://h?PARAMETER=%%zz%s", "SCHEME://h?a;%s", "SCHEME://h?PARAMETER=a%%00%s",
	"SCHEME://u:%s@h?PARAMETER=%s", "SCHEME://u:%s@h?unknown=1", "SCHEME://u:%s@h?PARAMETER=/%s/%s", "SCHEME://u@h?PARAMETER=%s",
}

// URLs returns URLs with the canary in every position. parameters are names of what the adapter
// reads.
func URLs(scheme string, parameters ...string) []string {
	var urls []string
	for _, shape := range shapes {
		names := parameters
		if !strings.Contains(shape, "PARAMETER") {
			names = []string{""}
		}
		for _, name := range names {
			text := strings.NewReplacer("SCHEME", scheme, "PARAMETER", name, "%s", Word, "%%", "%").Replace(shape)
			if !slices.Contains(urls, text) {
				urls = append(urls, text)
			}
		}
	}
	return urls
}

// Check opens raw, and fails the test where the error has the canary in it, or is another one with
// another word in the canary's place.
func Check(t testing.TB, openers leat.Openers, raw string) {
	t.Helper()
	want := Search(t, openers, raw)
	for _, other := range others {
		changed := strings.ReplaceAll(raw, Word, other)
		if got := text(t, openers, changed); got != want && !known(changed, other) {
			t.Errorf("%q and %q differ in their errors, which tells a piece of them:\n%s\n%s", raw, changed, want, got)
		}
	}
}

// Search opens raw, fails the test where the error has the canary in it, and returns what it shows.
// It is for URLs of any form, in which another word may mean another thing.
func Search(t testing.TB, openers leat.Openers, raw string) string {
	t.Helper()
	shown := text(t, openers, raw)
	if strings.Contains(raw, Word) && strings.Contains(strings.ToLower(shown), Word) {
		t.Errorf("a piece of %q is in its error:\n%s", raw, shown)
	}
	return shown
}

// known reports whether the word is more than a piece of the URL there: a scheme, or a mechanism
// that Kafka has.
func known(raw, word string) bool { return strings.Contains(raw, "sasl="+word) }

// text returns all that the error of opening shows, in any way of printing it. It is empty where
// there is no error.
func text(t testing.TB, openers leat.Openers, raw string) string {
	t.Helper()
	broker, err := openers.Open(context.Background(), raw)
	if err == nil {
		_ = broker.Close()
		return ""
	}
	var all strings.Builder
	for queue := []error{err}; len(queue) > 0; queue = queue[1:] {
		err := queue[0]
		fmt.Fprintf(&all, "%v\n%+v\n", err, err)
		switch e := err.(type) { //nolint:errorlint // this walks the tree itself
		case interface{ Unwrap() []error }:
			queue = append(queue, e.Unwrap()...)
		default:
			if cause := errors.Unwrap(err); cause != nil {
				queue = append(queue, cause)
			}
		}
	}
	return all.String()
}
