package kafka_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
)

// TestSecured runs on one Kafka with every kind of listener.
func TestSecured(t *testing.T) {
	t.Parallel()
	s := newSecured(t)
	for name, test := range map[string]func(*testing.T, *secured){
		"logins": testLogins, "refused logins": testRefusedLogins, "rotation": testRotation, "new tokens": testNewTokens,
		"repaired password": testRepairedPassword, "client certificate": testClientCertificate,
		"ACLs": testACLs, "permission granted later": testPermissionGrantedLater, "describe only": testDescribeOnly,
		"poison topic not writable": testPoisonTopicNotWritable,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, s)
		})
	}
}

func password(user, password string) func(context.Context) (string, string, error) {
	return func(context.Context) (string, string, error) { return user, password, nil }
}

// exchange publishes and receives an event, so that every kind of connection was made.
func exchange(t *testing.T, b *kafka.Broker) {
	t.Helper()
	sub := leat.Subscription{Topic: liveName(t), Group: "g"}
	require.NoError(t, b.Declare(t.Context(), sub))
	require.NoError(t, livePublish(t.Context(), b, sub.Topic, liveEvents(t, 0, 3, 1)...))
	s, err := b.Subscribe(t.Context(), sub)
	require.NoError(t, err)
	assert.Equal(t, []string{"0", "1", "2"}, liveReceive(t, s, 3))
	assert.NoError(t, s.Close(t.Context()))
	assert.NoError(t, b.Health())
}

func testLogins(t *testing.T, s *secured) {
	login := password(securedUser, securedPassword)
	bearer := func(context.Context) (string, error) { return token(t, "oscar", time.Minute), nil }
	for name, c := range map[string]struct {
		listener string
		options  kafka.Options
		url      string
	}{
		"PLAIN": {"LOGIN", kafka.Options{TLS: s.certs.TLS(), SASL: &kafka.SASL{Mechanism: kafka.Plain, Credentials: login}},
			"kafka://ann:Sesame-8471@%s?tls=true&ca_file=" + s.certs.CAFile},
		"PLAIN without TLS on this machine": {"OPEN", kafka.Options{SASL: &kafka.SASL{Mechanism: kafka.Plain, Credentials: login}},
			"kafka://ann:Sesame-8471@%s"},
		"PLAIN without TLS": {"OPEN", kafka.Options{AllowPlaintext: true, SASL: &kafka.SASL{Mechanism: kafka.Plain, Credentials: login}},
			"kafka://ann:Sesame-8471@%s?sasl=PLAIN&allow_plaintext=true"},
		"SCRAM-SHA-256": {"LOGIN", kafka.Options{TLS: s.certs.TLS(), SASL: &kafka.SASL{Mechanism: kafka.ScramSHA256, Credentials: login}},
			"kafka://ann@%s?sasl=SCRAM-SHA-256&tls=true&ca_file=" + s.certs.CAFile + "&password_file=" + s.file(t, "p256", securedPassword+"\n")},
		"SCRAM-SHA-512": {"LOGIN", kafka.Options{TLS: s.certs.TLS(), SASL: &kafka.SASL{Mechanism: kafka.ScramSHA512, Credentials: login}},
			"kafka://ann:Sesame-8471@%s?sasl=SCRAM-SHA-512&tls=true&ca_file=" + s.certs.CAFile},
		"SCRAM without TLS": {"OPEN", kafka.Options{SASL: &kafka.SASL{Mechanism: kafka.ScramSHA512, Credentials: login}},
			"kafka://ann:Sesame-8471@%s?sasl=SCRAM-SHA-512"},
		"OAUTHBEARER": {"OAUTH", kafka.Options{TLS: s.certs.TLS(), SASL: &kafka.SASL{Mechanism: kafka.OAuthBearer, Token: bearer}},
			"kafka://%s?sasl=OAUTHBEARER&tls=true&ca_file=" + s.certs.CAFile + "&token_file=" + s.file(t, "token", token(t, "oscar", time.Minute))},
		"TLS": {"TLS", kafka.Options{TLS: s.certs.TLS()}, "kafka://%s?tls=true&ca_file=" + s.certs.CAFile},
		"mutual TLS": {"MUTUAL", kafka.Options{TLS: s.certs.MutualTLS()}, "kafka://%s?tls=true&ca_file=" + s.certs.CAFile +
			"&cert_file=" + s.certs.ClientFile + "&key_file=" + s.certs.ClientKeyFile},
	} {
		t.Run(name+" by New", func(t *testing.T) {
			o := liveOptions(s.addr(c.listener))
			o.TLS, o.SASL, o.AllowPlaintext = c.options.TLS, c.options.SASL, c.options.AllowPlaintext
			exchange(t, liveBroker(t, o))
		})
		t.Run(name+" by URL", func(t *testing.T) {
			exchange(t, liveOpen(t, fmt.Sprintf(c.url, s.addr(c.listener))))
		})
	}
}

// liveOpen opens a URL as a program does.
func liveOpen(t *testing.T, raw string) *kafka.Broker {
	t.Helper()
	b, err := leat.Openers{"kafka": kafka.Open}.Open(t.Context(), raw)
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.Close() })
	return b.(*kafka.Broker)
}

// looksLikeOutage has the mistakes that show as a connection that ends at once, as behind a proxy
// whose broker is down: publishes wait.
var looksLikeOutage = map[string]bool{"TLS to a plain listener": true, "no login where one is due": true}

// testRefusedLogins tries what must not work, in each call, which says so soon and without the
// secret.
func testRefusedLogins(t *testing.T, s *secured) {
	const wrong = "Wrong-5521"
	strangers := brokertest.NewCerts(t)
	foreign := s.certs.TLS()
	foreign.Certificates = strangers.MutualTLS().Certificates
	by := func(mechanism string) *kafka.SASL {
		return &kafka.SASL{Mechanism: mechanism, Credentials: password(securedUser, wrong)}
	}
	noVault := func(context.Context) (string, string, error) { return "", "", errors.New("the vault is locked") }
	topic := liveTopic(t, s.admin, 1)
	for name, c := range map[string]struct {
		listener string
		tls      *tls.Config
		sasl     *kafka.SASL
		want     leat.Code
		text     string
	}{
		"PLAIN":                 {"LOGIN", s.certs.TLS(), by(kafka.Plain), leat.CodeUnauthenticated, "SASL_AUTHENTICATION_FAILED"},
		"SCRAM-SHA-256":         {"LOGIN", s.certs.TLS(), by(kafka.ScramSHA256), leat.CodeUnauthenticated, "SASL_AUTHENTICATION_FAILED"},
		"SCRAM-SHA-512":         {"LOGIN", s.certs.TLS(), by(kafka.ScramSHA512), leat.CodeUnauthenticated, "SASL_AUTHENTICATION_FAILED"},
		"a mechanism not there": {"OAUTH", s.certs.TLS(), by(kafka.ScramSHA512), leat.CodeUnauthenticated, "UNSUPPORTED_SASL_MECHANISM"},
		"expired token": {"OAUTH", s.certs.TLS(), &kafka.SASL{Mechanism: kafka.OAuthBearer, Token: func(context.Context) (string, error) {
			return token(t, "oscar", -time.Hour), nil
		}}, leat.CodeUnauthenticated, "invalid_token"},
		"no credentials": {"LOGIN", s.certs.TLS(), &kafka.SASL{Mechanism: kafka.Plain, Credentials: noVault}, leat.CodeUnauthenticated,
			"PLAIN: the vault is locked"},
		"empty password": {"LOGIN", s.certs.TLS(), &kafka.SASL{Mechanism: kafka.ScramSHA256, Credentials: password("ann", "")},
			leat.CodeUnauthenticated, "SCRAM-SHA-256: SCRAM-SHA-256 user and pass must be non-empty"},
		"wrong CA":                   {"TLS", strangers.TLS(), nil, leat.CodeUnavailable, "certificate signed by unknown authority"},
		"no client certificate":      {"MUTUAL", s.certs.TLS(), nil, leat.CodeUnauthenticated, "certificate"},
		"foreign client certificate": {"MUTUAL", foreign, nil, leat.CodeUnauthenticated, "certificate"},
		"TLS to a plain listener":    {"OPEN", s.certs.TLS(), nil, leat.CodeUnavailable, "is TLS misconfigured"},
		"no TLS to a TLS listener":   {"TLS", nil, nil, leat.CodeUnavailable, "TLS"},
		"no login where one is due":  {"LOGIN", s.certs.TLS(), nil, leat.CodeUnavailable, "SASL"},
	} {
		t.Run(name, func(t *testing.T) {
			o := liveOptions(s.addr(c.listener))
			o.TLS, o.SASL = c.tls, c.sasl
			o.DeliveryTimeout = 5 * time.Second
			o.RequestTimeout = 3 * time.Second // after which the calls give up that cannot tell a wrong protocol from an outage
			for op, call := range map[string]func(*kafka.Broker) error{
				"declare": func(b *kafka.Broker) error {
					return b.Declare(t.Context(), leat.Subscription{Topic: topic, Group: "g"})
				},
				"subscribe": func(b *kafka.Broker) error {
					_, err := b.Subscribe(t.Context(), leat.Subscription{Topic: topic, Group: "g"})
					return err
				},
				"publish": func(b *kafka.Broker) error { return livePublish(t.Context(), b, topic, liveEvents(t, 0, 1, 1)...) },
				"lag":     func(b *kafka.Broker) error { _, err := b.Lag(t.Context(), topic, "g"); return err },
			} {
				b := liveBroker(t, o)
				begin := time.Now()
				err := call(b)
				if took := time.Since(begin); took > livePatience/2 {
					t.Errorf("%s took %v", op, took)
				}
				if op == "publish" && leat.CodeOf(err) == leat.CodeUnknown && looksLikeOutage[name] {
					assert.Equal(t, c.want, leat.CodeOf(b.Health()), "health: %v", b.Health())
					continue
				}
				assert.Equal(t, c.want, leat.CodeOf(err), "%s: %v", op, err)
				assert.ErrorContains(t, err, c.text, op)
				_, typed := errors.AsType[*leat.Error](err)
				assert.True(t, typed, "%s: %v", op, err)
				assert.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), wrong, op)
				err = b.Health()
				assert.Equal(t, c.want, leat.CodeOf(err), "health after %s: %v", op, err)
				assert.NotContains(t, fmt.Sprintf("%+v", err), wrong, op)
			}
		})
	}
}

// testRotation changes the password at the broker and in the file while a consumer and a producer
// run, and cuts their connections.
func testRotation(t *testing.T, s *secured) {
	change := func(to string) {
		_, err := s.admin.AlterUserSCRAMs(t.Context(), nil, []kadm.UpsertSCRAM{{User: "carl", Mechanism: kadm.ScramSha512, Password: to}})
		require.NoError(t, err)
		s.file(t, "carl", to)
	}
	change("first-password")
	topic := liveTopic(t, s.admin, 1)
	s.allow(t, "carl", topicACL(topic, kadm.OpRead, kadm.OpWrite), groupACL("rotation", kadm.OpRead))
	b := liveOpen(t, fmt.Sprintf("kafka://carl@%s?sasl=SCRAM-SHA-512&tls=true&ca_file=%s&password_file=%s", s.rotated.Addr(), s.certs.CAFile,
		s.file(t, "carl", "first-password")))
	stream := liveSubscribe(t, b, leat.Subscription{Topic: topic, Group: "rotation"})
	for round := range 3 {
		require.NoError(t, livePublish(t.Context(), b, topic, liveEvents(t, round, round+1, 1)...))
		require.Equal(t, []string{fmt.Sprint(round)}, liveReceive(t, stream, 1))
		liveCommitted(t, b, topic, "rotation", int64(round+1)) // what is not, comes again when the group session is lost
		change(fmt.Sprint("password-", round))
		s.rotated.Cut()
	}
	require.NoError(t, livePublish(t.Context(), b, topic, liveEvents(t, 3, 4, 1)...))
	require.Equal(t, []string{"3"}, liveReceive(t, stream, 1))
	liveCommitted(t, b, topic, "rotation", 4)

	// With a wrong file, both say so, and go on by themselves when it is right again.
	s.file(t, "carl", "outdated")
	s.rotated.Cut()
	require.Eventually(t, func() bool { return leat.CodeOf(stream.Health()) == leat.CodeUnauthenticated }, livePatience, 10*time.Millisecond,
		"the stream's health does not say that the password is wrong: %v", stream.Health())
	s.file(t, "carl", "password-2")
	require.Eventually(t, func() bool { return livePublish(t.Context(), b, topic, liveEvents(t, 4, 5, 1)...) == nil },
		livePatience, 50*time.Millisecond)
	require.Equal(t, []string{"4"}, liveReceive(t, stream, 1))
	require.Eventually(t, func() bool { return b.Health() == nil }, livePatience, 10*time.Millisecond, "health: %v", b.Health())
}

// testNewTokens lives longer than the sessions that the broker allows: the client authenticates
// again, with a new token each time.
func testNewTokens(t *testing.T, s *secured) {
	var asked atomic.Int64
	o := liveOptions(s.addr("OAUTH"))
	o.TLS, o.SASL = s.certs.TLS(), &kafka.SASL{Mechanism: kafka.OAuthBearer, Token: func(context.Context) (string, error) {
		asked.Add(1)
		return token(t, "oscar", 20*time.Second), nil
	}}
	b := liveBroker(t, o)
	topic := liveTopic(t, s.admin, 1)
	stream := liveSubscribe(t, b, leat.Subscription{Topic: topic, Group: liveName(t)})
	begin, connected := time.Now(), int64(0)
	for n := 0; time.Since(begin) < 3*reauthAfter; n++ {
		require.NoError(t, livePublish(t.Context(), b, topic, liveEvents(t, n, n+1, 1)...))
		require.Equal(t, []string{fmt.Sprint(n)}, liveReceive(t, stream, 1))
		require.NoError(t, b.Health())
		if connected == 0 {
			connected = asked.Load()
		}
		<-time.After(50 * time.Millisecond)
	}
	require.Greater(t, asked.Load(), connected+1, "no token was asked for again")
}

// testRepairedPassword publishes before and after the password is right.
func testRepairedPassword(t *testing.T, s *secured) {
	var right atomic.Bool
	o := liveOptions(s.addr("LOGIN"))
	o.TLS, o.SASL = s.certs.TLS(), &kafka.SASL{Mechanism: kafka.Plain, Credentials: func(context.Context) (string, string, error) {
		if right.Load() {
			return securedUser, securedPassword, nil
		}
		return securedUser, "wrong", nil
	}}
	b := liveBroker(t, o)
	topic := liveTopic(t, s.admin, 1)
	require.Equal(t, leat.CodeUnauthenticated, leat.CodeOf(livePublish(t.Context(), b, topic, liveEvents(t, 0, 1, 1)...)))
	right.Store(true)
	require.Eventually(t, func() bool { return livePublish(t.Context(), b, topic, liveEvents(t, 1, 2, 1)...) == nil },
		livePatience, 100*time.Millisecond, "the broker is left alone for a second")
	require.NoError(t, b.Health())
	stream := liveSubscribe(t, b, leat.Subscription{Topic: topic, Group: liveName(t)})
	require.Equal(t, []string{"1"}, liveReceive(t, stream, 1), "what was refused is not stored")
}

// testClientCertificate changes the files of a client's certificate, which are read for each
// connection.
func testClientCertificate(t *testing.T, s *secured) {
	strangers := brokertest.NewCerts(t)
	cert, key := s.copyFile(t, "cert", strangers.ClientFile), s.copyFile(t, "key", strangers.ClientKeyFile)
	b := liveOpen(t, fmt.Sprintf("kafka://%s?tls=true&ca_file=%s&cert_file=%s&key_file=%s", s.addr("MUTUAL"), s.certs.CAFile, cert, key))
	topic := liveTopic(t, s.admin, 1)
	require.Equal(t, leat.CodeUnauthenticated, leat.CodeOf(livePublish(t.Context(), b, topic, liveEvents(t, 0, 1, 1)...)))
	s.copyFile(t, "cert", s.certs.ClientFile)
	s.copyFile(t, "key", s.certs.ClientKeyFile)
	require.Eventually(t, func() bool { return livePublish(t.Context(), b, topic, liveEvents(t, 1, 2, 1)...) == nil },
		livePatience, 100*time.Millisecond, "the broker is left alone for a second")
	exchange(t, b)
}
