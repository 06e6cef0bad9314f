package rabbitmq_test

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/rabbitmq"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func login(user, password string) func(context.Context) (string, string, error) {
	return func(context.Context) (string, string, error) { return user, password, nil }
}

// privileges are the permissions of one use of the adapter, as names in which "X" is the exchange of the topic and "Q" the queue of the
// group. Each is needed: the test takes them away one by one. docs/rabbitmq.md has them as a table.
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
		{use: "provision=verify", exists: true, call: declare, change: func(o *rabbitmq.Options) { o.Provision = rabbitmq.ProvisionVerify }},
		{use: "Lag", exists: true, call: func(ctx context.Context, _ *testing.T, b *rabbitmq.Broker, sub leat.Subscription) error {
			_, err := b.Lag(ctx, sub.Topic, sub.Group)
			return err
		}},
	}
}

// without returns names less the one at i.
func without(names []string, i int) []string { return slices.Delete(slices.Clone(names), i, i+1) }

// testPermissions checks that each use works with exactly its permissions, and that without any one of them it says what is refused.
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
