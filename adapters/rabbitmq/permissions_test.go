package rabbitmq_test

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/rabbitmq"
	"github.com/leatgo/leat/internal/brokertest"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func login(user, password string) func(context.Context) (string, string, error) {
	return func(context.Context) (string, string, error) { return user, password, nil }
}

// privileges are the permissions of one use of the adapter, as names in which "X" is the exchange
// of the topic, "Q" the queue of the group and "B" that of a broadcast. Each is needed: the test
// takes them away one by one. docs/rabbitmq.md has them as a table.
type privileges struct {
	use                    string
	configure, write, read []string
	exists                 bool // the topology exists before
	call                   func(ctx context.Context, t *testing.T, b *rabbitmq.Broker, sub leat.Subscription) error
	change                 func(o *rabbitmq.Options)
}

func leastPrivileges() []privileges {
	declare := func(ctx context.Context, _ *testing.T, b *rabbitmq.Broker, sub leat.Subscription) error {
		return b.Declare(ctx, sub)
	}
	names := func(names ...string) []string { return names }
	return []privileges{
		{use: "publish", write: names("X"), exists: true, call: rawPublish},
		{use: "consume", read: names("Q"), exists: true, call: rawConsume},
		{use: "broadcast", configure: names("B"), write: names("B"), read: names("B", "X"), exists: true, call: rawBroadcast},
		{use: "provision=create", configure: names("X", "Q", "Q:dead"), write: names("Q", "amq.default"), read: names("X", "Q"), call: declare},
		{use: "provision=create of what exists", configure: names("X", "Q", "Q:dead"), write: names("Q"), read: names("X"), exists: true,
			call: declare},
		{use: "provision=create, classic", configure: names("X", "Q"), write: names("Q"), read: names("X"), call: declare,
			change: func(o *rabbitmq.Options) { o.QueueType = rabbitmq.QueueClassic }},
		{use: "provision=create of a queue beside an existing exchange", configure: names("Q", "Q:dead"), write: names("Q", "amq.default"),
			read: names("X", "Q"), exists: true, call: declare, change: func(o *rabbitmq.Options) {
				o.Exchange = func(_ string, x *rabbitmq.Exchange) { x.Existing = true }
				o.Queue = func(_ leat.Subscription, q *rabbitmq.Queue) {
					q.Name += "2"
					q.DeadLetterQueue = q.Name + ":dead"
				}
			}},
		{use: "a delay queue", configure: names("Q:delay:1m0s"), write: names("amq.default"), read: names("Q:delay:1m0s"), exists: true,
			call: rawDelay},
		{use: "provision=verify", exists: true, call: declare, change: func(o *rabbitmq.Options) { o.Provision = rabbitmq.ProvisionVerify }},
		{use: "Lag", exists: true, call: func(ctx context.Context, _ *testing.T, b *rabbitmq.Broker, sub leat.Subscription) error {
			_, err := b.Lag(ctx, sub.Topic, sub.Group)
			return err
		}},
	}
}

// onChannel calls f with a channel of the broker's user. The error is that by which the channel is
// closed, where f has none.
func onChannel(ctx context.Context, b *rabbitmq.Broker, f func(ch *amqp.Channel) error) error {
	err := b.WithChannel(ctx, func(ch *amqp.Channel) error {
		closed := ch.NotifyClose(make(chan *amqp.Error, 1))
		if err := f(ch); err != nil {
			return err
		}
		if err := ch.Qos(1, 0, false); err != nil { // whose answer comes after what closes the channel
			return <-closed
		}
		return nil
	})
	if err != nil {
		return &leat.Error{Op: "raw", Code: refusedBy(err), Err: err}
	}
	return nil
}

// refusedBy is the code of ACCESS_REFUSED.
func refusedBy(err error) leat.Code {
	if refused, ok := errors.AsType[*amqp.Error](err); ok && refused.Code == amqp.AccessRefused {
		return leat.CodePermissionDenied
	}
	return leat.CodeInternal
}

func rawPublish(ctx context.Context, _ *testing.T, b *rabbitmq.Broker, sub leat.Subscription) error {
	return onChannel(ctx, b, func(ch *amqp.Channel) error {
		return ch.PublishWithContext(ctx, sub.Topic, "k", true, false, amqp.Publishing{DeliveryMode: amqp.Persistent})
	})
}

func rawConsume(ctx context.Context, _ *testing.T, b *rabbitmq.Broker, sub leat.Subscription) error {
	return onChannel(ctx, b, func(ch *amqp.Channel) error {
		_, err := ch.Consume(sub.Topic+".g", "", false, false, false, false, nil)
		return err
	})
}

func rawBroadcast(ctx context.Context, _ *testing.T, b *rabbitmq.Broker, sub leat.Subscription) error {
	queue := sub.Topic + ":broadcast:1"
	return onChannel(ctx, b, func(ch *amqp.Channel) error {
		if _, err := ch.QueueDeclare(queue, false, false, true, false, nil); err != nil {
			return err
		}
		if err := ch.QueueBind(queue, "#", sub.Topic, false, nil); err != nil {
			return err
		}
		_, err := ch.Consume(queue, "", false, true, false, false, nil)
		return err
	})
}

func rawDelay(ctx context.Context, _ *testing.T, b *rabbitmq.Broker, sub leat.Subscription) error {
	queue := sub.Topic + ".g:delay:1m0s"
	return onChannel(ctx, b, func(ch *amqp.Channel) error {
		if _, err := ch.QueueDeclare(queue, true, false, false, false, amqp.Table{
			amqp.QueueTypeArg: amqp.QueueTypeQuorum, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": sub.Topic + ".g",
		}); err != nil {
			return err
		}
		return ch.PublishWithContext(ctx, "", queue, true, false, amqp.Publishing{DeliveryMode: amqp.Persistent})
	})
}

// without returns names less the one at i.
func without(names []string, i int) []string { return slices.Delete(slices.Clone(names), i, i+1) }

// testPermissions checks that each use works with exactly its permissions, and that without any one
// of them it says what is refused.
func testPermissions(t *testing.T, n *brokertest.RabbitMQNode) {
	for _, p := range leastPrivileges() {
		t.Run(p.use, func(t *testing.T) {
			require.NoError(t, p.try(t, n, p.configure, p.write, p.read), "with all of its permissions")
			for kind, names := range map[string][]string{"configure": p.configure, "write": p.write, "read": p.read} {
				for i, name := range names {
					configure, write, read := p.configure, p.write, p.read
					switch kind {
					case "configure":
						configure = without(names, i)
					case "write":
						write = without(names, i)
					default:
						read = without(names, i)
					}
					err := p.try(t, n, configure, write, read)
					assert.Equal(t, leat.CodePermissionDenied, leat.CodeOf(err), "without %s on %s: %v", kind, name, err)
					if err != nil && name != "amq.default" {
						assert.ErrorContains(t, err, "refused for user", "without %s on %s", kind, name)
					}
				}
			}
		})
	}
}

// try calls a use of its own topic by a user who has these permissions.
func (p *privileges) try(t *testing.T, n *brokertest.RabbitMQNode, configure, write, read []string) error {
	t.Helper()
	sub := liveSub(t)
	if p.exists {
		require.NoError(t, liveBroker(t, liveOptions(n)).Declare(t.Context(), sub))
	}
	queue := sub.Topic + ".g"
	if strings.Contains(p.use, "beside") {
		queue += "2"
	}
	pattern := func(names []string) string {
		var all []string
		for _, name := range names {
			name = strings.Replace(name, "Q", queue, 1)
			name = strings.Replace(name, "B", sub.Topic+":broadcast:1", 1)
			all = append(all, regexp.QuoteMeta(strings.Replace(name, "X", sub.Topic, 1)))
		}
		if len(all) == 0 {
			return ""
		}
		return "^(" + strings.Join(all, "|") + ")$"
	}
	user := liveName(t)
	require.NoError(t, n.AddUser(t.Context(), user, "p"))
	require.NoError(t, n.SetPermissions(t.Context(), user, "/", pattern(configure), pattern(write), pattern(read)))
	o := liveOptions(n)
	o.Credentials = login(user, "p")
	if p.change != nil {
		p.change(&o)
	}
	return p.call(t.Context(), t, liveBroker(t, o), sub)
}
