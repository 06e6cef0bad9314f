package rabbitmq_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/rabbitmq"
	"github.com/leatgo/leat/internal/brokertest"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
)

// What follows is for tests on a real RabbitMQ, which other tests may use at the same time.

// livePatience is how long to wait for what must happen, on a busy machine.
const livePatience = 30 * time.Second

var liveNames atomic.Int64

// liveName returns a name that no other test uses.
func liveName(t testing.TB) string {
	t.Helper()
	base := strings.NewReplacer("/", "-", "#", "-", "_", "-", "=", "-", ",", "-").Replace(t.Name())
	return fmt.Sprintf("%s.%d.%d", base[:min(len(base), 80)], time.Now().UnixNano()%1_000_000_000, liveNames.Add(1))
}

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
