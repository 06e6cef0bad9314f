package leat_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
)

// opened is a broker that remembers its URL.
type opened struct {
	leat.Broker

	u *url.URL
}

func openOK(_ context.Context, u *url.URL) (leat.Broker, error) { return &opened{u: u}, nil }

func openFailing(err error) leat.Opener {
	return func(context.Context, *url.URL) (leat.Broker, error) { return nil, err }
}

func TestOpenersOpen(t *testing.T) {
	for raw, host := range map[string]string{
		"mem:": "", "mem://": "", "MEM://h": "h", "mem://a:1,b:2/x?y=z": "a:1,b:2", "mem://u:p%2Fw@h:1/v%2Fhost": "h:1",
		"mem://h/topic%40x": "h", "mem://h:1/?account=a@b": "h:1",
	} {
		broker, err := leat.Openers{"mem": openOK}.Open(t.Context(), raw)
		require.NoError(t, err, "%q", raw)
		assert.Equal(t, host, broker.(*opened).u.Host, "%q", raw)
	}
}

func TestOpenersIgnoreSpaceAroundTheURL(t *testing.T) {
	_, err := leat.Openers{"mem": openOK}.Open(t.Context(), " mem://h\n")
	assert.NoError(t, err, "a URL that comes from a file ends with a newline")
}

func TestOpenersGiveTheContext(t *testing.T) {
	type key struct{}
	var got any
	open := func(ctx context.Context, u *url.URL) (leat.Broker, error) {
		got = ctx.Value(key{})
		return openOK(ctx, u)
	}
	_, err := leat.Openers{"mem": open}.Open(context.WithValue(t.Context(), key{}, "value"), "mem://")
	require.NoError(t, err)
	assert.Equal(t, "value", got)
}

func TestOpenersRefuse(t *testing.T) {
	openers := leat.Openers{"mem": openOK, "kafka": openOK, "amqp": openOK, "none": nil}
	const (
		use   = "; use one of amqp://, kafka://, mem://"
		parse = "the broker URL cannot be parsed; write scheme://user:password@host:port, and percent-encode what is neither " +
			"a letter nor a digit in user and password" + use
		scheme  = "the broker URL has no scheme followed by ://" + use
		delimit = "the broker URL has '#', '/' or '?' in its user or password, or '@' behind them; " +
			"percent-encode these: %23, %2F, %3F, %40" + use
	)
	for _, c := range []struct{ name, raw, want string }{
		{"empty", "", "the broker URL is empty; set it, as in kafka://host:9092" + use},
		{"space", " \n", "the broker URL is empty; set it, as in kafka://host:9092" + use},
		{"an unknown scheme", "kafak://s3cret@h", `no adapter for the scheme "kafak"` + use},
		{"a nil opener", "none://h", `no adapter for the scheme "none"` + use},
		{"no scheme", "s3cret", scheme},
		{"no scheme, with a port", "user:s3cret@h", scheme},
		{"an address", "127.0.0.1:9092", parse},
		{"a bad escape", "amqp://user:s3cret%zz@h", parse},
		{"a control character", "amqp://user:s3cret\x00@h", parse},
		{"a bad port", "amqp://h:s3cret", parse},
		{"a slash in the password", "amqp://user:s3cret/x@h", parse},
		{"a slash in a password of digits", "amqp://user:12/s3cret@h", delimit},
		{"a question mark in a password of digits", "amqp://user:12?s3cret@h", delimit},
		{"a number sign in a password of digits", "amqp://user:12#s3cret@h", delimit},
		{"a question mark in the user", "amqp://?:s3cret@h", delimit},
		{"a slash in the user", "amqp://u/ser:s3cret@h", delimit},
		{"a second at sign in the path", "amqp://user:12@3/s3cret@h", delimit},
		{"a fragment", "amqp://h#s3cret", delimit},
	} {
		t.Run(c.name, func(t *testing.T) {
			broker, err := openers.Open(t.Context(), c.raw)
			assert.Nil(t, broker)
			require.EqualError(t, err, "leat: open: invalid: "+c.want)
			assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
			assert.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), "s3cret")
		})
	}
	_, err := leat.Openers(nil).Open(t.Context(), "kafka://h")
	assert.EqualError(t, err, `leat: open: invalid: no adapter for the scheme "kafka"; no adapter is registered`)
}

func TestOpenersPassErrorsOn(t *testing.T) {
	refused := errors.New("connection refused")
	coded := &leat.Error{Op: "open", Code: leat.CodeUnavailable, Err: refused}
	wrapped := fmt.Errorf("kafka: %w", coded)
	for _, err := range []error{coded, wrapped, errors.Join(refused, coded)} {
		_, got := leat.Openers{"mem": openFailing(err)}.Open(t.Context(), "mem://user:s3cret@h")
		assert.Equal(t, err, got, "an error with a code and without a secret stays as it is")
	}

	_, err := leat.Openers{"mem": openFailing(refused)}.Open(t.Context(), "mem://")
	assert.EqualError(t, err, "leat: open: internal: connection refused")
	require.ErrorIs(t, err, refused)

	_, err = leat.Openers{"mem": openFailing(context.Canceled)}.Open(t.Context(), "mem://")
	assert.Equal(t, leat.CodeCanceled, leat.CodeOf(err))
	require.ErrorIs(t, err, context.Canceled)

	_, err = leat.Openers{"mem": openFailing(nil)}.Open(t.Context(), "mem://")
	assert.EqualError(t, err, "leat: open: internal: the adapter returned neither a broker nor an error")
}

// hiding has a secret that only unwrapping reveals.
type hiding struct{ cause error }

func (hiding) Error() string   { return "cannot log in" }
func (h hiding) Unwrap() error { return h.cause }

func TestOpenersMaskSecrets(t *testing.T) {
	const raw = "mem://user:s3cret%2F@h?token=t0ken"
	dial := errors.New("dial mem://user:s3cret/@h")
	deep := dial
	for range 1_000 {
		deep = hiding{deep}
	}
	for _, c := range []struct {
		name string
		err  error
		want string
		code leat.Code
	}{
		{"plain", dial, "leat: open: internal: dial mem://user:***@h", leat.CodeInternal},
		{"as in the URL", errors.New("dial mem://user:s3cret%2F@h"), "leat: open: internal: dial mem://user:***@h", leat.CodeInternal},
		{"a parameter", errors.New("bad t0ken"), "leat: open: internal: bad ***", leat.CodeInternal},
		{"with a code", &leat.Error{Op: "connect", Topic: "orders", Code: leat.CodeUnauthenticated, Err: dial},
			`leat: connect topic "orders": unauthenticated: dial mem://user:***@h`, leat.CodeUnauthenticated},
		{"within a wrapping", fmt.Errorf("kafka: %w", &leat.Error{Op: "open", Code: leat.CodeUnavailable, Err: dial}),
			"leat: open: unavailable: kafka: leat: open: unavailable: dial mem://user:***@h", leat.CodeUnavailable},
		{"in a hidden cause", hiding{dial}, "leat: open: internal: cannot log in", leat.CodeInternal},
		{"in a joined cause", hiding{errors.Join(context.Canceled, dial)}, "leat: open: canceled: cannot log in", leat.CodeCanceled},
		{"in a cause of a code", &leat.Error{Op: "open", Code: leat.CodeUnavailable, Err: hiding{dial}},
			"leat: open: unavailable: cannot log in", leat.CodeUnavailable},
		{"in the topic", &leat.Error{Op: "open", Topic: "s3cret/", Code: leat.CodeNotFound},
			`leat: open: not found: leat: open topic "***": not found`, leat.CodeNotFound},
		{"in a cause too deep to look at", deep, "leat: open: internal: cannot log in", leat.CodeInternal},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := leat.Openers{"mem": openFailing(c.err)}.Open(t.Context(), raw)
			assert.EqualError(t, err, c.want)
			assert.Equal(t, c.code, leat.CodeOf(err))
			for cause := err; cause != nil; cause = errors.Unwrap(cause) {
				text := fmt.Sprintf("%v %+v %#v", cause, cause, cause)
				assert.NotContains(t, text, "s3cret")
				assert.NotContains(t, text, "t0ken")
			}
		})
	}
}

// FuzzOpenersNeverReveal holds every error of Open against the password that the URL has, with an adapter that does its worst.
func FuzzOpenersNeverReveal(f *testing.F) {
	f.Add("mem", "user", "s3cret", "h:1/path?x=y")
	f.Add("mem", "", "a/b@c%2F", "")
	f.Add("mem", "user", "12#34/5@6", "h")
	f.Add("mem", "?", "! !!! ", "\x9b\xae")
	f.Add("kafka", "s3cret", "s3cret", "\x00")
	f.Add("mem", "é", `q"\uote é`, "[::1]:12")
	f.Fuzz(func(t *testing.T, scheme, user, password, rest string) {
		leak := func(_ context.Context, u *url.URL) (leat.Broker, error) {
			plain, _ := u.User.Password()
			return nil, &leat.Error{Op: "open", Code: leat.CodeUnavailable, Err: errors.Join(
				fmt.Errorf("dial %s: %w", u, errors.New(plain)),
				fmt.Errorf("dial %q %q %+q %s", u, plain, plain, url.QueryEscape(plain)))}
		}
		forms := []string{url.UserPassword(user, password).String()}
		if !strings.Contains(user+password, "?") { // "us?er=x:y@z" is a URL in order, without a password
			forms = append(forms, user+":"+password)
		}
		for _, userinfo := range forms {
			_, err := leat.Openers{"mem": leak}.Open(t.Context(), scheme+"://"+userinfo+"@"+rest)
			if err == nil {
				t.Fatal("there is no broker to return")
			}
			// What is not only a password cannot tell whether it was revealed: part of a word of Leat, of the scheme or the address.
			ownWords := "leat: open: unavailable: canceled: internal: *** dial mem:// %!s(nil) the broker URL has no scheme followed by ://; " +
				"is empty; set it, as in kafka://host:9092 cannot be parsed; write scheme://user:password@host:port, and percent-encode what is " +
				"neither a letter nor a digit in user and password '#', '/' or '?' in its user or password, or '@' behind them; percent-encode these: %23, %2F, %3F, %40 " +
				"no adapter for the scheme; use one of " + strings.ToLower(scheme) + fmt.Sprintf("%q %s", scheme, url.PathEscape(user)) + user + rest
			if len(password) < 3 || strings.Contains(ownWords, password) {
				return
			}
			for cause := err; cause != nil; cause = errors.Unwrap(cause) {
				if text := cause.Error(); strings.Contains(text, password) {
					t.Fatalf("the password %q is in %q", password, text)
				}
			}
		}
	})
}
