package attribute_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"

	"github.com/leatgo/leat/internal/attribute"
)

func TestURIReferences(t *testing.T) {
	for _, s := range []string{
		"/", "a", "?q", "#f", "//host", "a/b:c", "./a:b", "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
		"mailto:a@b", "http://u:p@h:80/p?q/?#f/?", "http://[2001:db8::1]:80/", "http://[::1]", "HTTP://EX#",
		"%41%7e", "x+y-z.1:", "http://h:", "//h%20x/", "a;b=c,d", "http:///x", "tag:a,2026:b",
	} {
		assert.Empty(t, attribute.URIRefRule(s), s)
	}
	for _, s := range []string{
		" ", "a b", "ä", "a\\b", "{x}", "<x>", "a|b", "^", "`", "\"", "%", "%4", "%4g", "%g4", ":a", "1:a", "a_b:c",
		"#a#b", "http://h:8x/", "http://[::1", "http://[::1]x", "http://a@b@c/", "http://[::g%]/", "a[b]", "//a]/",
		"//u[@h/", "\x7f",
	} {
		assert.NotEmpty(t, attribute.URIRefRule(s), s)
	}
}

func TestURIs(t *testing.T) {
	for s, rule := range map[string]string{
		"urn:a": "", "http://a/b?c": "", "/a": "no scheme", "": "no scheme", "a:b#c": "fragment",
		"http://a/{b}": "percent-encoded",
	} {
		got := attribute.URIRule(s)
		assert.Contains(t, got, rule, s)
		assert.Equal(t, rule == "", got == "", s)
	}
}

func TestMediaTypes(t *testing.T) {
	for _, s := range []string{
		"a/b", "application/vnd.x+json", "text/plain;charset=utf-8", "text/plain ; charset=\"a \\\" b\" ;x=y", "a/b;",
		"a/b; ;c=d", "A/B",
	} {
		assert.Empty(t, attribute.MediaTypeRule(s), s)
	}
	for _, s := range []string{
		"", "a", "a/", "/b", "a/b c", "a/b;c", "a/b;c=", "a/b;c=\"d", "a/b;=d", "a/b,c/d", " a/b", "a/b/c", "ä/b",
	} {
		assert.NotEmpty(t, attribute.MediaTypeRule(s), s)
	}
}

func TestContentOf(t *testing.T) {
	for s, want := range map[string]attribute.Content{
		"": attribute.JSON, "application/json": attribute.JSON, "application/x+JSON; a=b": attribute.JSON,
		"text/json": attribute.JSON, "text/plain": attribute.Text, "application/xml": attribute.Text,
		"image/svg+xml": attribute.Text, "application/x; charset=UTF-8": attribute.Text,
		"application/yaml": attribute.Text, "application/octet-stream": attribute.Binary,
		"application/jsonp": attribute.Binary, "json/x": attribute.Binary,
	} {
		assert.Equal(t, want, attribute.ContentOf(s), s)
	}
}

func TestText(t *testing.T) {
	for s, rule := range map[string]string{
		"": "", "a€😀 \"\\": "", "a\x00": "control", "\x7f": "control", "12345678\n": "control", "\u0085": "control",
		"\ufdd0": "noncharacter", "\U0010ffff": "noncharacter", "\xff": "UTF-8", "\xed\xa0\x80": "UTF-8",
		"\u00a0\ufffd": "",
	} {
		got := attribute.TextRule(s)
		assert.Contains(t, got, rule, "%q", s)
		assert.Equal(t, rule == "", got == "", "%q", s)
	}
}

func TestAppendTime(t *testing.T) {
	lmt := time.Date(1890, 1, 1, 0, 0, 0, 0, time.FixedZone("LMT", 53*60+28))
	b, ok := attribute.AppendTime(nil, lmt)
	assert.True(t, ok)
	assert.Equal(t, "1889-12-31T23:06:32Z", string(b), "RFC 3339 cannot write a zone with seconds")
	_, ok = attribute.AppendTime(nil, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC))
	assert.False(t, ok)
}

// FuzzParseTime compares ParseTime with time.Parse, which does not take a leap second, nor letters
// in lower case, and takes a comma before the fraction of a second, zones of 24 hours and of 60
// minutes.
func FuzzParseTime(f *testing.F) {
	for _, s := range []string{
		"2026-02-28T23:59:01Z", "2026-02-28t23:59:01.1234567899z", "2026-02-28T23:59:60Z", "2024-02-29T00:00:00-00:00",
		"2026-01-02T03:04:05+01:30", "2026-01-02T03:04:05.5-07:00",
		"0000-01-01T00:00:00Z", "2026-02-29T00:00:00Z", "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00,5Z", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := attribute.ParseTime(s)
		if attribute.ValidTime(s) != ok {
			t.Fatalf("%q: %t", s, !ok)
		}
		upper := strings.ToUpper(s)
		if len(upper) > 19 && upper[17:19] == "60" && upper[16] == ':' {
			return
		}
		want, err := time.Parse(time.RFC3339Nano, upper)
		fits := err == nil && !strings.Contains(s, ",") && !strings.HasSuffix(s, ":60") && !strings.Contains(s[max(len(s)-6, 0):], "24:")
		if ok && zoneOf(got) != zoneOf(want) {
			t.Fatalf("%q: zone %d", s, zoneOf(got))
		}
		if ok != fits || ok && !got.Equal(want) {
			t.Fatalf("%q: got %v, %t; time.Parse says %v, %v", s, got, ok, want, err)
		}
	})
}

func zoneOf(t time.Time) int {
	_, offset := t.Zone()
	return offset
}

// FuzzText checks that what TextRule takes is text without control characters, whatever stands at
// which byte.
func FuzzText(f *testing.F) {
	f.Add("12345678\n")
	f.Add("1234567é\ufffe")
	f.Fuzz(func(t *testing.T, s string) {
		bad := !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool {
			return r < 0x20 || r >= 0x7f && r < 0xa0 || attribute.IsNoncharacter(r)
		})
		if rule := attribute.TextRule(s); bad != (rule != "") {
			t.Fatalf("%q: %q", s, rule)
		}
	})
}
