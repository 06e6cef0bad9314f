package googlecloud_test

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/watermill"
	"github.com/leatgo/leat/adapters/watermill/googlecloud"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

func TestMain(m *testing.M) {
	brokertest.MainChecked(m, func() error {
		// Google's client leaves one for each stream, which waits for a stopped ticker, and one
		// for the process.
		return goleak.Find(goleak.IgnoreTopFunction("cloud.google.com/go/pubsub/v2.(*messageIterator).streamKeepAliveHandler"),
			goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"))
	})
}

const (
	project = "leat-test"
	// patience bounds what must happen, however slow the machine is.
	patience = 60 * time.Second
)

// to returns options of a client of the server at an address.
func to(addr string) []option.ClientOption {
	return []option.ClientOption{
		option.WithEndpoint(addr), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())),
	}
}

// fake returns a server in the test's process.
func fake(t *testing.T, reactors ...pstest.ServerReactorOption) *pstest.Server {
	t.Helper()
	s := pstest.NewServer(reactors...)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	return s
}

func open(t *testing.T, addr string, o googlecloud.Options) *watermill.Broker {
	t.Helper()
	o.Project, o.ClientOptions = project, to(addr)
	b, err := googlecloud.New(&o)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.Close()) })
	return b
}

// plain returns Google's client.
func plain(t *testing.T, addr string) *pubsub.Client {
	t.Helper()
	c, err := pubsub.NewClient(t.Context(), project, to(addr)...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Close()) })
	return c
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// group returns a subscription that no other test has.
func group(name string) leat.Subscription {
	return leat.Subscription{Topic: name + "-" + rand.Text(), Group: "g"}
}

func topicPath(topic string) string { return "projects/" + project + "/topics/" + topic }

func subscriptionPath(name string) string { return "projects/" + project + "/subscriptions/" + name }

// publish publishes messages without Leat, one after the other.
func publish(t *testing.T, c *pubsub.Client, topic string, messages ...*pubsubpb.PubsubMessage) {
	t.Helper()
	for _, m := range messages {
		_, err := c.TopicAdminClient.Publish(within(t), &pubsubpb.PublishRequest{
			Topic: topicPath(topic), Messages: []*pubsubpb.PubsubMessage{m},
		})
		require.NoError(t, err)
	}
}

func event(t *testing.T, o *leat.EventOptions) leat.Event {
	t.Helper()
	e, err := leat.NewEvent("t", o)
	require.NoError(t, err)
	return e
}

// gather runs a Consumer until it has handled n events successfully, and returns them in the order
// in which they succeeded.
func gather(t *testing.T, b leat.Broker, sub leat.Subscription, n int, h func(e leat.Event) error, more ...leat.Middleware) []leat.Event {
	t.Helper()
	return brokertest.Handle(within(t), t, b, sub, n, h, more...)
}

func ok(leat.Event) error { return nil }
