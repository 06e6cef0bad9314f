package nats_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/nats"
	"github.com/leatgo/leat/internal/brokertest"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// mistake is one that people make with NATS, and what they are told. HOST stands for the server's
// address. The text is read as the person reads it who made the mistake: it says what is wrong,
// where, and what to do.
type mistake struct {
	made string
	do   func(t *testing.T, servers *servers) error
	want string
}

// servers are those that mistakes are made with.
type servers struct {
	good, token, encrypted, plain string // the last one has no JetStream
	vacant, web                   string
}

// opens returns what opening a URL says, which needs no server.
func opens(url string) func(*testing.T, *servers) error {
	return func(t *testing.T, _ *servers) error {
		t.Helper()
		_, err := leat.Openers{"nats": nats.Open, "tls": nats.Open}.Open(t.Context(), url)
		return err
	}
}

// publishes returns what publishing says with options that change has changed.
func publishes(topic, text string, change func(o *nats.Options, s *servers)) func(*testing.T, *servers) error {
	return func(t *testing.T, s *servers) error {
		t.Helper()
		at := time.Date(2026, 1, 2, 3, 4, 5, 123_456_789, time.UTC) // whose length is known
		e, err := leat.NewEvent("order.placed", &leat.EventOptions{ID: "1", Source: "/shop", Time: at})
		require.NoError(t, err)
		return leat.NewProducer(mistaken(t, s, change), nil).Publish(t.Context(), topic, e.WithText(text))
	}
}

// declares returns what declaring says with options that change has changed.
func declares(sub leat.Subscription, change func(o *nats.Options, s *servers)) func(*testing.T, *servers) error {
	return func(t *testing.T, s *servers) error {
		t.Helper()
		return leat.Declare(t.Context(), mistaken(t, s, change), sub)
	}
}

// subscribes returns what subscribing says with options that change has changed.
func subscribes(sub leat.Subscription, change func(o *nats.Options, s *servers)) func(*testing.T, *servers) error {
	return func(t *testing.T, s *servers) error {
		t.Helper()
		_, err := mistaken(t, s, change).Subscribe(t.Context(), sub)
		return err
	}
}

func mistaken(t *testing.T, s *servers, change func(o *nats.Options, s *servers)) *nats.Broker {
	t.Helper()
	o := nats.Options{Hosts: []string{s.good}, Credentials: user("ann")}
	o.RequestTimeout, o.DeliveryTimeout = brokertest.Patience, brokertest.Patience
	if change != nil {
		change(&o, s)
	}
	b, err := nats.New(&o)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.Close()) })
	return b
}

func user(name string) func(context.Context) (string, string, error) {
	return func(context.Context) (string, string, error) { return name, "p", nil }
}

func secret(text string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return text, nil }
}

func mistakes() []mistake {
	orders := leat.Subscription{Topic: "orders", Group: "billing"}
	declared := leat.Subscription{Topic: "declared", Group: "g"}
	mortal := leat.Subscription{Topic: "declared", Group: "mortal", Unordered: true}
	at := func(host func(s *servers) string) func(o *nats.Options, s *servers) {
		return func(o *nats.Options, s *servers) { o.Hosts, o.Credentials = []string{host(s)}, nil }
	}
	as := func(name string) func(o *nats.Options, s *servers) {
		return func(o *nats.Options, _ *servers) { o.Credentials = user(name) }
	}
	unanswered := func(change func(o *nats.Options, s *servers)) func(o *nats.Options, s *servers) {
		return func(o *nats.Options, s *servers) {
			o.RequestTimeout = 2 * time.Second
			change(o, s)
		}
	}
	return []mistake{
		{"an unknown parameter", opens("nats://localhost?stream=orders"),
			`leat: open: invalid: parameter number 1 is unknown; there are ack_wait, allow_plaintext, buffer, buffer_bytes, ` +
				`ca_file, cert_file, client_id, close_timeout, creds_file, deduplicate, delivery_timeout, dial_timeout, domain, ` +
				`inbox_prefix, key_file, key_header, mapping, max_age, max_message_bytes, nkey_file, password_file, pinned_ttl, ` +
				`provision, replicas, request_timeout, start, structured, token_file`},
		{"a value that is not one of a list", opens("nats://localhost?provision=yes"),
			`leat: open: invalid: parameter provision is wrong; write one of create, verify, off`},
		{"a duration without a unit", opens("nats://localhost?ack_wait=10"),
			`leat: open: invalid: parameter ack_wait is wrong; write a duration with its unit, such as 500ms or 10s, from 1s to ` +
				`24h0m0s`},
		{"a duration that is too short", opens("nats://localhost?ack_wait=10ms"),
			`leat: open: invalid: parameter ack_wait is wrong; write a duration with its unit, such as 500ms or 10s, from 1s to ` +
				`24h0m0s`},
		{"an option out of its range", func(*testing.T, *servers) error {
			_, err := nats.New(&nats.Options{Hosts: []string{"localhost"}, AckWait: 10 * time.Millisecond})
			return err
		},
			`leat: open: invalid: Options.AckWait is out of its range; use 1s to 24h0m0s, or 0 for the default`},
		{"a path", opens("nats://localhost/orders"),
			`leat: open: invalid: a nats URL has hosts and parameters only; leave the path out`},
		{"a password without TLS", opens("nats://ann:secret@nats.example.com"),
			`leat: open: invalid: a password or token without TLS shows it to the network; use TLS (tls://), or set AllowPlaintext ` +
				`(allow_plaintext=true)`},
		{"a certificate authority without TLS", opens("nats://localhost?ca_file=ca.pem"),
			`leat: open: invalid: ca_file, cert_file and key_file need tls://`},
		{"two logins", opens("nats://ann:p@localhost?token_file=t"),
			`leat: open: invalid: more than one of Credentials, Token, Creds and NKey; set one (of user:password@ or password_file, ` +
				`token@ or token_file, creds_file and nkey_file)`},
		{"a domain that is a subject", opens("nats://localhost?domain=a.b"),
			`leat: open: invalid: Options.Domain (domain) is not a name; write one without dots, spaces, '*' and '>'`},
		{"an inbox prefix that is a pattern", opens("nats://localhost?inbox_prefix=inbox.>"),
			`leat: open: invalid: Options.InboxPrefix (inbox_prefix) is not a subject; write names with dots between them, without ` +
				`spaces, '*' and '>'`},
		{"a wrong host", declares(orders, unanswered(at(func(*servers) string { return "nats..invalid" }))),
			`leat: declare topic "orders": unavailable: no answer within the RequestTimeout of 2s: not connected: dial tcp: lookup ` +
				`nats..invalid: no such host`},
		{"a wrong port", declares(orders, unanswered(at(func(s *servers) string { return s.vacant }))),
			`leat: declare topic "orders": unavailable: no answer within the RequestTimeout of 2s: not connected: dial tcp HOST: ` +
				`connect: connection refused`},
		{"a wrong port, when publishing", publishes("orders", "", func(o *nats.Options, s *servers) {
			o.Hosts, o.DeliveryTimeout = []string{s.vacant}, time.Second
		}),
			`leat: publish topic "orders" event "1": unavailable: not sent within the DeliveryTimeout of 1s: not connected: dial ` +
				`tcp HOST: connect: connection refused`},
		{"the port of a web server", declares(orders, unanswered(func(o *nats.Options, s *servers) {
			o.Hosts, o.Credentials, o.DialTimeout = []string{s.web}, nil, 500*time.Millisecond
		})),
			`leat: declare topic "orders": unavailable: no answer within the RequestTimeout of 2s: not connected: read tcp ` +
				`ANY->HOST: i/o timeout; what answers does not say that it is a NATS server: correct the port, which is 4222 by default`},
		{"TLS where there is none", declares(orders, func(o *nats.Options, _ *servers) { o.TLS = &tls.Config{MinVersion: tls.VersionTLS12} }),
			`leat: declare topic "orders": unauthenticated: not connected: nats: secure connection not available; the server does ` +
				`not offer TLS: write nats:// and not tls://, or leave Options.TLS nil`},
		{"no TLS where it is needed", declares(orders, at(func(s *servers) string { return s.encrypted })),
			`leat: declare topic "orders": unauthenticated: not connected: nats: tls error: tls: failed to verify certificate: ` +
				`x509: certificate signed by unknown authority; give the certificate authority of the servers: ca_file of the URL with ` +
				`tls://, or Options.TLS`},
		{"no login", declares(orders, func(o *nats.Options, _ *servers) { o.Credentials = nil }),
			`leat: declare topic "orders": unauthenticated: not connected: nats: Authorization Violation; correct the login: ` +
				`user:password@, token@, password_file, token_file, creds_file or nkey_file of the URL, or Options.Credentials, Token, ` +
				`Creds or NKey`},
		{"a wrong password", declares(orders, func(o *nats.Options, _ *servers) {
			o.Credentials = func(context.Context) (string, string, error) { return "ann", "wrong", nil }
		}),
			`leat: declare topic "orders": unauthenticated: not connected: nats: Authorization Violation; correct the login: ` +
				`user:password@, token@, password_file, token_file, creds_file or nkey_file of the URL, or Options.Credentials, Token, ` +
				`Creds or NKey`},
		{"a wrong password, when publishing", publishes("declared", "", func(o *nats.Options, _ *servers) {
			o.Credentials = func(context.Context) (string, string, error) { return "ann", "wrong", nil }
		}),
			`leat: publish topic "declared" event "1": unauthenticated: not connected: nats: Authorization Violation; correct the ` +
				`login: user:password@, token@, password_file, token_file, creds_file or nkey_file of the URL, or Options.Credentials, ` +
				`Token, Creds or NKey`},
		{"a wrong token", declares(orders, func(o *nats.Options, s *servers) {
			o.Hosts, o.Credentials, o.Token = []string{s.token}, nil, secret("wrong")
		}),
			`leat: declare topic "orders": unauthenticated: not connected: nats: Authorization Violation; correct the login: ` +
				`user:password@, token@, password_file, token_file, creds_file or nkey_file of the URL, or Options.Credentials, Token, ` +
				`Creds or NKey`},
		{"no credentials file", func(t *testing.T, s *servers) error { t.Helper(); return try(t, "nats://"+s.good+"?creds_file=/none") },
			`leat: declare topic "t": unauthenticated: not connected: no credentials: creds_file cannot be read: no such file or ` +
				`directory`},
		{"another file for credentials", declares(orders, func(o *nats.Options, _ *servers) {
			o.Credentials, o.Creds = nil, secret("user: ann")
		}),
			`leat: declare topic "orders": unauthenticated: not connected: no credentials: no JWT; give a credentials file, as nsc ` +
				`writes it: creds_file of the URL, or Options.Creds`},
		{"another file for an nkey", declares(orders, func(o *nats.Options, _ *servers) {
			o.Credentials, o.NKey = nil, secret("user: ann")
		}),
			`leat: declare topic "orders": unauthenticated: not connected: no credentials: no seed of an nkey, which begins with ` +
				`SU: correct nkey_file or creds_file of the URL, or Options.NKey or Creds`},
		{"no JetStream", declares(orders, at(func(s *servers) string { return s.plain })),
			`leat: declare topic "orders": unsupported: the stream "orders": nats: API error: code=503 err_code=10039 ` +
				`description=JetStream not enabled for account; turn JetStream on in the servers, and for the account`},
		{"no JetStream, when publishing", publishes("orders", "", at(func(s *servers) string { return s.plain })),
			`leat: publish topic "orders" event "1": not found: nobody has declared the topic yet, so no stream takes the subject ` +
				`"leat.orders"; name it in ProducerOptions.Topics where it is published to, or call leat.Declare (leat.Run declares ` +
				`what its consumers read)`},
		{"a wrong domain", declares(orders, func(o *nats.Options, _ *servers) { o.Domain = "hub" }),
			`leat: declare topic "orders": unavailable: the stream "orders": nats: no responders available for request; no server ` +
				`has JetStream in this domain: correct Options.Domain (domain of the URL)`},
		{"a topic that nobody has declared", publishes("orders", "", nil),
			`leat: publish topic "orders" event "1": not found: nobody has declared the topic yet, so no stream takes the subject ` +
				`"leat.orders"; name it in ProducerOptions.Topics where it is published to, or call leat.Declare (leat.Run declares ` +
				`what its consumers read)`},
		{"an event that is too large", publishes("declared", strings.Repeat("x", 100<<10),
			func(o *nats.Options, _ *servers) { o.MaxMessageBytes = 128 << 10 }),
			`leat: publish topic "declared" event "1": too large: the event has 102518 bytes; at most 55552 are allowed; publish a ` +
				`reference to large data, or raise the limit of the broker's adapter`},
		{"an event beyond the servers' max_payload", publishes("declared", strings.Repeat("x", 300<<10), nil),
			`leat: publish topic "declared" event "1": too large: nats: maximum payload exceeded, the max_payload of the servers; ` +
				`raise that, or publish a reference to large data`},
		{"no permission to create", declares(orders, unanswered(as("bob"))),
			`leat: declare topic "orders": permission denied: no answer within the RequestTimeout of 2s: nats: permissions ` +
				`violation: Permissions Violation for Publish to "$JS.API.STREAM.CREATE.orders"; docs/nats.md lists the permissions`},
		{"no permission to publish", publishes("declared", "", as("bob")),
			`leat: publish topic "declared" event "1": unknown outcome: nats: permissions violation: Permissions Violation for ` +
				`Publish to "leat.declared"; docs/nats.md lists the permissions`},
		{"no permission for the inbox", declares(declared, unanswered(as("eve"))),
			`leat: declare topic "declared": permission denied: no answer within the RequestTimeout of 2s: nats: permissions ` +
				`violation: Permissions Violation for Subscription to "ANY.*"; give the user this permission, or set ` +
				`Options.InboxPrefix (inbox_prefix) to one that it has`},
		{"verify what does not exist", declares(orders, func(o *nats.Options, _ *servers) { o.Provision = nats.ProvisionVerify }),
			`leat: declare topic "orders": not found: the stream "orders": nats: API error: code=404 err_code=10059 ` +
				`description=stream not found; declare a subscription of it (leat.Declare, or leat.Run, which does) with ` +
				`ProvisionCreate (provision=create), or create it`},
		{"subscribe to what does not exist", subscribes(orders, func(o *nats.Options, _ *servers) { o.Provision = nats.ProvisionOff }),
			`leat: subscribe topic "orders": not found: the stream "orders": nats: API error: code=404 err_code=10059 ` +
				`description=stream not found; declare a subscription of it (leat.Declare, or leat.Run, which does) with ` +
				`ProvisionCreate (provision=create), or create it`},
		{"verify a group that does not exist", declares(leat.Subscription{Topic: "declared", Group: "other"}, func(o *nats.Options, _ *servers) {
			o.Provision = nats.ProvisionVerify
		}),
			`leat: declare topic "declared": not found: the consumer "other" of the stream "declared": nats: API error: code=404 ` +
				`err_code=10014 description=consumer not found; declare a subscription of it (leat.Declare, or leat.Run, which does) ` +
				`with ProvisionCreate (provision=create), or create it`},
		{"a group with another order", declares(leat.Subscription{Topic: "declared", Group: "free"}, nil),
			`leat: declare topic "declared": unsupported: the consumer "free" of the stream "declared" does not keep order; set ` +
				`Subscription.Unordered, or recreate it with the policy pinned_client`},
		{"a stream of another subject", declares(leat.Subscription{Topic: "foreign"}, nil),
			`leat: declare topic "foreign": unsupported: the stream "foreign" does not take the subject "leat.foreign"; add it to ` +
				`the stream, or set Options.Stream`},
		{"a stream of another topic", declares(leat.Subscription{Topic: "mine"}, func(o *nats.Options, _ *servers) {
			o.Stream = func(_ string, c *jetstream.StreamConfig) { c.Name = "declared" }
		}),
			`leat: declare topic "mine": conflict: the stream "declared" is that of the topic "declared"; name one of them by ` +
				`Options.Stream`},
		{"a subject of another stream", declares(leat.Subscription{Topic: "mine"}, func(o *nats.Options, _ *servers) {
			o.Stream = func(_ string, c *jetstream.StreamConfig) { c.Subjects = []string{"leat.declared"} }
		}),
			`leat: declare topic "mine": conflict: the stream "mine": nats: API error: code=400 err_code=10065 description=subjects ` +
				`overlap with an existing stream; another stream takes a subject of the topic: name that stream by Options.Stream, or ` +
				`give the topic other subjects`},
		{"a consumer that gives up", declares(mortal, func(o *nats.Options, _ *servers) { o.Provision = nats.ProvisionVerify }),
			`leat: declare topic "declared": unsupported: the consumer "mortal" of the stream "declared" gives up after max_deliver ` +
				`deliveries; set that to -1, and use a poison queue`},
		{"more replicas than servers", declares(orders, func(o *nats.Options, _ *servers) { o.Replicas = 3 }),
			`leat: declare topic "orders": unsupported: the stream "orders": nats: API error: code=500 err_code=10074 ` +
				`description=replicas > 1 not supported in non-clustered mode; set Options.Replicas (replicas) to no more than there ` +
				`are servers`},
		{"a broker that is closed", func(t *testing.T, s *servers) error {
			t.Helper()
			b := mistaken(t, s, nil)
			require.NoError(t, b.Close())
			return leat.Declare(t.Context(), b, orders)
		},
			`leat: declare topic "orders": closed: the NATS broker is closed; close it behind the last Producer and Consumer`},
	}
}

// startServers starts them, with what mistakes are made about.
func startServers(t *testing.T) *servers {
	t.Helper()
	good := brokertest.StartNATS(t, &brokertest.NATSOptions{Config: `authorization { users: [ {user: ann, password: p},
		{user: bob, password: p, permissions: {publish: {deny: ["leat.declared", "$JS.API.STREAM.CREATE.>"]}}},
		{user: eve, password: p, permissions: {subscribe: {deny: "_INBOX.>"}}} ] }
		max_payload: 262144`}).Addr()
	s := &servers{
		good: good, vacant: brokertest.Vacant(t),
		token:     brokertest.StartNATS(t, &brokertest.NATSOptions{Config: `authorization { token: "right" }`}).Addr(),
		encrypted: brokertest.StartNATS(t, &brokertest.NATSOptions{Certs: brokertest.NewCerts(t)}).Addr(),
		plain: brokertest.StartNATS(t, &brokertest.NATSOptions{Config: `accounts { A { users: [{user: u, password: p}] } }
			no_auth_user: u`}).Addr(),
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	web := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Minute}
	go func() { _ = web.Serve(l) }()
	t.Cleanup(func() { _ = web.Close() })
	s.web = l.Addr().String()

	b := mistaken(t, s, nil)
	require.NoError(t, leat.Declare(t.Context(), b, leat.Subscription{Topic: "declared", Group: "g"},
		leat.Subscription{Topic: "declared", Group: "free", Unordered: true}))
	js := jetStreamAt(t, good)
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "foreign", Subjects: []string{"invoices"}})
	require.NoError(t, err)
	_, err = js.CreateConsumer(t.Context(), "declared", jetstream.ConsumerConfig{
		Durable: "mortal", AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: 3,
	})
	require.NoError(t, err)
	return s
}

// jetStreamAt returns a native client of the server whose user is ann.
func jetStreamAt(t *testing.T, address string) jetstream.JetStream {
	t.Helper()
	nc, err := natsgo.Connect("nats://ann:p@" + address)
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	return js
}

// passing is what differs from run to run: the port of a client, and its inbox.
var passing = regexp.MustCompile(`127\.0\.0\.1:\d+|_INBOX\.\w+`)

// TestMistakesSayWhatToDo: the commonest mistakes, and the exact text of each.
func TestMistakesSayWhatToDo(t *testing.T) { //nolint:tparallel // on their servers they run one after the other
	t.Parallel()
	s := startServers(t)
	hosts := strings.NewReplacer(s.good, "HOST", s.token, "HOST", s.encrypted, "HOST", s.plain, "HOST", s.vacant, "HOST", s.web, "HOST")
	for _, m := range mistakes() {
		t.Run(m.made, func(t *testing.T) {
			err := m.do(t, s)
			if !assert.Error(t, err, "it is not silent") {
				return
			}
			text := passing.ReplaceAllString(hosts.Replace(err.Error()), "ANY")
			assert.Equal(t, m.want, text)
			assert.NotContains(t, text, "\n")
			assert.Equal(t, 1, strings.Count(text, "leat: "))
		})
	}
}
