package rabbitmq_test

import (
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/rabbitmq"
	"github.com/leatgo/leat/internal/brokertest"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
)

// What follows is for tests on a real RabbitMQ, which other tests may use at the same time.

// What tests of all adapters share.
const livePatience = brokertest.Patience

var (
	liveName    = brokertest.Name
	liveEvents  = brokertest.Events
	liveHold    = brokertest.Hold
	liveReceive = brokertest.Receive
	liveNothing = brokertest.Nothing
	vacant      = brokertest.Vacant
	silent      = brokertest.Silent
)

// liveSub returns a subscription that no other test has.
func liveSub(t testing.TB) leat.Subscription {
	t.Helper()
	return leat.Subscription{Topic: liveName(t), Group: "g"}
}

// liveOptions are options for a node, by its administrator.
func liveOptions(n *brokertest.RabbitMQNode) rabbitmq.Options {
	return rabbitmq.Options{Hosts: []string{n.Addr()}, RequestTimeout: livePatience, CloseTimeout: 5 * time.Second}
}

// liveBroker returns a broker that the end of the test closes.
func liveBroker(t testing.TB, o rabbitmq.Options) *rabbitmq.Broker {
	t.Helper()
	b, err := rabbitmq.New(&o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// liveRaw returns a connection without Leat, that the end of the test closes.
func liveRaw(t testing.TB, url string) *amqp.Connection {
	t.Helper()
	c, err := amqp.Dial(url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// liveChannel returns a channel without Leat.
func liveChannel(t testing.TB, c *amqp.Connection) *amqp.Channel {
	t.Helper()
	ch, err := c.Channel()
	require.NoError(t, err)
	return ch
}
