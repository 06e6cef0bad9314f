package rabbitmq_test

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/rabbitmq"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// mistake is one that people make with RabbitMQ, and what they are told. HOST stands for the
// broker's address. The text is read as the person reads it who made the mistake: it says what is
// wrong, where, and what to do.
type mistake struct {
	made string
	do   func(t *testing.T, n *brokertest.RabbitMQNode) error
	want string
}

// opens returns what opening a URL says, which needs no broker.
func opens(url string) func(*testing.T, *brokertest.RabbitMQNode) error {
	return func(t *testing.T, _ *brokertest.RabbitMQNode) error {
		t.Helper()
		_, err := leat.Openers{"amqp": rabbitmq.Open, "amqps": rabbitmq.Open}.Open(t.Context(), url)
		return err
	}
}

// publishes returns what publishing says with options that change has changed.
func publishes(topic, text string, change func(o *rabbitmq.Options)) func(*testing.T, *brokertest.RabbitMQNode) error {
	return func(t *testing.T, n *brokertest.RabbitMQNode) error {
		t.Helper()
		at := time.Date(2026, 1, 2, 3, 4, 5, 123_456_789, time.UTC) // whose length is known
		e, err := leat.NewEvent("order.placed", &leat.EventOptions{ID: "1", Source: "/shop", Time: at})
		require.NoError(t, err)
		return leat.NewProducer(mistaken(t, n, change), nil).Publish(t.Context(), topic, e.WithText(text))
	}
}

// declares returns what declaring says with options that change has changed.
func declares(sub leat.Subscription, change func(o *rabbitmq.Options)) func(*testing.T, *brokertest.RabbitMQNode) error {
	return func(t *testing.T, n *brokertest.RabbitMQNode) error {
		t.Helper()
		return leat.Declare(t.Context(), mistaken(t, n, change), sub)
	}
}

func mistaken(t *testing.T, n *brokertest.RabbitMQNode, change func(o *rabbitmq.Options)) *rabbitmq.Broker {
	t.Helper()
	o := liveOptions(n)
	o.RequestTimeout, o.DeliveryTimeout = 5*time.Second, 5*time.Second
	if change != nil {
		change(&o)
	}
	return liveBroker(t, o)
}

func mistakes(vacant string) []mistake {
	orders := leat.Subscription{Topic: "orders", Group: "billing"}
	declared := leat.Subscription{Topic: "declared", Group: "g"}
	return []mistake{
		{"an unknown parameter", opens("amqp://localhost/?prefetch=10"),
			`leat: open: invalid: parameter number 1 is unknown; there are allow_plaintext, buffer, buffer_bytes, ca_file, ` +
				`cert_file, client_id, close_timeout, confirm_window, delivery_limit, delivery_timeout, dial_timeout, ` +
				`external, heartbeat, key_file, key_from, management_url, mapping, max_message_bytes, password_file, ` +
				`provision, publish_channels, queue_type, recycle_after, request_timeout, structured, unroutable`},
		{"a value that is not one of a list", opens("amqp://localhost/?provision=yes"),
			`leat: open: invalid: parameter provision is wrong; write one of create, verify, off`},
		{"a duration without a unit", opens("amqp://localhost/?heartbeat=10"),
			`leat: open: invalid: parameter heartbeat is wrong; write a duration with its unit, such as 500ms or 10s, from ` +
				`1s to 1h0m0s`},
		{"a password without TLS", opens("amqp://ann:secret@rabbit.example.com/"),
			`leat: open: invalid: a password without TLS shows it to the network; use TLS (amqps://), or set ` +
				`AllowPlaintext (allow_plaintext=true)`},
		{"a certificate authority without TLS", opens("amqp://localhost/?ca_file=ca.pem"),
			`leat: open: invalid: ca_file, cert_file and key_file need amqps://`},
		{"a wrong port", declares(orders, func(o *rabbitmq.Options) {
			o.Hosts, o.RequestTimeout = []string{vacant}, time.Second
		}),
			`leat: declare topic "orders": unavailable: no answer within the RequestTimeout of 1s: dial tcp HOST: connect: ` +
				`connection refused`},
		{"a wrong password", declares(orders, func(o *rabbitmq.Options) { o.Credentials = login("guest", "wrong") }),
			`leat: declare topic "orders": unauthenticated: Exception (403) Reason: "username or password not allowed"; ` +
				`correct the user or the password: user:password@ or password_file of the URL, or Options.Credentials`},
		{"a virtual host that does not exist", declares(orders, func(o *rabbitmq.Options) { o.VHost = "shop" }),
			`leat: declare topic "orders": not found: Exception (530) Reason: "NOT_ALLOWED - vhost shop not found"; create ` +
				`the virtual host, or name another: it is the path of the URL, or Options.VHost`},
		{"TLS where there is none", declares(orders, func(o *rabbitmq.Options) { o.TLS = &tls.Config{MinVersion: tls.VersionTLS12} }),
			`leat: declare topic "orders": unauthenticated: tls: first record does not look like a TLS handshake; what ` +
				`answers does not speak TLS: correct the port, which is 5671 by default, or do without TLS`},
		{"a topic that nobody has declared", publishes("orders", "", nil),
			`leat: publish topic "orders" event "1": not found: nobody has declared the topic yet; name it in ` +
				`ProducerOptions.Topics where it is published to, or call leat.Declare (leat.Run declares what its consumers ` +
				`read): Exception (404) Reason: "NOT_FOUND - no exchange 'orders' in vhost '/'"`},
		{"a topic without a group", publishes("lonely", "", nil),
			`leat: publish topic "lonely" event "1": not found: no queue takes it, the broker says 312 NO_ROUTE; declare ` +
				`the groups first (leat.Declare, or Run, which does), or set Unroutable`},
		{"an event that is too large", publishes("declared", strings.Repeat("x", 20<<10),
			func(o *rabbitmq.Options) { o.MaxMessageBytes = 16 << 10 }),
			`leat: publish topic "declared" event "1": too large: the event has 20598 bytes; at most 6720 are allowed; ` +
				`publish a reference to large data, or raise the limit of the broker's adapter`},
		{"no permission to declare", declares(orders, func(o *rabbitmq.Options) { o.Credentials = login("powerless", "p") }),
			`leat: declare topic "orders": permission denied: exchange "orders": Exception (403) Reason: "ACCESS_REFUSED - ` +
				`access to exchange 'orders' in vhost '/' refused for user"; docs/rabbitmq.md lists the permissions, and ` +
				`ProvisionOff (provision=off) needs the fewest`},
		{"no permission to publish", publishes("declared", "", func(o *rabbitmq.Options) { o.Credentials = login("powerless", "p") }),
			`leat: publish topic "declared" event "1": permission denied: Exception (403) Reason: "ACCESS_REFUSED - access ` +
				`to exchange 'declared' in vhost '/' refused for user"; docs/rabbitmq.md lists the permissions that publishing ` +
				`needs`},
		{"verify what does not exist", declares(orders, func(o *rabbitmq.Options) { o.Provision = rabbitmq.ProvisionVerify }),
			`leat: declare topic "orders": not found: exchange "orders": Exception (404) Reason: "NOT_FOUND - no exchange ` +
				`'orders' in vhost '/'"; declare a subscription of it (leat.Declare, or leat.Run, which does) with ` +
				`ProvisionCreate (provision=create), or create it`},
		{"verify a group that does not exist", declares(leat.Subscription{Topic: "declared", Group: "other"}, func(o *rabbitmq.Options) {
			o.Provision = rabbitmq.ProvisionVerify
		}),
			`leat: declare topic "declared": not found: queue "declared.other": Exception (404) Reason: "NOT_FOUND - no ` +
				`queue 'declared.other' in vhost '/'"; declare a subscription of it (leat.Declare, or leat.Run, which does) ` +
				`with ProvisionCreate (provision=create), or create it`},
		{"a group with another order", declares(leat.Subscription{Topic: declared.Topic, Group: declared.Group, Unordered: true}, nil),
			`leat: declare topic "declared": unsupported: the queue "declared.g" has x-single-active-consumer, so it keeps ` +
				`order, which the subscription gives up; subscribe without Unordered; or handle what the queue has, delete it ` +
				`while no consumer is connected, and declare it again: Exception (406) Reason: "PRECONDITION_FAILED - ` +
				`inequivalent arg 'x-single-active-consumer' for queue 'declared.g' in vhost '/': received none but current is ` +
				`the value 'true' of type 'bool'"`},
		{"a queue of another type", declares(declared, func(o *rabbitmq.Options) { o.QueueType = rabbitmq.QueueClassic }),
			`leat: declare topic "declared": conflict: the argument x-dead-letter-exchange of the queue "declared.g": ` +
				`Exception (406) Reason: "PRECONDITION_FAILED - inequivalent arg 'x-dead-letter-exchange' for queue ` +
				`'declared.g' in vhost '/': received none but current is the value '' of type 'longstr'"; it exists in another ` +
				`form: set Options.Queue to what it is, or delete it`},
		{"a broker that is closed", func(t *testing.T, n *brokertest.RabbitMQNode) error {
			t.Helper()
			b := mistaken(t, n, nil)
			require.NoError(t, b.Close())
			return leat.Declare(t.Context(), b, orders)
		},
			`leat: declare topic "orders": closed: the RabbitMQ broker is closed; close it behind the last Producer and ` +
				`Consumer`},
	}
}

// TestMistakesSayWhatToDo: the commonest mistakes, and the exact text of each.
func TestMistakesSayWhatToDo(t *testing.T) { //nolint:tparallel // one after the other, on one node
	t.Parallel()
	n := brokertest.StartRabbitMQ(t, nil)
	require.NoError(t, n.AddUser(t.Context(), "powerless", "p"))
	require.NoError(t, n.SetPermissions(t.Context(), "powerless", "/", "^$", "^$", "^$"))
	b := liveBroker(t, liveOptions(n))
	require.NoError(t, leat.Declare(t.Context(), b, leat.Subscription{Topic: "declared", Group: "g"}, leat.Subscription{Topic: "lonely"}))
	free := vacant(t)
	for _, m := range mistakes(free) {
		t.Run(m.made, func(t *testing.T) {
			err := m.do(t, n)
			if !assert.Error(t, err, "it is not silent") {
				return
			}
			text := strings.NewReplacer(n.Addr(), "HOST", free, "HOST").Replace(err.Error())
			assert.Equal(t, m.want, text)
			assert.NotContains(t, text, "\n")
			assert.Equal(t, 1, strings.Count(text, "leat: "))
		})
	}
}
