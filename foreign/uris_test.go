package foreign_test

import (
	"testing"

	"github.com/leatgo/leat/foreign"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestSources has what becomes of a source that is no URI-reference, and what stays.
func TestSources(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"/a b":                    "/a%20b",
		"/größe":                  "/gr%C3%B6%C3%9Fe",
		"/\xff":                   "/%FF",
		"/100%":                   "/100%25",
		"/a%2fb c":                "/a%2fb%20c",
		"1abc:def":                "1abc%3Adef",
		"my_app://x y":            "my_app%3A//x%20y",
		"http://[::1]:80/[x]":     "http://[::1]:80/%5Bx%5D",
		"a#b#c":                   "a#b%23c",
		`C:\temp\x`:               "C:%5Ctemp%5Cx",
		"/a\nb":                   "/a%0Ab",
		"urn:a:b":                 "urn:a:b",
		"//user@host:1/p?q=[1]#f": "//user@host:1/p?q=%5B1%5D#f",
		"order-service":           "order-service",
	} {
		m := spellings()["Kafka"].inHeaders("subject", "")
		m.Headers[2].Value = []byte(source)
		e, err := foreign.Lenient(nil)(m)
		require.NoError(t, err, source)
		assert.Equal(t, want, e.Source())
		if want != source {
			assert.Contains(t, leatRepaired(e), "source: percent-encoded (was ")
		} else {
			assert.Equal(t, "subject: empty, removed", leatRepaired(e))
		}
	}
}
