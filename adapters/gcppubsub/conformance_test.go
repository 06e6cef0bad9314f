package gcppubsub_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/gcppubsub"
	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/internal/brokertest"
)

var (
	_ eventtest.Injector    = (*harness)(nil)
	_ eventtest.KeyInjector = (*harness)(nil)
	_ eventtest.KeyMaker    = (*harness)(nil)
	_ eventtest.Cutter      = (*harness)(nil)
	_ eventtest.Isolator    = (*harness)(nil)
	_ eventtest.Dropper     = (*harness)(nil)
	_ eventtest.Pacer       = (*harness)(nil)
	_ eventtest.Stray       = (*harness)(nil)
	_ eventtest.LeaseTimer  = (*harness)(nil)
)

const project = "leat"

// server is a Pub/Sub.
type server interface {
	// Addr is where it listens.
	Addr() string
	// Publish publishes a message past the adapter.
	Publish(ctx context.Context, topic string, m *pb.PubsubMessage) error
}

// harness runs the suite on a server of its own, with a proxy before each instance of the adapter.
type harness struct {
	brokertest.Clients

	server  server
	prefix  string
	topics  atomic.Int64
	options gcppubsub.Options
	pace    eventtest.Pace
}

func newHarness(s server) *harness {
	return &harness{server: s, prefix: strings.ToLower(rand.Text()[:6]), options: gcppubsub.Options{
		Project: project, AckDeadline: 10 * time.Second, CloseTimeout: 5 * time.Second,
	}, pace: eventtest.Pace{
		Patience: 30 * time.Second, Quiet: 300 * time.Millisecond, Operation: 1500 * time.Millisecond, Parallel: 4,
	}}
}

func (h *harness) open(address string, timeout time.Duration) (*gcppubsub.Broker, error) {
	o := h.options
	o.Endpoint, o.CloseTimeout = "http://"+address, timeout
	return gcppubsub.New(&o)
}

func (h *harness) Open(context.Context) (leat.Broker, error) {
	return h.Via(h.server.Addr(), func(p *eventtest.Proxy) (brokertest.Adapter, error) {
		return h.open(p.Addr(), h.options.CloseTimeout)
	})
}

func (h *harness) OpenNowhere(context.Context) (leat.Broker, error) {
	p, err := eventtest.StartProxy(h.server.Addr())
	if err != nil {
		return nil, err
	}
	p.Close() // nobody listens there any more
	return h.open(p.Addr(), time.Second)
}

func (h *harness) LeasePeriod() time.Duration { return h.options.AckDeadline }

func (h *harness) Topic() string { return fmt.Sprintf("%s.%d", h.prefix, h.topics.Add(1)) }

func (h *harness) Pace() eventtest.Pace { return h.pace }

func (h *harness) Inject(ctx context.Context, topic string, m leat.Malformed) error {
	return h.inject(ctx, topic, m.Body, string(m.Key), m.Headers)
}

func (h *harness) inject(ctx context.Context, topic string, body []byte, key string, headers []leat.Header) error {
	x := &pb.PubsubMessage{Data: body, OrderingKey: key, Attributes: map[string]string{}}
	for _, y := range headers {
		x.Attributes[y.Name] = string(y.Value)
	}
	return h.server.Publish(ctx, "projects/"+project+"/topics/"+gcppubsub.TopicName(topic), x)
}

func (h *harness) InjectKeyed(ctx context.Context, topic, key string, e leat.Event) error {
	body, err := e.AppendJSON(nil)
	if err != nil {
		return err
	}
	return h.inject(ctx, topic, body, key, []leat.Header{{Name: "content-type", Value: []byte("application/cloudevents+json")}})
}

// OddKey is of characters, since an ordering key is text.
func (h *harness) OddKey() string { return "order 7/\u0001\u00e9\u20ac" }
