package kafka_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// fake is a Kafka in this process, which can answer with any error and lets a test look into its
// log.
type fake struct{ *kfake.Cluster }

func newFake(t testing.TB, opts ...kfake.Opt) *fake {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(100 * time.Millisecond)}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return &fake{c}
}

// long says that tests may take minutes.
func long() bool { return os.Getenv("LEAT_LONG") != "" }

// quick are options whose intervals suit a test. Nothing is compressed: lz4 allocates 4 MiB for a
// batch of one record, which takes milliseconds under the race detector. [TestCompressions] has
// all codecs.
func quick(addrs ...string) kafka.Options {
	return kafka.Options{
		Hosts: addrs, Partitions: 1, ReplicationFactor: 1, CommitInterval: 20 * time.Millisecond, SessionTimeout: 5 * time.Second,
		HeartbeatInterval: 100 * time.Millisecond, RebalanceTimeout: 4 * time.Second, RequestTimeout: 5 * time.Second,
		DeliveryTimeout: 10 * time.Second, CloseTimeout: 3 * time.Second, Compression: "none",
	}
}

// open returns a broker that the test's end closes.
func open(t testing.TB, o kafka.Options) *kafka.Broker {
	t.Helper()
	b, err := kafka.New(&o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func event(id, key string) leat.Event { return sized(id, key, 1) }

// sized returns an event with n bytes of data.
func sized(id, key string, n int) leat.Event {
	e, err := leat.NewEvent("test", &leat.EventOptions{ID: id, Source: "/test", Key: key, Data: make([]byte, n)})
	if err != nil {
		panic(err)
	}
	return e
}

// outcomes are what became of the events of a publish.
type outcomes struct {
	mu   sync.Mutex
	errs []error
	told []int
	left int
	all  chan struct{}
}

// publish begins to publish and returns when Publish did.
func publish(ctx context.Context, b leat.Broker, topic string, events ...leat.Event) *outcomes {
	o := &outcomes{errs: make([]error, len(events)), told: make([]int, len(events)), left: len(events), all: make(chan struct{})}
	b.Publish(ctx, topic, events, o.done)
	return o
}

func (o *outcomes) done(i int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.errs[i] = err
	o.told[i]++
	if o.left--; o.left == 0 {
		close(o.all)
	}
}

var errPatience = errors.New("it took too long")

// wait returns the outcomes when there is one for each event.
func (o *outcomes) wait(d time.Duration) ([]error, error) {
	timeout := time.NewTimer(max(d, time.Millisecond)) // what is there already is found first
	defer timeout.Stop()
	select {
	case <-o.all:
	case <-timeout.C:
		return nil, fmt.Errorf("waiting for outcomes: %w", errPatience)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, n := range o.told {
		if n != 1 {
			return nil, fmt.Errorf("done was called %d times for event %d", n, i)
		}
	}
	return o.errs, nil
}

// publishOne publishes and returns the outcome.
func publishOne(b leat.Broker, topic string, e leat.Event, d time.Duration) error {
	errs, err := publish(context.Background(), b, topic, e).wait(d)
	if err != nil {
		return err
	}
	return errs[0]
}

// stored returns the ids of what a topic keeps, by partition in their order.
func stored(topic string, addrs ...string) (ids [][]string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.ConsumeTopics(topic), kgo.DisableClientMetrics(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(50*time.Millisecond))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	listed, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
	if err := cmp.Or(err, listed.Error()); err != nil {
		return nil, err
	}
	ends := make([]int64, len(listed[topic]))
	for p, end := range listed[topic] {
		ends[p] = end.Offset
	}
	ids = make([][]string, len(ends))
	seen := make([]int64, len(ends))
	for behind(seen, ends) {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("reading %s back: %w (at %v of %v)", topic, ctx.Err(), seen, ends)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			seen[r.Partition] = r.Offset + 1
			for _, h := range r.Headers {
				if h.Key == "ce_id" {
					ids[r.Partition] = append(ids[r.Partition], string(h.Value))
				}
			}
		})
	}
	return ids, nil
}

func behind(seen, ends []int64) bool {
	for i := range ends {
		if seen[i] < ends[i] {
			return true
		}
	}
	return false
}

// count returns how often an id is among those stored.
func count(ids [][]string, id string) (n int) {
	for _, partition := range ids {
		for _, other := range partition {
			if other == id {
				n++
			}
		}
	}
	return n
}

// kafkaErrors are all error codes of Kafka.
func kafkaErrors() (errs []*kerr.Error) {
	for code := int16(-1); code < 200; code++ {
		if err := kerr.TypedErrorForCode(code); err != nil && err.Code == code {
			errs = append(errs, err)
		}
	}
	return errs
}

// table runs the cases beside each other, because they wait most of the time, and reports each that
// fails.
func table[T any](t *testing.T, cases []T, name func(T) string, check func(T) error) {
	t.Helper()
	slots := make(chan struct{}, 32)
	var wg sync.WaitGroup
	for _, c := range cases {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := check(c); err != nil {
				t.Errorf("%s: %v", name(c), err)
			}
		})
	}
	wg.Wait()
}
