// Package cases has the groups of cases that are measured on a Pub/Sub: what Leat does, and what
// Google's client and the raw calls do with the same work.
package cases

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"cloud.google.com/go/pubsub/v2"
	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/gcppubsub"
	"github.com/leatgo/leat/benchmarks/internal/bench"
	"github.com/leatgo/leat/benchmarks/internal/load"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

const (
	shortEvents = 1_000  // how many events a case takes in a smoke test
	roundEvents = 20_000 // and otherwise
	prefetch    = 1_000  // of all parties: Leat's MaxInFlight by default
	streams     = 4      // of all parties, for a subscription without order
	group       = "group"
	project     = "bench"
)

// Env is the emulator that is measured on, and what the cases share there.
type Env struct {
	addr   string
	client *pubsub.Client // for set-ups
	names  *load.Names
	serial atomic.Int64
}

// NewEnv returns an Env on the emulator at the address. Short is for smoke tests.
func NewEnv(ctx context.Context, addr string, short bool) (*Env, error) {
	e := &Env{addr: addr}
	var err error
	e.client, err = e.google(ctx)
	events := roundEvents
	if short {
		events = shortEvents
	}
	e.names = load.NewNames(2 * events)
	return e, err
}

// Close ends the connection.
func (e *Env) Close() { _ = e.client.Close() }

// All returns every group, in the order of the report.
func (e *Env) All() []bench.Group {
	return []bench.Group{
		e.publish(), e.publishKeys("publish/keys", 400), e.publishKeys("publish/many-keys", load.Keys), e.consume(), e.sleeping(),
	}
}

// google returns a client of Google.
func (e *Env) google(ctx context.Context) (*pubsub.Client, error) {
	return pubsub.NewClient(ctx, project, option.WithEndpoint(e.addr), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
}

// leat returns Leat's broker.
func (e *Env) leat() (*gcppubsub.Broker, error) {
	return gcppubsub.New(&gcppubsub.Options{Project: project, Endpoint: "http://" + e.addr, Buffer: load.InFlight, Pulls: streams})
}

// topic makes a name that no other case of the run has.
func (e *Env) topic() string {
	return fmt.Sprintf("bench-%d-%d", time.Now().UnixNano(), e.serial.Add(1))
}

func topicPath(topic string) string {
	return "projects/" + project + "/topics/" + gcppubsub.TopicName(topic)
}

func subscriptionPath(topic string) string {
	return "projects/" + project + "/subscriptions/" + gcppubsub.SubscriptionName(topic, group)
}

// declare creates a topic, and a group where the subscription has one, as Leat does, for all
// parties.
func (e *Env) declare(ctx context.Context, sub leat.Subscription) error {
	b, err := e.leat()
	if err != nil {
		return err
	}
	defer b.Close() //nolint:errcheck // Declare tells
	return b.Declare(ctx, sub)
}

// remove deletes a topic and its group.
func (e *Env) remove(ctx context.Context, topic string) error {
	// It fails where the case had no group.
	_ = e.client.SubscriptionAdminClient.DeleteSubscription(ctx, &pb.DeleteSubscriptionRequest{Subscription: subscriptionPath(topic)})
	return e.client.TopicAdminClient.DeleteTopic(ctx, &pb.DeleteTopicRequest{Topic: topicPath(topic)})
}

// keyOf returns the key of an event, of so many keys; none for 0.
func keyOf(i, keys int) string {
	if keys == 0 {
		return ""
	}
	return "customer-" + strconv.Itoa(1_000_000+i%keys)
}

// message builds a message with the attributes of the event, as one writes it by hand.
func message(id, key string, data []byte) *pb.PubsubMessage {
	m := &pb.PubsubMessage{Data: data, OrderingKey: key, Attributes: attributes(id, key)}
	return m
}

func attributes(id, key string) map[string]string {
	all := map[string]string{
		"ce-specversion": "1.0",
		"ce-id":          id,
		"ce-source":      load.Source,
		"ce-type":        load.Type,
		"ce-subject":     load.Subject,
		"ce-time":        load.Time().Format(time.RFC3339Nano),
		"content-type":   load.ContentType,
	}
	if key != "" {
		all["ce-partitionkey"] = key
	}
	return all
}
