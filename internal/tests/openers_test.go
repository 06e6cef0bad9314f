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
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/internal/canary"
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
		"mem://h/topic%40x": "h", "mem://h:1/?account=a%40b": "h:1", "mem:?x=y": "",
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
		use      = "; use one of amqp://, kafka://, mem://"
		scheme   = "the broker URL has no scheme followed by ://" + use
		noOpener = "no adapter for the scheme of the broker URL" + use
		userinfo = "the broker URL's user and password have a character that cannot stand there; percent-encode what is neither a letter " +
			"nor a digit" + use
		delimit = "the broker URL has '#', or '@' behind '/' or '?'; percent-encode what belongs to user, password or a parameter: " +
			"# as %23, / as %2F, ? as %3F, @ as %40" + use
		unusable = "the broker URL cannot be used: "
		end      = "; user and password end with @" + use
		port     = unusable + "an address has a port that is not a number from 1 to 65535" + end
		empty    = unusable + "an address is empty; write host:port, and several as host:port,host:port" + end
		form     = unusable + "an address is not host:port; a host has letters, digits, '.', '-' and '_', or is an IPv6 address in brackets" + end
		path     = "what follows the hosts in the broker URL cannot be parsed; percent-encode what is neither a letter nor a digit" + use
	)
	for _, c := range []struct{ name, raw, want string }{
		{"empty", "", "the broker URL is empty; set it, as in kafka://host:9092" + use},
		{"space", " \n", "the broker URL is empty; set it, as in kafka://host:9092" + use},
		{"an unknown scheme", "kafak://s3cret@h", noOpener},
		{"a scheme that is a secret", "s3cret://h", noOpener},
		{"a nil opener", "none://h", noOpener},
		{"no scheme", "s3cret", scheme},
		{"no scheme, with a port", "user:s3cret@h", scheme},
		{"an address", "127.0.0.1:9092", scheme},
		{"a path without hosts", "mem:/s3cret", scheme},
		{"a bad escape", "amqp://user:s3cret%zz@h", userinfo},
		{"a control character", "amqp://user:s3cret\x00@h", userinfo},
		{"a bad port", "amqp://h:s3cret", port},
		{"a bad host", "amqp://s3cret!", form},
		{"an empty host", "amqp://s3cret,,h", empty},
		{"a bad escape in the path", "amqp://h/s3cret%zz", path},
		{"a control character in the path", "amqp://h/s3cret\x01", path},
		{"a slash in the password", "amqp://user:s3cret/x@h", delimit},
		{"a slash in a password of digits", "amqp://user:12/s3cret@h", delimit},
		{"a question mark in a password of digits", "amqp://user:12?s3cret@h", delimit},
		{"a number sign in a password of digits", "amqp://user:12#s3cret@h", delimit},
		{"a question mark in the user", "amqp://?:s3cret@h", delimit},
		{"a slash in the user", "amqp://u/ser:s3cret@h", delimit},
		{"a second at sign in the path", "amqp://user:12@3/s3cret@h", delimit},
		{"a question mark in a password with an equals sign", "amqp://user:12?s3cret=3@h", delimit},
		{"an at sign in a parameter", "amqp://h:1/?account=s3cret@b", delimit},
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
	assert.EqualError(t, err, "leat: open: invalid: no adapter for the scheme of the broker URL; no adapter is registered")
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

func TestOpenersWithholdTextsWithSecrets(t *testing.T) {
	const raw = "mem://user:s3cret%2F@h?token=t0ken"
	dial := errors.New("dial mem://user:s3cret/@h")
	deep := dial
	for range 1_000 {
		deep = hiding{deep}
	}
	const withheld = "the adapter's error is not shown, because it has a piece of the broker URL in it that may be secret"
	for _, c := range []struct {
		name string
		err  error
		code leat.Code
	}{
		{"plain", dial, leat.CodeInternal},
		{"as in the URL", errors.New("dial mem://user:s3cret%2F@h"), leat.CodeInternal},
		{"a parameter", errors.New("bad t0ken"), leat.CodeInternal},
		{"with a code", &leat.Error{Op: "connect", Topic: "orders", Code: leat.CodeUnauthenticated, Err: dial}, leat.CodeUnauthenticated},
		{"within a wrapping", fmt.Errorf("kafka: %w", &leat.Error{Op: "open", Code: leat.CodeUnavailable, Err: dial}), leat.CodeUnavailable},
		{"in a hidden cause", hiding{dial}, leat.CodeInternal},
		{"in a joined cause", hiding{errors.Join(context.Canceled, dial)}, leat.CodeCanceled},
		{"in a cause of a code", &leat.Error{Op: "open", Code: leat.CodeUnavailable, Err: hiding{dial}}, leat.CodeUnavailable},
		{"in the topic", &leat.Error{Op: "open", Topic: "s3cret/", Code: leat.CodeNotFound}, leat.CodeNotFound},
		{"in a cause too deep to look at", deep, leat.CodeInternal},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := leat.Openers{"mem": openFailing(c.err)}.Open(t.Context(), raw)
			assert.EqualError(t, err, fmt.Sprintf("leat: open: %v: %s", c.code, withheld))
			assert.Equal(t, c.code, leat.CodeOf(err))
			for cause := err; cause != nil; cause = errors.Unwrap(cause) {
				text := fmt.Sprintf("%v %+v %#v", cause, cause, cause)
				assert.NotContains(t, text, "s3cret")
				assert.NotContains(t, text, "t0ken")
			}
		})
	}
}

// TestOpenersMangleNoText: with a password that is a word of Leat's texts, or a letter, these stay
// as they are.
func TestOpenersMangleNoText(t *testing.T) {
	for _, password := range []string{"p", "PLAIN", "buffer", "number"} {
		_, err := leat.Openers{"mem": memory.Open}.Open(t.Context(), "mem://?password="+password+"&buffer=x")
		assert.EqualError(t, err, "leat: open: invalid: parameter buffer is wrong; write a number from 1 to 1099511627776; "+
			"parameter number 1 is unknown; there are buffer, buffer_bytes, full_timeout, history, history_bytes, lease_duration, "+
			"max_event_bytes, no_history, provision")
	}
}

// TestOpenersSplitHosts: what is a list does not depend on the release of Go. 1.26.0 and 1.26.1
// refuse most of these, and take the last host of the IPv6 lists; 1.26.8 refuses others.
func TestOpenersSplitHosts(t *testing.T) {
	for list, host := range map[string]string{
		"h1:1,h2:2": "h1:1,h2:2", "h1,h2": "h1,h2", "h1:1,h2": "h1:1,h2", "h1,h2:2": "h1,h2:2", "[::1]:1,[::2]:2": "[::1]:1,[::2]:2",
		"[::1],[::2]:1": "[::1],[::2]:1", "h:1,[::1]:2": "h:1,[::1]:2", "[::1]:1,h:2": "[::1]:1,h:2",
		"[fe80::1%25eth0]:1,h:2": "[fe80::1%eth0]:1,h:2", "h,[fe80::1%25eth0]": "h,[fe80::1%eth0]",
	} {
		for _, userinfo := range []string{"", "u:p%40@", "u:p@q@"} {
			broker, err := leat.Openers{"mem": openOK}.Open(t.Context(), "mem://"+userinfo+list+"/path?x=y")
			require.NoError(t, err, list)
			u := broker.(*opened).u
			assert.Equal(t, host, u.Host)
			assert.Equal(t, "/path x=y", u.Path+" "+u.RawQuery)
			assert.Equal(t, userinfo != "", u.User != nil)
		}
	}
}

// TestMemoryShowsNothingOfTheURL: a piece of a password may be anywhere in a URL.
func TestMemoryShowsNothingOfTheURL(t *testing.T) {
	for _, raw := range canary.URLs("mem", "buffer", "lease_duration", "provision") {
		canary.Check(t, leat.Openers{"mem": memory.Open}, raw)
	}
}

// FuzzOpenersNeverReveal holds every error of Open against the password that the URL has, with an
// adapter that does its worst.
func FuzzOpenersNeverReveal(f *testing.F) {
	f.Add("mem", "user", "s3cret", "h:1/path?x=y")
	f.Add("mem", "", "a/b@c%2F", "")
	f.Add("mem", "user", "12#34/5@6", "h")
	f.Add("mem", "?", "! !!! ", "\x9b\xae")
	f.Add("kafka", "s3cret", "s3cret", "\x00")
	f.Add("mem", "é", `q"\uote é`, "[::1]:12")
	f.Fuzz(func(t *testing.T, scheme, user, password, rest string) {
		password = "Zq" + password + "qZ" // so that no word of Leat is the password by chance
		if strings.Contains(scheme+" "+user+" "+rest, password) {
			t.Skip("not a secret")
		}
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
			for cause := err; cause != nil; cause = errors.Unwrap(cause) {
				if text := cause.Error(); strings.Contains(text, password) {
					t.Fatalf("the password %q is in %q", password, text)
				}
			}
		}
	})
}
