package rabbitmq

import (
	"crypto/tls"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/foreign"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// open opens a URL as a program does.
func open(t *testing.T, raw string) (*Broker, error) {
	t.Helper()
	b, err := leat.Openers{"amqp": Open, "amqps": Open}.Open(t.Context(), raw)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = b.Close() })
	return b.(*Broker), nil
}

func TestOpenReadsHostsAndTheVirtualHost(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]struct {
		hosts []string
		vhost string
	}{
		"amqp://h":                          {[]string{"h:5672"}, "/"},
		"amqp://h/":                         {[]string{"h:5672"}, "/"},
		"amqp://h/%2F":                      {[]string{"h:5672"}, "/"},
		"amqp://h/shop":                     {[]string{"h:5672"}, "shop"},
		"amqp://h/a%2Fb%20c":                {[]string{"h:5672"}, "a/b c"},
		"amqp://a:1,b,c:3/v":                {[]string{"a:1", "b:5672", "c:3"}, "v"},
		"amqps://a,b:1/v":                   {[]string{"a:5671", "b:1"}, "v"},
		"amqp://[::1]/v":                    {[]string{"[::1]:5672"}, "v"},
		"amqp://[::1]:1/v":                  {[]string{"[::1]:1"}, "v"},
		"AMQP://user:secret@LocalHost:1/V?": {[]string{"LocalHost:1"}, "V"},
		"amqp://u:p%40%2F@h1:1,h2:2/%2":     {nil, ""},
	} {
		b, err := open(t, raw)
		if want.hosts == nil {
			assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), raw)
			continue
		}
		require.NoError(t, err, raw)
		assert.Equal(t, want.hosts, b.o.Hosts, raw)
		assert.Equal(t, want.vhost, b.o.VHost, raw)
	}
}

func TestOpenReadsEveryParameter(t *testing.T) {
	t.Parallel()
	b, err := open(t, "amqp://ann:Sesame-8471@h/?client_id=shop&heartbeat=5s&buffer=1&buffer_bytes=2&confirm_window=3"+
		"&publish_channels=4"+
		"&delivery_timeout=6s&max_message_bytes=20000&structured=true&unroutable=drop&recycle_after=7m"+
		"&mapping=structured&key_from=header:k"+
		"&provision=verify&management_url=http%3A%2F%2Fh%3A15672&queue_type=classic&delivery_limit=8&request_timeout=9s&dial_timeout=10s"+
		"&close_timeout=11s&allow_plaintext=true")
	require.NoError(t, err)
	o := b.o
	user, password, err := o.Credentials(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "ann Sesame-8471", user+" "+password)
	e, err := o.Mapping(foreign.Message{Body: []byte(minimalJSON), Err: foreign.ErrPlain})
	require.NoError(t, err)
	assert.Equal(t, "1", e.ID())
	o.Credentials, o.Logger, o.Mapping = nil, nil, nil
	assert.Equal(t, Options{
		Hosts: []string{"h:5672"}, VHost: "/", ClientID: "shop", Heartbeat: 5 * time.Second, Buffer: 1, BufferBytes: 2, ConfirmWindow: 3,
		PublishChannels: 4, DeliveryTimeout: 6 * time.Second, MaxMessageBytes: 20_000, Structured: true, Unroutable: UnroutableDrop,
		RecycleAfter: 7 * time.Minute, KeyFrom: "header:k", Provision: ProvisionVerify, ManagementURL: "http://h:15672",
		QueueType: QueueClassic, DeliveryLimit: 8, RequestTimeout: 9 * time.Second, DialTimeout: 10 * time.Second, CloseTimeout: 11 * time.Second,
		AllowPlaintext: true,
	}, o)
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	b, err := New(&Options{Hosts: []string{"h"}})
	require.NoError(t, err)
	assert.Equal(t, leat.Limits{MaxEventBytes: 1 << 20}, b.Limits())
	user, password, err := b.o.Credentials(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "guest/guest", user+"/"+password)
	assert.Equal(t, 25*time.Minute, b.o.RecycleAfter, "less than consumer_timeout")
	assert.Nil(t, b.o.TLS)
	assert.Equal(t, 4, b.o.PublishChannels)
	classic, channels := Options{QueueType: QueueClassic}, Options{QueueType: QueueClassic, PublishChannels: 3}
	assert.Equal(t, 1, classic.withDefaults().PublishChannels)
	assert.Equal(t, 3, channels.withDefaults().PublishChannels)
	require.NoError(t, b.Close())
	require.NoError(t, b.Close())
	assert.Equal(t, leat.CodeClosed, leat.CodeOf(b.Health()))
	assert.Equal(t, leat.CodeClosed, leat.CodeOf(b.Declare(t.Context())))
	_, err = b.Lag(t.Context(), "t", "g")
	assert.Equal(t, leat.CodeClosed, leat.CodeOf(err))
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	secure := &tls.Config{MinVersion: tls.VersionTLS12}
	for text, o := range map[string]*Options{
		"no address in Hosts":              nil,
		"write https://":                   {Hosts: []string{"h"}, TLS: secure, ManagementURL: "http://h"},
		"no Credentials":                   {Hosts: []string{"h"}, TLS: secure, External: true, ManagementURL: "https://h"},
		"is empty":                         {Hosts: []string{"h", ""}},
		"not host:port":                    {Hosts: []string{":1"}},
		"port":                             {Hosts: []string{"h:amqp"}},
		"no TLS for External":              {Hosts: []string{"h"}, External: true},
		"Heartbeat is out of its range":    {Hosts: []string{"h"}, Heartbeat: time.Millisecond},
		"PublishChannels is out of":        {Hosts: []string{"h"}, PublishChannels: -1},
		"DeliveryLimit is out of":          {Hosts: []string{"h"}, DeliveryLimit: -1}, // which drops messages on 3.10
		"QueueType is out of its range":    {Hosts: []string{"h"}, QueueType: 7},
		"write it as in http://host:port":  {Hosts: []string{"h"}, ManagementURL: "h:15672"},
		"Options.ManagementURL has a user": {Hosts: []string{"h"}, ManagementURL: "http://ann:Sesame-8471@h"},
		"RequestTimeout is out of its":     {Hosts: []string{"h"}, RequestTimeout: -1},
		"MaxMessageBytes is out of its r":  {Hosts: []string{"h"}, MaxMessageBytes: 1},
	} {
		_, err := New(o)
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), text)
		require.ErrorContains(t, err, text)
		assert.NotContains(t, err.Error(), "Sesame")
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	certs := brokertest.NewCerts(t)
	for raw, text := range map[string]string{
		"amqp://ann:Sesame-8471@h?bufer=1":                         "did you mean buffer?",
		"amqp://ann:Sesame-8471@h?buffer=1&buffer=2":               "buffer",
		"amqp://ann:Sesame-8471@h?heartbeat=10":                    "heartbeat",
		"amqp://ann:Sesame-8471@h?queue_type=stream":               "quorum, classic",
		"amqp://ann:Sesame-8471@h?provision=maybe":                 "create, verify, off",
		"amqp://ann:Sesame-8471@h?password_file=x":                 "given twice",
		"amqp://ann:Sesame-8471@h?ca_file=x":                       "need amqps://",
		"amqp://ann:Sesame-8471@h?management_url=h":                "ManagementURL",
		"amqp://ann:Sesame-8471@h/a/b":                             "%2F",
		"amqp://ann:Sesame-8471@h/a/":                              "%2F",
		"amqp://ann:Sesame-8471@h,,i":                              "is empty",
		"amqp://ann:Sesame-8471@":                                  "is empty",
		"amqp://ann:Sesame-8471@h":                                 "without TLS",
		"amqp://ann:Sesame-8471@127.0.0.1,h":                       "without TLS",
		"amqp://ann:Sesame-8471@127.0.0.1?management_url=http://h": "the management URL would send",
		"amqp://ann@h":                                                "no password",
		"amqp://:Sesame-8471@h":                                       "no user",
		"amqp://h?password_file=x":                                    "no user",
		"amqp://h?external=true":                                      "need amqps://",
		"amqps://h?external=true":                                     "cert_file",
		"amqps://ann:Sesame-8471@h?external=true&cert_file=x":         "leave out user",
		"amqps://ann:Sesame-8471@h?ca_file=/does/not/exist":           "ca_file",
		"amqps://ann:Sesame-8471@h?ca_file=" + certs.ServerKeyFile:    "ca_file has no certificate",
		"amqps://ann:Sesame-8471@h?cert_file=x":                       "belong together",
		"amqps://ann:Sesame-8471@h?cert_file=/no/x&key_file=/no/y":    "cert_file cannot be read",
		"amqp://ann:Sesame-8471@h?unknown=1&buffer=x&provision=maybe": "number 1 is unknown",
	} {
		_, err := open(t, raw)
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), "%s: %v", raw, err)
		require.ErrorContains(t, err, text, raw)
		for e := err; e != nil; e = errors.Unwrap(e) {
			assert.NotContains(t, e.Error(), "Sesame", raw)
		}
	}
	for _, u := range []*url.URL{nil, {Scheme: "amqp", Host: "h", Fragment: "x"}, {Scheme: "http", Host: "h"}, {Scheme: "amqp", Opaque: "x"}} {
		_, err := Open(t.Context(), u)
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), "%v", u)
	}
}

// TestSecretsAreReadForEachConnection: a file that is changed counts from the next connection on.
func TestSecretsAreReadForEachConnection(t *testing.T) {
	t.Parallel()
	certs := brokertest.NewCerts(t)
	file := filepath.Join(t.TempDir(), "password")
	b, err := open(t, "amqps://ann@h?password_file="+url.QueryEscape(file)+"&ca_file="+certs.CAFile)
	require.NoError(t, err)
	_, _, err = b.o.Credentials(t.Context())
	require.ErrorIs(t, err, os.ErrNotExist)
	for _, secret := range []string{"first", "second"} {
		require.NoError(t, os.WriteFile(file, []byte(secret+"\r\n"), 0o600))
		user, password, err := b.o.Credentials(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "ann "+secret, user+" "+password)
	}
	b, err = open(t, "amqps://h?external=true&ca_file="+certs.CAFile+"&cert_file="+certs.ClientFile+"&key_file="+certs.ClientKeyFile)
	require.NoError(t, err)
	assert.True(t, b.o.External)
	assert.Equal(t, uint16(tls.VersionTLS12), b.o.TLS.MinVersion)
	pair, err := b.o.TLS.GetClientCertificate(nil)
	require.NoError(t, err)
	assert.NotEmpty(t, pair.Certificate)
}

func TestOldTLSIsRefused(t *testing.T) {
	t.Parallel()
	given := &tls.Config{MinVersion: tls.VersionTLS10, ServerName: "h"}
	b, err := New(&Options{Hosts: []string{"h"}, TLS: given})
	require.NoError(t, err)
	assert.Equal(t, uint16(tls.VersionTLS12), b.o.TLS.MinVersion)
	assert.Equal(t, uint16(tls.VersionTLS10), given.MinVersion, "the caller's is left alone")
	assert.Equal(t, []string{"h:5671"}, b.o.Hosts)
}
