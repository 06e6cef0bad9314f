package nats_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/nats"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/leatgo/leat/internal/canary"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// try opens a URL, declares a topic and returns what went wrong.
func try(t *testing.T, raw string) error {
	t.Helper()
	u, err := url.Parse(raw)
	require.NoError(t, err)
	b, err := nats.Open(t.Context(), u)
	if err != nil {
		return err
	}
	defer b.Close() //nolint:errcheck // it is not what is tested
	ctx, cancel := context.WithTimeout(t.Context(), brokertest.Patience/3)
	defer cancel()
	return leat.Declare(ctx, b, leat.Subscription{Topic: "t", Group: "g"})
}

func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(name, []byte(text+"\n"), 0o600))
	return name
}

// TestLogins: by user and password, by token and by nkey, from the URL and from files.
func TestLogins(t *testing.T) {
	t.Parallel()
	pair, err := nkeys.CreateUser()
	require.NoError(t, err)
	seed, err := pair.Seed()
	require.NoError(t, err)
	public, err := pair.PublicKey()
	require.NoError(t, err)
	users := brokertest.StartNATS(t, &brokertest.NATSOptions{Config: fmt.Sprintf(
		"authorization { users: [{user: ann, password: canary-one}, {nkey: %s}] }", public)}).Addr()
	token := brokertest.StartNATS(t, &brokertest.NATSOptions{Config: `authorization { token: "canary-two" }`}).Addr()
	for _, good := range []string{
		"nats://ann:canary-one@" + users, "nats://ann@" + users + "?password_file=" + file(t, "canary-one"),
		"nats://canary-two@" + token, "nats://" + token + "?token_file=" + file(t, "canary-two"),
		"nats://" + users + "?nkey_file=" + file(t, string(seed)),
	} {
		require.NoError(t, try(t, good), good)
	}
	for _, bad := range []string{
		"nats://ann:canary-three@" + users, "nats://" + users, "nats://canary-three@" + token,
		"nats://ann@" + users + "?password_file=/none", "nats://" + users + "?nkey_file=" + file(t, "no seed"),
		"nats://" + users + "?creds_file=" + file(t, "no creds"),
	} {
		err := try(t, bad)
		assert.Equal(t, leat.CodeUnauthenticated, leat.CodeOf(err), "%s: %v", bad, err)
		assert.NotContains(t, fmt.Sprint(err), "canary")
	}
}

// TestNothingIsSentWithoutASecret: a login that cannot be had, or that is something else, does not
// reach a server.
func TestNothingIsSentWithoutASecret(t *testing.T) {
	t.Parallel()
	pair, err := nkeys.CreateUser()
	require.NoError(t, err)
	seed, err := pair.Seed()
	require.NoError(t, err)
	const line = "-----BEGIN NATS USER JWT-----\n%s\n------END NATS USER JWT------\n\n%[1]s\n"
	text := func(text string) func(context.Context) (string, error) {
		return func(context.Context) (string, error) { return text, nil }
	}
	for name, o := range map[string]nats.Options{
		"a seed for credentials": {Creds: text(string(seed) + "\n")},
		"a seed for a JWT":       {Creds: text(fmt.Sprintf(line, seed))},
		"no JWT of three parts":  {Creds: text("eyJ0.eyJ0\n" + string(seed))},
		"no password": {Credentials: func(context.Context) (string, string, error) {
			return "ann", "", errors.New("no file")
		}},
		"no token": {Token: func(context.Context) (string, error) { return "", errors.New("no file") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, sent := eavesdropper(t)
			o.Hosts, o.CloseTimeout = []string{address}, time.Second
			b, err := nats.New(&o)
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			err = b.Declare(ctx, leat.Subscription{Topic: "t", Group: "g"})
			assert.Equal(t, leat.CodeUnauthenticated, leat.CodeOf(err), "%v", err)
			assert.NotContains(t, fmt.Sprint(err, b.Health()), string(seed))
			require.NoError(t, b.Close())
			assert.Empty(t, sent())
		})
	}
}

// eavesdropper is a server that asks for a login. When its clients are gone, sent returns what they
// have said.
func eavesdropper(t *testing.T) (address string, sent func() string) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var said bytes.Buffer
	var mu sync.Mutex
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close() //nolint:errcheck // it has been read
				_, _ = io.WriteString(c, `INFO {"server_id":"x","version":"2.11.0","proto":1,"headers":true,`+
					`"max_payload":1048576,"nonce":"abcdefgh","auth_required":true}`+"\r\n")
				text, _ := io.ReadAll(c)
				mu.Lock()
				defer mu.Unlock()
				said.Write(text)
			})
		}
	})
	return l.Addr().String(), func() string {
		_ = l.Close()
		all.Wait()
		return said.String()
	}
}

// TestPermissions: a server does not answer what it denies, but says so.
func TestPermissions(t *testing.T) {
	t.Parallel()
	server := brokertest.StartNATS(t, &brokertest.NATSOptions{Config: `authorization { users: [
		{user: ann, password: one}, {user: bob, password: two, permissions: {publish: {deny: "leat.denied"}}} ] }`})
	require.NoError(t, try(t, "nats://ann:one@"+server.Addr()))
	u, err := url.Parse("nats://bob:two@" + server.Addr())
	require.NoError(t, err)
	b, err := nats.Open(t.Context(), u)
	require.NoError(t, err)
	defer b.Close() //nolint:errcheck // it is not what is tested
	ctx, cancel := context.WithTimeout(t.Context(), brokertest.Patience)
	defer cancel()
	p, events := leat.NewProducer(b, nil), brokertest.Events(t, 0, 1, 0)
	err = p.Publish(ctx, "denied", events...)
	assert.Equal(t, leat.CodeUnknown, leat.CodeOf(err))
	assert.ErrorContains(t, err, "ermissions")
	require.NoError(t, ctx.Err(), "it does not wait for an answer")
	require.NoError(t, p.Publish(ctx, "t", events...))
}

// TestInboxPrefix: a user who may subscribe to one inbox only publishes, declares and consumes.
func TestInboxPrefix(t *testing.T) {
	t.Parallel()
	server := brokertest.StartNATS(t, &brokertest.NATSOptions{Config: `authorization { users: [
		{user: ann, password: one, permissions: {subscribe: ["inbox.ann.>", "$JS.EVENT.ADVISORY.>"]}} ] }`})
	require.Error(t, try(t, "nats://ann:one@"+server.Addr()), "no answer comes to _INBOX")
	b := open(t, "nats://ann:one@"+server.Addr()+"?inbox_prefix=inbox.ann")
	ctx, cancel := context.WithTimeout(t.Context(), brokertest.Patience)
	defer cancel()
	for _, sub := range []leat.Subscription{
		{Topic: "ordered", Group: "g"}, {Topic: "free", Group: "g", Unordered: true}, {Topic: "all", Broadcast: true},
	} {
		s, err := b.Subscribe(ctx, sub)
		require.NoError(t, err)
		require.NoError(t, leat.NewProducer(b, nil).Publish(ctx, sub.Topic, brokertest.Events(t, 0, 1, 0)...))
		assert.Equal(t, []string{"0"}, brokertest.Receive(t, s, 1))
		require.NoError(t, s.Close(ctx))
		if !sub.Broadcast {
			lag, err := b.Lag(ctx, sub.Topic, sub.Group)
			require.NoError(t, err)
			assert.Zero(t, lag.Events, "the ack has reached the server")
		}
	}
}

// TestTLS: with the server's certificate, and that of a client.
func TestTLS(t *testing.T) {
	t.Parallel()
	certs := brokertest.NewCerts(t)
	server := brokertest.StartNATS(t, &brokertest.NATSOptions{Certs: certs, ClientCert: true})
	require.NoError(t, try(t, "tls://"+server.Addr()+"?ca_file="+certs.CAFile+"&cert_file="+certs.ClientFile+"&key_file="+certs.ClientKeyFile))
	err := try(t, "tls://"+server.Addr())
	assert.Equal(t, leat.CodeUnauthenticated, leat.CodeOf(err), "untrusted: %v", err)
	require.Error(t, try(t, "tls://"+server.Addr()+"?ca_file="+certs.CAFile), "the server may just close the connection")
}

// TestPasswordsNeedTLS: they go to this machine only, or where it is allowed.
func TestPasswordsNeedTLS(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]leat.Code{
		"nats://u:p@broker.example": leat.CodeInvalid, "nats://token@broker.example": leat.CodeInvalid,
		"nats://broker.example?token_file=/x": leat.CodeInvalid, "nats://u:p@127.0.0.1,broker.example": leat.CodeInvalid,
	} {
		u, err := url.Parse(raw)
		require.NoError(t, err)
		_, err = nats.Open(t.Context(), u)
		assert.Equal(t, want, leat.CodeOf(err), "%s: %v", raw, err)
	}
	b, err := nats.New(&nats.Options{
		Hosts: []string{"192.0.2.1"}, AllowPlaintext: true, DialTimeout: time.Millisecond,
		Token: func(context.Context) (string, error) { return "token", nil },
	})
	require.NoError(t, err)
	require.NoError(t, b.Close())
}

// canaryURLs have a canary in every position of URLs for NATS.
func canaryURLs() []string {
	const word = canary.Word
	return append(canary.URLs("nats", "client_id", "domain", "buffer", "ack_wait", "provision", "start", "structured", "password_file",
		"token_file", "creds_file", "nkey_file", "key_header", "inbox_prefix"),
		"tls://u:"+word+"@h?ca_file=/"+word, "tls://h?cert_file=/"+word+"&key_file=/"+word, "nats://"+word+"@h?token_file=x")
}

// TestOpenShowsNothingOfTheURL: errors are made of Leat's own words.
func TestOpenShowsNothingOfTheURL(t *testing.T) {
	t.Parallel()
	for _, raw := range canaryURLs() {
		canary.Check(t, leat.Openers{"nats": nats.Open, "tls": nats.Open}, raw)
	}
}

// TestOptions: what is wrong with options has a code and a name.
func TestOptions(t *testing.T) {
	t.Parallel()
	none := func(context.Context) (string, error) { return "", nil }
	hosts := []string{"localhost"}
	for text, o := range map[string]*nats.Options{
		"no address in Hosts": nil, "Options.AckWait": {Hosts: hosts, AckWait: time.Millisecond},
		"more than one of": {Hosts: hosts, Token: none, NKey: none}, "Domain": {Hosts: hosts, Domain: "a.b"},
		"InboxPrefix": {Hosts: hosts, InboxPrefix: "inbox."}, "InboxPrefix (inbox_prefix) is not": {Hosts: hosts, InboxPrefix: "inbox.*"},
		"Options.Replicas": {Hosts: hosts, Replicas: 6},
	} {
		_, err := nats.New(o)
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
		assert.ErrorContains(t, err, text)
	}
}
