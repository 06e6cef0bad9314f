package universal_test

import (
	"net/url"
	"testing"
	"time"

	wmgoogle "github.com/ThreeDotsLabs/watermill-googlecloud/v2/pkg/googlecloud"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/awssnssqs"
	"github.com/leatgo/leat/adapters/gcppubsub"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/adapters/nats"
	"github.com/leatgo/leat/adapters/rabbitmq"
	"github.com/leatgo/leat/adapters/watermill/googlecloud"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/require"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// brokers are the lines of the table. Another broker is a line more.
func brokers() []broker {
	return []broker{
		{name: "memory", open: openMemory(), features: flags()},
		{name: "kafka", open: func(t *testing.T) leat.Broker { return openKafka(t, brokertest.Kafka(t)) }, features: flags()},
		{name: "rabbitmq", open: func(t *testing.T) leat.Broker { return openRabbitMQ(t, brokertest.RabbitMQ(t)) }, features: flags(),
			noHistory: "a queue gets what is published after it was declared"},
		{name: "nats", open: func(t *testing.T) leat.Broker { return openNATS(t, brokertest.NATS(t)) }, features: flags()},
		{name: "awssnssqs", open: func(t *testing.T) leat.Broker { return openSQS(t, brokertest.LocalStack(t), awssnssqs.ModeSNS) },
			features: shortWithRace(flags()), noHistory: "a queue gets what is published after it was subscribed",
			noStress: "LocalStack takes a minute for the 10,000 messages of one test"},
		{name: "gcppubsub", open: func(t *testing.T) leat.Broker { return openPubSub(t, brokertest.PubSub(t)) },
			features: shortWithRace(flags()), noHistory: noPubSubHistory, noStress: noPubSubStress},
		{name: "watermill-googlecloud", open: func(t *testing.T) leat.Broker { return openGoogleCloud(t, brokertest.PubSub(t)) },
			features: shortWithRace(flags()), noHistory: noPubSubHistory, noStress: noPubSubStress},
	}
}

// openMemory returns what hands out views of one broker in memory.
func openMemory() func(t *testing.T) leat.Broker {
	shared := memory.New(&memory.Options{Buffer: 100_000})
	return func(*testing.T) leat.Broker { return view{shared} }
}

// view is a memory broker that others use too: its Close leaves it open.
type view struct{ *memory.Broker }

func (view) Close() error { return nil }

func openKafka(t *testing.T, addrs []string) leat.Broker {
	t.Helper()
	// Without compression: under the race detector the client's lz4 takes milliseconds for each
	// small batch, and 10,000 of them half of the time that a test has.
	b, err := kafka.New(&kafka.Options{
		Compression: "none",
		Hosts:       addrs, Partitions: 8, SessionTimeout: 6 * time.Second, HeartbeatInterval: 300 * time.Millisecond,
		CommitInterval: 100 * time.Millisecond, RebalanceTimeout: 10 * time.Second, CloseTimeout: 5 * time.Second,
	})
	require.NoError(t, err)
	return b
}

func openRabbitMQ(t *testing.T, text string) leat.Broker {
	t.Helper()
	u, err := url.Parse(text)
	require.NoError(t, err)
	b, err := rabbitmq.Open(t.Context(), u)
	require.NoError(t, err)
	return b
}

func openNATS(t *testing.T, addrs []string) leat.Broker {
	t.Helper()
	b, err := nats.New(&nats.Options{
		Hosts: addrs, AckWait: 5 * time.Second, PinnedTTL: 2 * time.Second, CloseTimeout: 5 * time.Second,
	})
	require.NoError(t, err)
	return b
}

func openSQS(t *testing.T, endpoint string, mode awssnssqs.Mode) leat.Broker {
	t.Helper()
	b, err := awssnssqs.New(&awssnssqs.Options{
		Mode: mode, Region: brokertest.AWSRegion, Endpoint: endpoint,
		Wait: time.Second, Visibility: 10 * time.Second, CloseTimeout: 5 * time.Second,
	})
	require.NoError(t, err)
	return b
}

const (
	noPubSubHistory = "a subscription gets what is published after it was created"
	noPubSubStress  = "the Pub/Sub emulator delivers 2,000 messages a second"
)

func openPubSub(t *testing.T, addr string) leat.Broker {
	t.Helper()
	b, err := gcppubsub.New(&gcppubsub.Options{
		Project: "universal", Endpoint: "http://" + addr, AckDeadline: 10 * time.Second, CloseTimeout: 5 * time.Second,
	})
	require.NoError(t, err)
	return b
}

// openGoogleCloud returns Leat over watermill-googlecloud, on which the suite's Pub/Subs are then.
// A stream asks for the shortest ack deadline, of 10 s, and not for Google's 60 s: the emulator
// keeps what it has sent on a stream that is canceled until then, and the suite waits for 15 s.
func openGoogleCloud(t *testing.T, addr string) leat.Broker {
	t.Helper()
	b, err := googlecloud.New(&googlecloud.Options{
		Project: "universal", CloseTimeout: 5 * time.Second,
		Configure: func(_ *wmgoogle.PublisherConfig, s *wmgoogle.SubscriberConfig) {
			s.ReceiveSettings.MaxDurationPerAckExtension = 10 * time.Second
		},
		ClientOptions: []option.ClientOption{
			option.WithEndpoint(addr), option.WithoutAuthentication(),
			option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())),
		},
	})
	require.NoError(t, err)
	return b
}
