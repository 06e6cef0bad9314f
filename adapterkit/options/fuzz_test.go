package options_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat/adapterkit/options"
)

// FuzzReader reads any query: values are in their ranges, and what is wrong gives one line.
func FuzzReader(f *testing.F) {
	for _, s := range []string{
		"", "name=a&mode=b&n=10&d=1s&on=false", "n=11", "n=-0", "n=%2B5", "n=1e1", "n=0x5", "n=99999999999999999999", "n=1&n=2", "d=1", "d=-1s",
		"d=1e3s", "d=9999999h", "d=.s", "on", "on=", "on=TRUE", "mode=A", "N=1", "%ff=%ff", "a;b",
		"n=%zz", "name=%0a%1b[0m", "=", "&&&", "n=%D9%A1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		values, parseErr := url.ParseQuery(query)
		p := options.NewReader(&url.URL{RawQuery: query})
		got := read(p)
		err := p.Err()
		if got.n < 1 || got.n > 10 || got.d < 0 || got.d > time.Hour || got.mode != "a" && got.mode != "b" {
			t.Fatalf("out of range: %+v", got)
		}
		wrong := parseErr != nil
		for name, all := range values {
			wrong = wrong || len(all) > 1 || !slices.Contains([]string{"name", "mode", "n", "d", "on"}, name)
		}
		if wrong && err == nil {
			t.Fatal("a parameter is unknown or repeated, or the query is none, and there is no error")
		}
		if err != nil && strings.ContainsAny(err.Error(), "\n\r\x1b") {
			t.Fatalf("more than one line: %q", err)
		}
		if err == nil && values.Has("name") && got.name != values.Get("name") {
			t.Fatalf("name is %q", got.name)
		}
	})
}
