package kafka_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/poison"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// mistake is one that people make with Kafka, and what they are told. HOST stands for the broker's
// address. The text is read as the person reads it who made the mistake: it says what is wrong,
// where, and what to do.
type mistake struct {
	made string
	do   func(t *testing.T, addr string) error
	want string
}

// opens returns what opening a URL says, which needs no broker.
func opens(url string) func(*testing.T, string) error {
	return func(t *testing.T, _ string) error {
		t.Helper()
		_, err := leat.Openers{"kafka": kafka.Open}.Open(t.Context(), url)
		return err
	}
}

// publishes returns what publishing says with options that change has changed.
func publishes(topic, text string, change func(o *kafka.Options)) func(*testing.T, string) error {
	return func(t *testing.T, addr string) error {
		t.Helper()
		at := time.Date(2026, 1, 2, 3, 4, 5, 123_456_789, time.UTC) // whose length is known
		e, err := leat.NewEvent("order.placed", &leat.EventOptions{ID: "1", Source: "/shop", Time: at})
		require.NoError(t, err)
		return leat.NewProducer(mistaken(t, addr, change), nil).Publish(t.Context(), topic, e.WithText(text))
	}
}

// declares returns what declaring says with options that change has changed.
func declares(sub leat.Subscription, change func(o *kafka.Options)) func(*testing.T, string) error {
	return func(t *testing.T, addr string) error {
		t.Helper()
		return leat.Declare(t.Context(), mistaken(t, addr, change), sub)
	}
}

// subscribes returns what subscribing says.
func subscribes(sub leat.Subscription, change func(o *kafka.Options)) func(*testing.T, string) error {
	return func(t *testing.T, addr string) error {
		t.Helper()
		_, err := mistaken(t, addr, change).Subscribe(t.Context(), sub)
		return err
	}
}

func mistaken(t *testing.T, addr string, change func(o *kafka.Options)) *kafka.Broker {
	t.Helper()
	o := quick(addr)
	o.RequestTimeout, o.DeliveryTimeout = 5*time.Second, 5*time.Second
	if change != nil {
		change(&o)
	}
	return open(t, o)
}

// parameters are those of a URL.
const parameters = `allow_plaintext, buffer, buffer_bytes, ca_file, cert_file, client_id, close_timeout, commit_interval, ` +
	`compression, delivery_timeout, dial_timeout, gap_limit, heartbeat_interval, instance_id, key_file, linger, mapping, ` +
	`max_message_bytes, no_record_key, partitions, password_file, protocol, provision, rack, rebalance_timeout, ` +
	`replication_factor, request_timeout, sasl, session_timeout, start, structured, tls, token_file`

// urlMistakes need no broker.
func urlMistakes() []mistake {
	makes := func(o kafka.Options) func(*testing.T, string) error {
		return func(*testing.T, string) error {
			_, err := kafka.New(&o)
			return err
		}
	}
	return []mistake{
		{"an unknown parameter", opens("kafka://localhost?group=billing"),
			`leat: open: invalid: parameter number 1 is unknown; there are ` + parameters},
		{"a setting of the Java client", opens("kafka://localhost?acks=all"),
			`leat: open: invalid: parameter number 1 is unknown; there are ` + parameters + `; publishes always wait for all ` +
				`in-sync replicas (acks=all); leave acks out`},
		{"other acks", makes(kafka.Options{Hosts: []string{"h"}, Client: []kgo.Opt{kgo.RequiredAcks(kgo.LeaderAck())}}),
			`leat: open: invalid: idempotency requires acks=all`},
		{"a value that is not one of a list", opens("kafka://localhost?provision=yes"),
			`leat: open: invalid: parameter provision is wrong; write one of create, verify, off`},
		{"a duration without a unit", opens("kafka://localhost?session_timeout=10"),
			`leat: open: invalid: parameter session_timeout is wrong; write a duration with its unit, such as 500ms or 10s, from ` +
				`100ms to 24h0m0s`},
		{"no partitions", opens("kafka://localhost?partitions=0"),
			`leat: open: invalid: parameter partitions is wrong; write a number from 1 to 1000000`},
		{"a password without TLS", opens("kafka://ann:secret@kafka.example.com"),
			`leat: open: invalid: SASL mechanism PLAIN without TLS shows the secret to the network; use TLS (tls=true, or ` +
				`Options.TLS), or set AllowPlaintext (allow_plaintext=true)`},
		{"a mechanism without a user", opens("kafka://localhost?sasl=PLAIN"),
			`leat: open: invalid: sasl needs a user in the URL, as in kafka://user:password@host:9092`},
		{"a certificate authority without TLS", opens("kafka://localhost?ca_file=ca.pem"),
			`leat: open: invalid: ca_file, cert_file and key_file need tls=true`},
		{"a topic in the URL", opens("kafka://localhost:9092/orders"),
			`leat: open: invalid: kafka:// takes hosts and parameters only; topics are named by subscriptions`},
		{"several brokers as several URLs", opens("kafka://a:9092,kafka://b:9092"),
			`leat: open: invalid: the broker URL cannot be used: an address has a port that is not a number from 1 to 65535; user ` +
				`and password end with @; use one of kafka://`},
		{"no hosts", makes(kafka.Options{}),
			`leat: open: invalid: no address in Hosts; name at least one as host:port`},
		{"a URL as a host", makes(kafka.Options{Hosts: []string{"kafka://localhost:9092"}}),
			`leat: open: invalid: Options.Hosts: an address has a port that is not a number from 1 to 65535; each element is one ` +
				`host:port, without a scheme`},
		{"several brokers in one host", makes(kafka.Options{Hosts: []string{"a:9092,b:9092"}}),
			`leat: open: invalid: Options.Hosts: an address has a port that is not a number from 1 to 65535; each element is one ` +
				`host:port, without a scheme`},
	}
}

// brokerMistakes need a broker. free is an address where nobody listens, and web that of an HTTP
// server.
func brokerMistakes(s *secured, free, web string) []mistake {
	orders, declared := leat.Subscription{Topic: "orders", Group: "billing"}, leat.Subscription{Topic: "declared", Group: "g"}
	at := func(host string) func(o *kafka.Options) { return func(o *kafka.Options) { o.Hosts = []string{host} } }
	as := func(user, secret string) func(o *kafka.Options) {
		return func(o *kafka.Options) {
			o.Hosts, o.TLS = []string{s.addr("LOGIN")}, s.certs.TLS()
			o.SASL = &kafka.SASL{Mechanism: kafka.Plain, Credentials: password(user, secret)}
		}
	}
	const tlsOrLogin = `correct the port, TLS (tls=true of the URL, or Options.TLS) or the login (sasl and user:password@, or Options.SASL)`
	return []mistake{
		{"a wrong host", declares(orders, at("kafka..invalid:9092")),
			`leat: declare topic "orders": unavailable: no answer within the RequestTimeout of 5s: unable to dial: dial tcp: lookup ` +
				`kafka..invalid: no such host`},
		{"a wrong port", declares(orders, at(free)),
			`leat: declare topic "orders": unavailable: no answer within the RequestTimeout of 5s: unable to dial: dial tcp HOST: ` +
				`connect: connection refused`},
		{"a wrong port to publish", publishes("orders", "", at(free)),
			`leat: publish topic "orders" event "1": unavailable: not sent within the DeliveryTimeout of 5s: unable to dial: dial ` +
				`tcp HOST: connect: connection refused`},
		{"the port of an HTTP server", declares(orders, at(web)),
			`leat: declare topic "orders": unavailable: no answer within the RequestTimeout of 5s: the cluster has not answered; ` +
				`check that host and port are those of a Kafka broker`},
		{"the port of an HTTP server to publish", publishes("orders", "", at(web)),
			`leat: publish topic "orders" event "1": unavailable: not sent within the DeliveryTimeout of 5s: no broker has ` +
				`answered yet; check that host and port are those of a Kafka broker`},
		{"no TLS where there is some", declares(orders, at(s.addr("TLS"))),
			`leat: declare topic "orders": unavailable: no answer within the RequestTimeout of 5s: invalid large response size ` +
				`352518912 > limit 104857600; the first three bytes received appear to be a tls alert record for TLS v1.2; is this a ` +
				`plaintext connection speaking to a tls endpoint?; use TLS: tls=true of the URL, or Options.TLS`},
		{"TLS where there is none", declares(orders, func(o *kafka.Options) { *o = withTLS(*o) }),
			`leat: declare topic "orders": unavailable: no answer within the RequestTimeout of 5s: broker closed the connection ` +
				`immediately after a dial, which often happens if the client is using TLS when the broker is not expecting it: is ` +
				`TLS misconfigured on the client or the broker?; ` + tlsOrLogin},
		{"a certificate authority that is not known", declares(orders, func(o *kafka.Options) {
			at(s.addr("TLS"))(o)
			*o = withTLS(*o)
		}),
			`leat: declare topic "orders": unavailable: unable to dial: tls: failed to verify certificate: x509: certificate signed ` +
				`by unknown authority; correct the host, or give the broker's certificate authority: ca_file of the URL, or ` +
				`Options.TLS`},
		{"no login where one is due", declares(orders, at(s.addr("OPEN"))),
			`leat: declare topic "orders": unavailable: no answer within the RequestTimeout of 5s: broker closed the connection ` +
				`immediately after a request was issued, which often happens when SASL is required but not provided: is SASL ` +
				`missing?; ` + tlsOrLogin},
		{"no login where one is due to publish", publishes("orders", "", at(s.addr("OPEN"))),
			`leat: publish topic "orders" event "1": unavailable: not sent within the DeliveryTimeout of 5s: the broker ends each ` +
				`connection: EOF; if it is up, ` + tlsOrLogin},
		{"a wrong password", declares(orders, as(securedUser, "wrong")),
			`leat: declare topic "orders": unauthenticated: the broker refuses the login: SASL_AUTHENTICATION_FAILED: SASL ` +
				`Authentication failed.; correct the user or the password: user:password@ or password_file of the URL, or ` +
				`Options.SASL`},
		{"a wrong password to publish", publishes("orders", "", as(securedUser, "wrong")),
			`leat: publish topic "orders" event "1": unauthenticated: the broker refuses the login: SASL_AUTHENTICATION_FAILED: SASL ` +
				`Authentication failed.; correct the user or the password: user:password@ or password_file of the URL, or ` +
				`Options.SASL`},
		{"a mechanism that the broker does not have", declares(orders, func(o *kafka.Options) {
			as(securedUser, securedPassword)(o)
			o.Hosts, o.SASL.Mechanism = []string{s.addr("OAUTH")}, kafka.ScramSHA512
		}),
			`leat: declare topic "orders": unauthenticated: the broker refuses the login: UNSUPPORTED_SASL_MECHANISM: The broker ` +
				`does not support the requested SASL mechanism.; use a mechanism that the broker has: sasl of the URL, or ` +
				`Options.SASL.Mechanism`},
		{"no permission to create", declares(orders, as("bob", "bob-secret")),
			`leat: declare topic "orders": permission denied: TOPIC_AUTHORIZATION_FAILED: Not authorized to access topics: [Topic ` +
				`authorization failed.]; docs/kafka-acl.md lists the permissions`},
		{"no permission to publish", publishes("declared", "", as("bob", "bob-secret")),
			`leat: publish topic "declared" event "1": permission denied: CLUSTER_AUTHORIZATION_FAILED: Cluster authorization ` +
				`failed.; docs/kafka-acl.md lists the permissions`},
		{"no permission for the group", subscribes(declared, as("carl", "carl-secret")),
			`leat: subscribe topic "declared": permission denied: group g: unable to fetch offsets: GROUP_AUTHORIZATION_FAILED: Not ` +
				`authorized to access group: Group authorization failed.; docs/kafka-acl.md lists the permissions`},
		{"a topic that nobody has declared", publishes("orders", "", nil),
			`leat: publish topic "orders" event "1": not found: nobody has declared the topic yet; name it in ` +
				`ProducerOptions.Topics where it is published to, or call leat.Declare (leat.Run declares what its consumers read): ` +
				`UNKNOWN_TOPIC_OR_PARTITION: This server does not host this topic-partition.`},
		{"a subscription that nobody has declared", subscribes(orders, nil),
			`leat: subscribe topic "orders": not found: ` + undeclared},
		{"verify what does not exist", declares(orders, func(o *kafka.Options) { o.Provision = kafka.ProvisionVerify }),
			`leat: declare topic "orders": not found: ` + undeclared},
		{"a wrong number of partitions", declares(declared, func(o *kafka.Options) {
			o.Provision, o.Partitions = kafka.ProvisionVerify, 12
		}),
			`leat: declare topic "declared": conflict: the number of partitions is 1 and should be 12`},
		{"a configuration that Kafka does not have", declares(orders, func(o *kafka.Options) {
			o.ReplicationFactor, o.TopicConfig = 0, map[string]string{"retention": "7d"}
		}),
			`leat: declare topic "orders": invalid: INVALID_CONFIG: Configuration is invalid. (Unknown topic config name: retention)`},
		{"an event that is too large", publishes("declared", strings.Repeat("x", 20<<10), func(o *kafka.Options) {
			o.MaxMessageBytes = 16 << 10
		}),
			`leat: publish topic "declared" event "1": too large: the event has 20598 bytes; at most 6272 are allowed; ` +
				`publish a reference to large data, or raise the limit of the broker's adapter`},
		{"an event that is too large for the topic", publishes("small", strings.Repeat("x", 20<<10), func(o *kafka.Options) {
			o.Compression = "none"
		}),
			`leat: publish topic "small" event "1": too large: MESSAGE_TOO_LARGE: The request included a message larger than the ` +
				`max message size the server will accept (uncompressed_bytes=20633, compressed_bytes=20633); lower MaxMessageBytes ` +
				`(max_message_bytes of the URL) to what the topic takes, or raise its max.message.bytes`},
		{"a look at a poison queue that nobody has declared", func(t *testing.T, addr string) (err error) {
			t.Helper()
			for _, err = range poison.Peek(t.Context(), mistaken(t, addr, nil), orders, nil) {
				continue // the last one counts
			}
			return err
		},
			`leat: browse topic "orders.billing.poison": not found: nobody has declared a poison queue of this name; check topic ` +
				`and group: ` + undeclared},
		{"a broker that is closed", func(t *testing.T, addr string) error {
			t.Helper()
			b := mistaken(t, addr, nil)
			require.NoError(t, b.Close())
			return leat.Declare(t.Context(), b, orders)
		},
			`leat: declare topic "orders": closed: the Kafka broker is closed; close it behind the last Producer and Consumer`},
	}
}

const undeclared = `nobody has declared the topic yet; declare it (leat.Declare, ProducerOptions.Topics, or leat.Run for what its ` +
	`consumers read) with ProvisionCreate (provision=create), or create it`

// TestMistakesSayWhatToDo: the commonest mistakes, and the exact text of each.
func TestMistakesSayWhatToDo(t *testing.T) {
	t.Parallel()
	s := newSecured(t)
	create := func(topic string, config map[string]*string) {
		require.Eventually(t, func() bool { // a broker that has just started may not count as one yet
			_, err := s.admin.CreateTopic(t.Context(), 1, -1, config, topic)
			return err == nil || errors.Is(err, kerr.TopicAlreadyExists)
		}, livePatience, 100*time.Millisecond)
	}
	few := "1000"
	create("declared", nil)
	create("small", map[string]*string{"max.message.bytes": &few})
	s.allow(t, "carl", topicACL("declared", kadm.OpRead))
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	free, _ := vacant(t)
	resolver := regexp.MustCompile(`lookup (\S+) on \S+:`)
	for _, m := range append(urlMistakes(), brokerMistakes(s, free, web.Listener.Addr().String())...) {
		t.Run(m.made, func(t *testing.T) {
			t.Parallel() // most wait for a timeout
			err := m.do(t, s.cluster.Addrs()[0])
			if !assert.Error(t, err, "it is not silent") {
				return
			}
			text := resolver.ReplaceAllString(strings.ReplaceAll(err.Error(), free, "HOST"), "lookup $1:")
			assert.Equal(t, m.want, text)
			assert.NotContains(t, text, "\n")
			assert.Equal(t, 1, strings.Count(text, "leat: "))
		})
	}
}
