package kafka_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/leatgo/leat/internal/conformance/committed"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var (
	_ eventtest.Injector    = (*harness)(nil)
	_ eventtest.KeyInjector = (*harness)(nil)
	_ eventtest.Expirer     = (*harness)(nil)
	_ eventtest.Killer      = (*harness)(nil)
	_ eventtest.Pauser      = (*harness)(nil)
	_ eventtest.Cutter      = (*harness)(nil)
	_ eventtest.LeaseTimer  = (*harness)(nil)
	_ eventtest.Isolator    = (*harness)(nil)
	_ eventtest.Dropper     = (*harness)(nil)
	_ eventtest.Pacer       = (*harness)(nil)
	_ eventtest.Stray       = (*harness)(nil)
)

// harness runs the suite on a Kafka of its own, with a proxy before each instance of the adapter.
type harness struct {
	brokertest.Clients

	t       *testing.T
	cluster *brokertest.KafkaCluster
	raw     *kgo.Client // for what the adapter does not do
	topics  atomic.Int64
	options kafka.Options
}

func newHarness(t *testing.T, nodes int) *harness {
	t.Helper()
	h := &harness{t: t, cluster: brokertest.StartKafka(t, &brokertest.KafkaOptions{Nodes: nodes})}
	raw, err := kgo.NewClient(kgo.SeedBrokers(h.cluster.Addrs()...))
	require.NoError(t, err)
	t.Cleanup(raw.Close)
	h.raw = raw
	// Without compression: the client's lz4 takes 5 ms for each small batch under the race
	// detector, and cases about hand-overs read many.
	h.options = kafka.Options{
		Compression: "none",
		Hosts:       h.cluster.Addrs(), Partitions: 4, SessionTimeout: 2 * time.Second, HeartbeatInterval: 200 * time.Millisecond,
		CommitInterval: 100 * time.Millisecond, CloseTimeout: 5 * time.Second, RebalanceTimeout: 10 * time.Second,
	}
	return h
}

// Open opens an instance that dials through its proxy: the brokers advertise their own addresses.
func (h *harness) Open(context.Context) (leat.Broker, error) {
	return h.Via("", func(p *eventtest.Proxy) (brokertest.Adapter, error) { return kafka.NewDialing(&h.options, p.Dial) })
}

func (h *harness) OpenNowhere(context.Context) (leat.Broker, error) {
	o := h.options
	addr, _ := vacant(h.t)
	o.Hosts, o.CloseTimeout = []string{addr}, time.Second
	return kafka.New(&o)
}

func (h *harness) Topic() string { return fmt.Sprintf("topic-%d", h.topics.Add(1)) }

func (h *harness) Inject(ctx context.Context, topic string, m leat.Malformed) error {
	r := &kgo.Record{Topic: topic, Key: m.Key, Value: m.Body}
	for _, header := range m.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: header.Name, Value: header.Value})
	}
	return h.raw.ProduceSync(ctx, r).FirstErr()
}

func (h *harness) InjectKeyed(ctx context.Context, topic, key string, e leat.Event) error {
	r, err := kafka.EncodeRecord(e)
	if err != nil {
		return err
	}
	r.Topic, r.Key = topic, nil
	if key != "" {
		r.Key = []byte(key)
	}
	return h.raw.ProduceSync(ctx, r).FirstErr()
}

// Expire throws all members out of the group, as the end of their sessions would.
func (h *harness) Expire(ctx context.Context, _, group string) error {
	raw, err := kgo.NewClient(kgo.SeedBrokers(h.cluster.Addrs()...)) // the connections of the other end with each kill
	if err != nil {
		return err
	}
	defer raw.Close()
	describe := kmsg.NewPtrDescribeGroupsRequest()
	describe.Groups = []string{group}
	shards := raw.RequestSharded(ctx, describe)
	for _, shard := range shards {
		if shard.Err != nil {
			return shard.Err
		}
		for _, g := range shard.Resp.(*kmsg.DescribeGroupsResponse).Groups {
			leave := kmsg.NewPtrLeaveGroupRequest()
			leave.Group = g.Group
			for _, m := range g.Members {
				member := kmsg.NewLeaveGroupRequestMember()
				member.MemberID = m.MemberID
				leave.Members = append(leave.Members, member)
			}
			if _, err := leave.RequestWith(ctx, raw); err != nil {
				return err
			}
		}
	}
	return nil
}

// LeasePeriod is the session timeout: a group that does not hear of a member for that long gives
// its partitions to others.
func (h *harness) LeasePeriod() time.Duration { return h.options.SessionTimeout }

func (h *harness) Kill(context.Context) error {
	h.cluster.Kill()
	return nil
}

func (h *harness) Start(ctx context.Context) error { return h.cluster.Start(ctx) }

func (h *harness) Pause(context.Context) error { return h.cluster.Pause() }

func (h *harness) Resume(context.Context) error { return h.cluster.Resume() }

// Pace says what Kafka takes: a killed broker is back after two or three seconds, and a member that
// joins or leaves a group makes the others join again, which they learn by their heartbeats. Cases
// cannot run side by side, since a Kafka group spans topics.
func (h *harness) Pace() eventtest.Pace {
	return eventtest.Pace{Patience: 30 * time.Second, Quiet: 500 * time.Millisecond, Operation: 2 * time.Second}
}

// suiteOptions spreads the cases over two brokers, and makes the suite inject each fault 20 times
// in a long run, kills of the broker included.
func suiteOptions(t *testing.T) *eventtest.Options {
	t.Helper()
	o := &eventtest.Options{Beside: []eventtest.Harness{newHarness(t, 1)}}
	if long() {
		o.Rounds, o.CaseTimeout = 20, 10*time.Minute
	}
	return o
}

func TestKafkaConforms(t *testing.T) {
	report := eventtest.TestAdapter(t, newHarness(t, 1), suiteOptions(t))
	report.Adapter, report.Broker = "kafka", "Apache Kafka 4.3.1"
	committed.Check(t, filepath.Join("..", "..", "docs"), &report)
}
