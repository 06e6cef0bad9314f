package rabbitmq_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/rabbitmq"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	securedUser     = "ann"
	securedPassword = "Sesame-8471"
)

// secured is a node with TLS, which looks at certificates that clients show.
type secured struct {
	*brokertest.RabbitMQNode

	certs *brokertest.Certs
}

// TestSecured runs on one node.
func TestSecured(t *testing.T) {
	t.Parallel()
	s := &secured{certs: brokertest.NewCerts(t)}
	s.RabbitMQNode = brokertest.StartRabbitMQ(t, &brokertest.RabbitMQOptions{Certs: s.certs})
	require.NoError(t, s.AddVhost(t.Context(), "shop/1"))
	require.NoError(t, s.AddVhost(t.Context(), "forbidden"))
	for _, user := range []struct{ name, password string }{{securedUser, securedPassword}, {"client", ""}} { // the name in the certificate
		require.NoError(t, s.AddUser(t.Context(), user.name, user.password))
		for _, vhost := range []string{"/", "shop/1"} {
			require.NoError(t, s.SetPermissions(t.Context(), user.name, vhost, ".*", ".*", ".*"))
		}
	}
	for name, test := range map[string]func(*testing.T, *secured){
		"logins": testLogins, "refused logins": testRefusedLogins, "rotation": testRotation,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, s)
		})
	}
}

// liveOpen opens a URL as a program does.
func liveOpen(t *testing.T, raw string) *rabbitmq.Broker {
	t.Helper()
	b, err := leat.Openers{"amqp": rabbitmq.Open, "amqps": rabbitmq.Open}.Open(t.Context(), raw)
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.Close() })
	return b.(*rabbitmq.Broker)
}

// uses makes a connection and asks for something.
func uses(t *testing.T, b *rabbitmq.Broker) {
	t.Helper()
	sub := liveSub(t)
	require.NoError(t, b.Declare(t.Context(), sub))
	lag, err := b.Lag(t.Context(), sub.Topic, sub.Group)
	require.NoError(t, err)
	assert.Equal(t, sub.Topic+".g", lag.Parts[0].Name)
	assert.NoError(t, b.Health())
}

func testLogins(t *testing.T, s *secured) {
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte(securedPassword+"\n"), 0o600))
	ann, ca := login(securedUser, securedPassword), "ca_file="+s.certs.CAFile
	pair := "&cert_file=" + s.certs.ClientFile + "&key_file=" + s.certs.ClientKeyFile
	for name, c := range map[string]struct {
		options rabbitmq.Options
		url     string
	}{
		"without TLS": {rabbitmq.Options{Hosts: []string{s.Addr()}, Credentials: ann},
			fmt.Sprintf("amqp://%s:%s@%s", securedUser, securedPassword, s.Addr())},
		"guest": {rabbitmq.Options{Hosts: []string{s.Addr()}}, "amqp://" + s.Addr()},
		"a virtual host": {rabbitmq.Options{Hosts: []string{s.Addr()}, Credentials: ann, VHost: "shop/1"},
			fmt.Sprintf("amqp://%s:%s@%s/shop%%2F1", securedUser, securedPassword, s.Addr())},
		"the second of two hosts": {rabbitmq.Options{Hosts: []string{"127.0.0.1:1", s.Addr()}, Credentials: ann},
			fmt.Sprintf("amqp://%s:%s@127.0.0.1:1,%s", securedUser, securedPassword, s.Addr())},
		"TLS": {rabbitmq.Options{Hosts: []string{s.TLSAddr()}, Credentials: ann, TLS: s.certs.TLS()},
			fmt.Sprintf("amqps://%s@%s?%s&password_file=%s", securedUser, s.TLSAddr(), ca, file)},
		"mutual TLS": {rabbitmq.Options{Hosts: []string{s.TLSAddr()}, Credentials: ann, TLS: s.certs.MutualTLS()},
			fmt.Sprintf("amqps://%s:%s@%s?%s", securedUser, securedPassword, s.TLSAddr(), ca+pair)},
		"EXTERNAL": {rabbitmq.Options{Hosts: []string{s.TLSAddr()}, External: true, TLS: s.certs.MutualTLS()},
			fmt.Sprintf("amqps://%s?external=true&%s", s.TLSAddr(), ca+pair)},
	} {
		t.Run(name+" by New", func(t *testing.T) { uses(t, liveBroker(t, c.options)) })
		t.Run(name+" by URL", func(t *testing.T) { uses(t, liveOpen(t, c.url)) })
	}
}

// testRefusedLogins tries what must not work, which says so soon and without the secret.
func testRefusedLogins(t *testing.T, s *secured) {
	const wrong = "Wrong-5521"
	ann := login(securedUser, securedPassword)
	foreign := s.certs.TLS()
	foreign.Certificates = brokertest.NewCerts(t).MutualTLS().Certificates
	noVault := func(context.Context) (string, string, error) { return "", "", errors.New("the vault is locked") }
	for name, c := range map[string]struct {
		host    string
		options rabbitmq.Options
		want    leat.Code
	}{
		"password":             {s.Addr(), rabbitmq.Options{Credentials: login(securedUser, wrong)}, leat.CodeUnauthenticated},
		"user":                 {s.Addr(), rabbitmq.Options{Credentials: login("nobody", wrong)}, leat.CodeUnauthenticated},
		"no vault":             {s.Addr(), rabbitmq.Options{Credentials: noVault}, leat.CodeUnauthenticated},
		"virtual host":         {s.Addr(), rabbitmq.Options{Credentials: ann, VHost: "none"}, leat.CodeNotFound},
		"a forbidden one":      {s.Addr(), rabbitmq.Options{Credentials: ann, VHost: "forbidden"}, leat.CodePermissionDenied},
		"an unknown authority": {s.TLSAddr(), rabbitmq.Options{Credentials: ann, TLS: brokertest.NewCerts(t).TLS()}, leat.CodeUnauthenticated},
		"a foreign certificate": {s.TLSAddr(), rabbitmq.Options{External: true, TLS: foreign},
			leat.CodeUnauthenticated},
		"EXTERNAL without a certificate": {s.TLSAddr(), rabbitmq.Options{External: true, TLS: s.certs.TLS()}, leat.CodeUnauthenticated},
		"another name": {s.TLSAddr(), rabbitmq.Options{Credentials: ann, TLS: named(s.certs.TLS(), "elsewhere")},
			leat.CodeUnauthenticated},
		"TLS where there is none": {s.Addr(), rabbitmq.Options{Credentials: ann, TLS: s.certs.TLS()}, leat.CodeUnauthenticated},
		"no TLS where it is due":  {s.TLSAddr(), rabbitmq.Options{Credentials: ann}, leat.CodeUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.options.Hosts, c.options.RequestTimeout = []string{c.host}, 5*time.Second
			b := liveBroker(t, c.options)
			begin := time.Now()
			err := b.Declare(t.Context(), liveSub(t))
			assert.Equal(t, c.want, leat.CodeOf(err), "%v", err)
			assert.Less(t, time.Since(begin), livePatience)
			for e := err; e != nil; e = errors.Unwrap(e) {
				assert.NotContains(t, e.Error(), wrong)
				assert.NotContains(t, e.Error(), securedPassword)
				assert.NotContains(t, e.Error(), "'"+securedUser+"'", "as RabbitMQ quotes it")
			}
		})
	}
}

func named(c *tls.Config, server string) *tls.Config {
	c.ServerName = server
	return c
}

// testRotation: a password that is changed, on the broker and in the file, is used by the next
// connection.
func testRotation(t *testing.T, s *secured) {
	require.NoError(t, s.AddUser(t.Context(), "carl", "First-1"))
	require.NoError(t, s.SetPermissions(t.Context(), "carl", "/", ".*", ".*", ".*"))
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte("First-1"), 0o600))
	b := liveOpen(t, fmt.Sprintf("amqps://carl@%s?ca_file=%s&password_file=%s&client_id=rotating", s.TLSAddr(), s.certs.CAFile, file))
	uses(t, b)
	require.NoError(t, s.ChangePassword(t.Context(), "carl", "Second-2"))
	require.NoError(t, os.WriteFile(file, []byte("Second-2"), 0o600))
	_, err := s.CloseConnections(t.Context(), func(c brokertest.RabbitMQConnection) bool { return c.User == "carl" })
	require.NoError(t, err)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		assert.NoError(c, b.Declare(t.Context(), liveSub(t)))
	}, livePatience, 20*time.Millisecond)
	uses(t, b)
}
