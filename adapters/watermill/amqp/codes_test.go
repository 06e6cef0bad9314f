package amqp_test

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	wmamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/watermill/amqp"
	"github.com/leatgo/leat/internal/brokertest"
	native "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestSlowConnection: while a group connects, calls end with their contexts, and everything else
// goes on.
func TestSlowConnection(t *testing.T) {
	leavesNothing(t)
	var dials atomic.Int32
	dialing, release := make(chan struct{}), make(chan struct{})
	b := open(t, amqp.Options{AllowUnroutable: true, Configure: func(c *wmamqp.Config) {
		c.Connection.AmqpConfig.Dial = func(network, address string) (net.Conn, error) {
			if dials.Add(1) == 2 { // after that of the publishes
				close(dialing)
				<-release
			}
			return native.DefaultDial(patience)(network, address)
		}
	}})
	sub := group("slow")
	for _, call := range []func(ctx context.Context) error{
		func(ctx context.Context) error { return leat.Declare(ctx, b, sub) },
		func(ctx context.Context) error {
			_, err := b.Subscribe(ctx, sub)
			return err
		},
	} {
		ctx, cancel := context.WithCancel(within(t))
		ended := make(chan error)
		go func() { ended <- call(ctx) }()
		<-dialing
		require.NoError(t, b.Health())
		require.NoError(t, leat.NewProducer(b, nil).Publish(within(t), sub.Topic, event(t, &leat.EventOptions{Source: "/s"})))
		other := sub
		other.Group = "other"
		require.NoError(t, leat.Declare(within(t), b, other))
		cancel()
		err := <-ended
		assert.Equal(t, leat.CodeCanceled, leat.CodeOf(err), "%v", err)
	}
	begun := time.Now()
	require.NoError(t, b.Close())
	assert.Less(t, time.Since(begun), 5*time.Second)
	close(release)
}

// TestLongNames: names that AMQP cannot hold are refused, and the connection goes on.
func TestLongNames(t *testing.T) {
	leavesNothing(t)
	b := open(t, amqp.Options{})
	sub := group("names")
	stream, err := b.Subscribe(within(t), sub)
	require.NoError(t, err)
	defer func() { assert.NoError(t, stream.Close(within(t))) }()
	e := event(t, &leat.EventOptions{Source: "/s"})
	require.NoError(t, leat.NewProducer(b, nil).Publish(within(t), sub.Topic, e))
	into := make([]leat.Delivery, 1)
	_, err = stream.Receive(within(t), into)
	require.NoError(t, err)

	long := leat.Subscription{Topic: strings.Repeat("t", 200), Group: strings.Repeat("g", 52)}
	require.NoError(t, long.Validate())
	err = leat.Declare(within(t), b, long)
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), "%v", err)
	_, err = b.Subscribe(within(t), long)
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), "%v", err)
	assert.False(t, into[0].Lease.Ended(), "the connection is still there")
	stream.Settle(&into[0], leat.Settlement{Action: leat.Ack})

	b = open(t, amqp.Options{Configure: func(c *wmamqp.Config) {
		c.Exchange.GenerateName = func(string) string { return strings.Repeat("x", 256) }
	}})
	err = leat.NewProducer(b, nil).Publish(within(t), sub.Topic, e)
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), "%v", err)
}

// TestCodes: what the broker refuses has the code of its reason.
func TestCodes(t *testing.T) {
	leavesNothing(t)
	b := open(t, amqp.Options{Channels: 1})
	sub := group("differs")
	raw := channel(t)
	_, err := raw.QueueDeclare(sub.Topic+".g", true, false, false, false, nil)
	require.NoError(t, err)
	err = leat.Declare(within(t), b, sub)
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), "%v", err)
	_, err = b.Subscribe(within(t), sub)
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), "%v", err)

	gone := group("gone")
	p, e := leat.NewProducer(b, nil), event(t, &leat.EventOptions{Source: "/s"})
	require.NoError(t, leat.Declare(within(t), b, gone))
	require.NoError(t, p.Publish(within(t), gone.Topic, e))
	require.NoError(t, raw.ExchangeDelete(gone.Topic, false, false))
	err = p.Publish(within(t), gone.Topic, e)
	assert.Equal(t, leat.CodeNotFound, leat.CodeOf(err), "%v", err)
	require.NoError(t, leat.Declare(within(t), b, gone))
	require.NoError(t, p.Publish(within(t), gone.Topic, e), "the channel was replaced")
}

// TestPermissions: what the user may not do is refused with the right code, and so are a password
// that was changed, and a virtual host that does not exist.
func TestPermissions(t *testing.T) {
	node := brokertest.StartRabbitMQ(t, nil)
	leavesNothing(t)
	ctx := within(t)
	require.NoError(t, node.AddUser(ctx, "reader", "first"))
	require.NoError(t, node.SetPermissions(ctx, "reader", "/", "^may.*", `^(may[.].*|amq[.]default)$`, ".*"))
	b := open(t, amqp.Options{URL: node.URLFor("reader", "first", "/")})
	p, e := leat.NewProducer(b, nil), event(t, &leat.EventOptions{Source: "/s"})
	err := leat.Declare(ctx, b, leat.Subscription{Topic: "mustnot", Group: "g"})
	assert.Equal(t, leat.CodePermissionDenied, leat.CodeOf(err), "%v", err)
	for _, topic := range []string{"mustnot", "may"} { // the exchange; the message
		err = p.Publish(ctx, topic, e)
		assert.Equal(t, leat.CodePermissionDenied, leat.CodeOf(err), "%v", err)
	}
	require.NoError(t, node.ChangePassword(ctx, "reader", "second"))
	err = leat.Declare(ctx, b, leat.Subscription{Topic: "may", Group: "another"})
	assert.Equal(t, leat.CodeUnauthenticated, leat.CodeOf(err), "%v", err)
	assert.NotContains(t, err.Error(), "first")
	require.NoError(t, node.ChangePassword(ctx, "reader", "first"))
	require.NoError(t, leat.Declare(ctx, b, leat.Subscription{Topic: "may", Group: "g"}))
	_, err = amqp.New(&amqp.Options{URL: node.URLFor("reader", "first", "nowhere")})
	assert.Equal(t, leat.CodeNotFound, leat.CodeOf(err), "%v", err)
}

// cut is a connection that ends when it was written to a second time, which is the login.
type cut struct {
	net.Conn

	writes atomic.Int32
}

func (c *cut) Write(b []byte) (int, error) {
	if c.writes.Add(1) > 1 {
		return len(b), c.Close()
	}
	return c.Conn.Write(b)
}

// TestCutLogin: a connection that ends during the login says nothing about the password.
func TestCutLogin(t *testing.T) {
	leavesNothing(t)
	_, err := amqp.New(&amqp.Options{URL: brokertest.RabbitMQ(t), Configure: func(c *wmamqp.Config) {
		c.Connection.AmqpConfig.Dial = func(network, address string) (net.Conn, error) {
			conn, err := native.DefaultDial(patience)(network, address)
			return &cut{Conn: conn}, err
		}
	}})
	assert.Equal(t, leat.CodeUnavailable, leat.CodeOf(err), "%v", err)
}

// TestConfigure: what Configure leaves out or has wrong is filled in or refused, before anything
// connects.
func TestConfigure(t *testing.T) {
	leavesNothing(t)
	secure := &tls.Config{MinVersion: tls.VersionTLS13}
	for _, o := range []amqp.Options{
		{TLS: secure},
		{Configure: func(c *wmamqp.Config) { c.Connection.TLSConfig = secure }},
		{URL: "amqps://127.0.0.1:1", TLS: secure, Configure: func(c *wmamqp.Config) { c.Connection.TLSConfig = secure }},
		{NackDelay: time.Hour},
	} {
		if o.URL == "" {
			o.URL = "amqp://127.0.0.1:1"
		}
		_, err := amqp.New(&o)
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), "%v", err)
	}

	calls := 0
	b := open(t, amqp.Options{Configure: func(c *wmamqp.Config) {
		if calls++; calls == 2 {
			c.Queue.GenerateName = nil
		}
	}})
	err := leat.Declare(within(t), b, group("bad"))
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), "%v", err)

	b = open(t, amqp.Options{AllowUnroutable: true, Configure: func(c *wmamqp.Config) {
		c.TopologyBuilder = nil
		c.Exchange.Type = native.ExchangeTopic
		c.Publish.GenerateRoutingKey = func(topic string) string { return topic }
		c.QueueBind.GenerateRoutingKey = func(topic string) string { return topic }
	}})
	assert.Len(t, through(t, b, group("topic")), 1)

	b = open(t, amqp.Options{AllowUnroutable: true, Configure: func(c *wmamqp.Config) {
		c.Exchange.GenerateName = func(string) string { return "" }
		c.Publish.GenerateRoutingKey = func(topic string) string { return topic + ".g" }
	}})
	assert.Len(t, through(t, b, group("default")), 1)

	b = open(t, amqp.Options{Configure: func(c *wmamqp.Config) {
		c.Exchange.GenerateName = func(string) string { return "" }
		c.Publish.GenerateRoutingKey = func(topic string) string { return topic + ".g" }
	}})
	sub := group("default")
	err = leat.NewProducer(b, nil).Publish(within(t), sub.Topic, event(t, &leat.EventOptions{Source: "/s"}))
	assert.Equal(t, leat.CodeNotFound, leat.CodeOf(err), "no queue takes it: %v", err)
	assert.Len(t, through(t, b, sub), 1)
}

// through publishes an event and returns what its group gets.
func through(t *testing.T, b leat.Broker, sub leat.Subscription) []leat.Event {
	t.Helper()
	require.NoError(t, leat.Declare(within(t), b, sub))
	require.NoError(t, leat.NewProducer(b, nil).Publish(within(t), sub.Topic, event(t, &leat.EventOptions{Source: "/s"})))
	return gather(t, b, sub, 1, ok)
}

// TestDurable: a queue or an exchange that ends by itself is not durable.
func TestDurable(t *testing.T) {
	leavesNothing(t)
	for _, configure := range []func(c *wmamqp.Config){
		func(c *wmamqp.Config) { c.Exchange.AutoDeleted = true },
		func(c *wmamqp.Config) { c.Queue.AutoDelete, c.Queue.Arguments = true, nil },
		func(c *wmamqp.Config) { c.Queue.Exclusive, c.Queue.Arguments = true, nil },
	} {
		b := open(t, amqp.Options{Unordered: true, Configure: configure})
		sub := group("ends")
		sub.Unordered = true
		stream, err := b.Subscribe(within(t), sub)
		require.NoError(t, err)
		assert.False(t, stream.Capabilities().Durable)
		require.NoError(t, stream.Close(within(t)))
	}
}

// TestTLSConfig: the TLSConfig of watermill-amqp counts, at which that does not look itself beside
// an AmqpConfig.
func TestTLSConfig(t *testing.T) {
	certs := brokertest.NewCerts(t)
	node := brokertest.StartRabbitMQ(t, &brokertest.RabbitMQOptions{Certs: certs})
	leavesNothing(t)
	b := open(t, amqp.Options{URL: node.TLSURL(), Configure: func(c *wmamqp.Config) { c.Connection.TLSConfig = certs.TLS() }})
	assert.Len(t, through(t, b, group("secure")), 1)
	_, err := amqp.New(&amqp.Options{URL: node.TLSURL()})
	assert.Equal(t, leat.CodeUnauthenticated, leat.CodeOf(err), "the authority is unknown: %v", err)
}
