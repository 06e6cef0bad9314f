package options_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat/adapterkit/options"
)

func reader(t *testing.T, query string) *options.Reader {
	t.Helper()
	u, err := url.Parse("mem://h?" + query)
	require.NoError(t, err)
	return options.NewReader(u)
}

// settings is what an adapter would read.
type settings struct {
	name, mode string
	n          int
	d          time.Duration
	on         bool
}

func (s *settings) table() options.Table {
	return options.Table{
		options.Text("Name", &s.name, ""), options.OneOf("Mode", &s.mode, "", "a", "b"), options.Int("N", &s.n, 0, 1, 10),
		options.Duration("D", &s.d, 0, 0, time.Hour), options.Bool("On", &s.on),
	}
}

func read(r *options.Reader) settings {
	r.Renamed("title", "name")
	s := settings{"x", "a", 7, time.Second, true}
	s.table().Read(r)
	return s
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
		{"n=0", fallback, `parameter n is wrong; write a number from 1 to 10`},
		{"n=11", fallback, `parameter n is wrong; write a number from 1 to 10`},
		{"n=99999999999999999999", fallback, `parameter n is wrong; write a number from 1 to 10`},
		{"n=", fallback, `parameter n is wrong; write a number from 1 to 10`},
		{"d=30", fallback, `parameter d is wrong; write a duration with its unit, such as 500ms or 10s, from 0s to 1h0m0s`},
		{"d=-1s", fallback, `parameter d is wrong; write a duration with its unit, such as 500ms or 10s, from 0s to 1h0m0s`},
		{"on=yes", fallback, `parameter on is wrong; write true or false`},
		{"mode=c", fallback, `parameter mode is wrong; write one of a, b`},
		{"n=1&n=2", settings{"x", "a", 1, time.Second, true}, `parameter n is given 2 times`},
		{"z=1&Name=2", fallback, `parameter number 1 is unknown; parameter number 2 is unknown (did you mean name?); ` +
			`there are d, mode, n, name, on`},
		{"nome=1&n=1&nonames=1&mo_des=1", settings{"x", "a", 1, time.Second, true}, `parameter number 1 is unknown (did you mean name?); ` +
			`parameter number 3 is unknown; parameter number 4 is unknown (did you mean mode?); there are d, mode, n, name, on`},
		{"q&w&e&r&t&y&z", fallback, `parameter number 1 is unknown; parameter number 2 is unknown; parameter number 3 is unknown; ` +
			`parameter number 4 is unknown; parameter number 5 is unknown; so are 2 more; there are d, mode, n, name, on`},
		{"on=true&title=1", fallback, `parameter title is now called name; there are d, mode, n, name, on`},
		{"mode=c&z=1&n=x", fallback, `parameter mode is wrong; write one of a, b; parameter n is wrong; write a number from 1 to 10; ` +
			`parameter number 2 is unknown; there are d, mode, n, name, on`},
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
	assert.NoError(t, options.NewReader(&url.URL{}).Err())
	assert.EqualError(t, reader(t, "a=1").Err(), `parameter number 1 is unknown; there are none`)
}

// TestReaderShowsNothingOfTheURL has a canary in every position of a query. A name is no better
// than a value: with user:pass?word=x@host, all of them are pieces of the password.
func TestReaderShowsNothingOfTheURL(t *testing.T) {
	for _, query := range []string{
		"s3cret", "s3cret=1", "n=s3cret", "d=s3cret", "on=s3cret", "mode=s3cret", "n=1&n=s3cret", "name=s3cret&name=x", "s3cret=1&s3cret=2",
		"n=%s3cret", "s3cret;n=1", "n=1;s3cret", "mode=a%0as3cret",
	} {
		p := reader(t, query)
		read(p)
		require.Error(t, p.Err(), query)
		assert.NotContains(t, p.Err().Error(), "s3cret", query)
	}
}
