package params_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat/internal/params"
)

func reader(t *testing.T, query string) *params.Reader {
	t.Helper()
	u, err := url.Parse("mem://h?" + query)
	require.NoError(t, err)
	return params.FromURL(u)
}

// settings is what an adapter would read.
type settings struct {
	name, mode string
	n          int
	d          time.Duration
	on         bool
}

func read(p *params.Reader) settings {
	return settings{
		name: p.String("name", "x"), mode: p.Enum("mode", "a", "a", "b"), n: p.Int("n", 7, 1, 10),
		d: p.Duration("d", time.Second, 0, time.Hour), on: p.Bool("on", true),
	}
}

func TestReader(t *testing.T) {
	fallback := settings{"x", "a", 7, time.Second, true}
	for _, c := range []struct {
		query string
		want  settings
		err   string
	}{
		{"", fallback, ""},
		{"name=a%20b&mode=b&n=10&d=500ms&on=false", settings{"a b", "b", 10, 500 * time.Millisecond, false}, ""},
		{"name=&on", settings{"", "a", 7, time.Second, true}, ""},
		{"n=0", fallback, `parameter n is "0"; write a number from 1 to 10`},
		{"n=11", fallback, `parameter n is "11"; write a number from 1 to 10`},
		{"n=99999999999999999999", fallback, `parameter n is "99999999999999999999"; write a number from 1 to 10`},
		{"n=", fallback, `parameter n is ""; write a number from 1 to 10`},
		{"d=30", fallback, `parameter d is "30"; write a duration with its unit, such as 500ms or 10s, from 0s to 1h0m0s`},
		{"d=-1s", fallback, `parameter d is "-1s"; write a duration with its unit, such as 500ms or 10s, from 0s to 1h0m0s`},
		{"on=yes", fallback, `parameter on is "yes"; write true or false`},
		{"mode=c", fallback, `parameter mode is "c"; write one of a, b`},
		{"n=1&n=2", settings{"x", "a", 1, time.Second, true}, `parameter n is given 2 times`},
		{"z=1&Name=2", fallback, `no such parameter: "Name", "z"; there are d, mode, n, name, on`},
		{"mode=c&z=1&n=x", fallback, `parameter mode is "c"; write one of a, b; parameter n is "x"; write a number from 1 to 10; ` +
			`no such parameter: "z"; there are d, mode, n, name, on`},
		{"name=s3cret%zz", fallback, `the URL's parameters cannot be parsed; separate them by '&' and percent-encode their values`},
		{"a;b", fallback, `the URL's parameters cannot be parsed; separate them by '&' and percent-encode their values`},
	} {
		t.Run(c.query, func(t *testing.T) {
			p := reader(t, c.query)
			assert.Equal(t, c.want, read(p))
			for range 2 { // Err changes nothing
				if c.err == "" {
					assert.NoError(t, p.Err())
				} else {
					assert.EqualError(t, p.Err(), c.err)
				}
			}
		})
	}
}

func TestReaderWithoutParameters(t *testing.T) {
	assert.NoError(t, params.New(nil).Err())
	assert.EqualError(t, reader(t, "a=1").Err(), `no such parameter: "a"; there are none`)
}

func TestReaderCutsAndEscapes(t *testing.T) {
	p := params.New(url.Values{"n": {strings.Repeat("x", 1000)}, "a\nb": {""}})
	p.Int("n", 0, 0, 1)
	text := p.Err().Error()
	assert.Less(t, len(text), 200)
	assert.NotContains(t, text, "\n")
}
