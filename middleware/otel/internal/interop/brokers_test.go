package interop_test

import (
	"context"
	"net/url"
	"testing"
	"time"

	wm "github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/awssnssqs"
	"github.com/leatgo/leat/adapters/gcppubsub"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/adapters/nats"
	"github.com/leatgo/leat/adapters/rabbitmq"
	"github.com/leatgo/leat/adapters/watermill"
	"github.com/leatgo/leat/foreign"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// adapter is what the shared test has to know of an adapter.
type adapter struct {
	name string
	// system is messaging.system.
	system string
	open   func(t *testing.T) leat.Broker
	// lag says that the broker tells the lag of a group, and age that of its oldest event.
	lag, age bool
	// unordered says that the broker keeps no order by key.
	unordered bool
}

func adapters() []adapter {
	return []adapter{
		{name: "memory", system: "leat_memory", open: openMemory, lag: true, age: true},
		{name: "kafka", system: "kafka", open: func(t *testing.T) leat.Broker { return openKafka(t) }, lag: true},
		{name: "rabbitmq", system: "rabbitmq", open: func(t *testing.T) leat.Broker { return openRabbitMQ(t) }, lag: true},
		{name: "nats", system: "nats", open: openNATS, lag: true, age: true},
		{name: "awssnssqs", system: "aws_sqs", open: openSQS, lag: true},
		{name: "gcppubsub", system: "gcp_pubsub", open: openPubSub},
		{name: "watermill", system: "watermill", open: openWatermill, unordered: true},
	}
}

// closed closes a broker when the test ends.
func closed[B leat.Broker](t *testing.T, b B, err error) B {
	t.Helper()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.Close()) })
	return b
}

func openMemory(t *testing.T) leat.Broker { return closed(t, memory.New(nil), nil) }

func openKafka(t *testing.T) *kafka.Broker {
	t.Helper()
	b, err := kafka.New(&kafka.Options{
		Hosts: brokertest.Kafka(t), Partitions: 4, SessionTimeout: 6 * time.Second, HeartbeatInterval: 300 * time.Millisecond,
		CommitInterval: 100 * time.Millisecond, CloseTimeout: 5 * time.Second, Mapping: foreign.Plain(nil),
	})
	return closed(t, b, err)
}

func openRabbitMQ(t *testing.T) *rabbitmq.Broker {
	t.Helper()
	u, err := url.Parse(brokertest.RabbitMQ(t))
	require.NoError(t, err)
	password, _ := u.User.Password()
	b, err := rabbitmq.New(&rabbitmq.Options{
		Hosts: []string{u.Host}, Mapping: foreign.Plain(nil),
		Credentials: func(context.Context) (string, string, error) { return u.User.Username(), password, nil },
	})
	return closed(t, b, err)
}

func openNATS(t *testing.T) leat.Broker {
	t.Helper()
	b, err := nats.New(&nats.Options{Hosts: brokertest.NATS(t), AckWait: 5 * time.Second, PinnedTTL: 2 * time.Second})
	return closed(t, b, err)
}

func openSQS(t *testing.T) leat.Broker {
	t.Helper()
	b, err := awssnssqs.New(&awssnssqs.Options{
		Region: brokertest.AWSRegion, Endpoint: brokertest.LocalStack(t), Wait: time.Second, Visibility: 5 * time.Second,
	})
	return closed(t, b, err)
}

func openPubSub(t *testing.T) leat.Broker {
	t.Helper()
	b, err := gcppubsub.New(&gcppubsub.Options{Project: "leat", Endpoint: "http://" + brokertest.PubSub(t), AckDeadline: 10 * time.Second})
	return closed(t, b, err)
}

// openWatermill returns Leat over gochannel. Its groups live in the process.
func openWatermill(t *testing.T) leat.Broker {
	t.Helper()
	pubSub := gochannel.NewGoChannel(gochannel.Config{}, wm.NopLogger{})
	groups := watermill.NewGroups(pubSub)
	t.Cleanup(func() {
		assert.NoError(t, groups.Close())
		assert.NoError(t, pubSub.Close())
	})
	b, err := watermill.New(pubSub, nil, &watermill.Options{NewSubscriber: groups.Subscriber, Inline: true, KeepOpen: true})
	return closed(t, b, err)
}
