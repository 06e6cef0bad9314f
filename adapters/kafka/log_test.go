package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// logged is a log whose lines a test waits for.
type logged struct{ brokertest.Logbook }

// has waits until the log has n lines with a text.
func (l *logged) has(t *testing.T, n int, text string) {
	t.Helper()
	require.NoError(t, await(30*time.Second, func() error {
		if lines := l.With(text); len(lines) != n {
			return fmt.Errorf("%d lines have %q: %s", len(lines), text, l.String())
		}
		return nil
	}))
}

// TestOutageHasTwoLines: however many streams, partitions and attempts there are, an outage has a
// line when it begins, and one when it is over.
func TestOutageHasTwoLines(t *testing.T) {
	t.Parallel()
	f := newProxied(t)
	log := &logged{}
	o := quick(f.proxy.Addr())
	o.Logger, o.SessionTimeout = log.Logger(), time.Minute // leases last
	b := open(t, o)
	var all []*reader
	for i := range 4 {
		require.NoError(t, f.CreateTopic(fmt.Sprint("t", i), 8, nil))
		s, err := b.Subscribe(t.Context(), leat.Subscription{Topic: fmt.Sprint("t", i), Group: "g"})
		require.NoError(t, err)
		all = append(all, read(s))
		defer all[i].stop()
		require.NoError(t, publishOne(b, fmt.Sprint("t", i), event("0", "k"), 5*time.Second))
		require.NoError(t, all[i].until(10*time.Second, "0"))
	}
	require.Empty(t, log.With(""))

	down(f.proxy)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			_ = publishOne(b, "t0", event("1", "k"), 20*time.Second)
		}
	})
	before := f.proxy.Dials()
	require.NoError(t, await(20*time.Second, func() error {
		if n := f.proxy.Dials() - before; n < 6 {
			return fmt.Errorf("%d dials", n)
		}
		return nil
	}))
	assert.Len(t, log.With(""), 1, "%s", log)
	assert.Len(t, log.With(`level=WARN msg="Kafka does not answer" host=`+f.proxy.Addr()+` code=unavailable error=`), 1, "%s", log)
	f.proxy.Admit()
	cancel()
	wg.Wait()
	log.has(t, 1, `level=INFO msg="Kafka answers again" host=`+f.proxy.Addr()+` lasted=`)
	for i, r := range all {
		require.NoError(t, publishOne(b, fmt.Sprint("t", i), event("2", "k"), 10*time.Second))
		require.NoError(t, r.until(10*time.Second, "2"))
	}
	assert.Len(t, log.With(""), 2, "%s", log)
}

// TestOutageOfOneBrokerHasTwoLines: one of two brokers ends every connection when it is asked
// something, while events go to the other all the time.
func TestOutageOfOneBrokerHasTwoLines(t *testing.T) {
	t.Parallel()
	f := newFake(t, kfake.NumBrokers(2), kfake.SeedTopics(1, "well", "ill"))
	require.NoError(t, f.MoveTopicPartition("well", 0, 0))
	require.NoError(t, f.MoveTopicPartition("ill", 0, 1))
	addr := f.ListenAddrs()[1]
	log := &logged{}
	o := quick(f.ListenAddrs()...)
	o.Logger, o.DeliveryTimeout = log.Logger(), time.Minute
	b := open(t, o)
	require.NoError(t, publishOne(b, "ill", event("0", "k"), 5*time.Second))

	var ends atomic.Bool
	ends.Store(true)
	f.Control(func(r kmsg.Request) (kmsg.Response, error, bool) {
		f.KeepControl()
		if f.CurrentNode() == 1 && ends.Load() && r.Key() != kmsg.ApiVersions.Int16() {
			return nil, errors.New("the connection ends"), true
		}
		return nil, nil, false //nolint:nilnil // the fake answers itself
	})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		for ctx.Err() == nil {
			assert.NoError(t, publishOne(b, "well", event("1", "k"), 20*time.Second))
		}
	})
	under := publish(t.Context(), b, "ill", event("1", "k"))
	log.has(t, 1, `level=WARN msg="Kafka does not answer" host=`+addr+` code=unavailable error=`)
	ends.Store(false)
	errs, err := under.wait(30 * time.Second)
	require.NoError(t, err)
	require.NoError(t, errs[0])
	log.has(t, 1, `level=INFO msg="Kafka answers again" host=`+addr+` lasted=`)
	assert.Len(t, log.With(""), 2, "%s", log)
}

// TestStartWithoutABrokerHasALine: so does a start at a time when no broker is there.
func TestStartWithoutABrokerHasALine(t *testing.T) {
	t.Parallel()
	addr, port := vacant(t)
	log := &logged{}
	o := quick(addr)
	o.Logger = log.Logger()
	b := open(t, o)
	under := publish(t.Context(), b, "t", event("1", "k"))
	log.has(t, 1, `msg="Kafka does not answer" host=`+addr+` code=unavailable error="unable to dial: dial tcp `+addr+
		`: connect: connection refused"`)
	newFake(t, kfake.Ports(port), kfake.SeedTopics(1, "t"))
	errs, err := under.wait(10 * time.Second)
	require.NoError(t, err)
	require.NoError(t, errs[0])
	log.has(t, 1, "Kafka answers again")
	assert.Len(t, log.With(""), 2, "%s", log)
}

// TestLostSessionHasFewLines: the leases of many partitions that end because the group does not
// answer have one line, and one when it answers; that the group has given the partitions away has
// one more.
func TestLostSessionHasFewLines(t *testing.T) {
	t.Parallel()
	f := newProxied(t)
	require.NoError(t, f.CreateTopic("t", 12, nil))
	log := &logged{}
	o := quick(f.proxy.Addr())
	o.Logger, o.SessionTimeout = log.Logger(), 2*time.Second
	b := open(t, o)
	s, err := b.Subscribe(t.Context(), leat.Subscription{Topic: "t", Group: "g"})
	require.NoError(t, err)
	r := read(s)
	defer r.stop()
	var ids []string
	for i := range 50 {
		ids = append(ids, fmt.Sprint(i))
		require.NoError(t, publishOne(b, "t", event(ids[i], ids[i]), 5*time.Second))
	}
	require.NoError(t, r.until(10*time.Second, ids...))
	down(f.proxy)
	log.has(t, 1, `msg="the group does not answer: leases have ended, and unfinished events are handled again" topic=t group=g `+
		`partitions="12 (0, 1, 2, 3, 4, ...)" error=`)
	f.proxy.Admit()
	log.has(t, 1, `msg="the group answers again" topic=t group=g lasted=`)
	log.has(t, 1, "Kafka answers again")
	assert.Len(t, log.With("Kafka does not answer"), 1, "%s", log)
	assert.LessOrEqual(t, len(log.With("partitions are lost")), 1, "%s", log)
	assert.LessOrEqual(t, len(log.With("")), 5, "%s", log)
}

// TestProblemsOfASubscriptionHaveLines: what health says of a stream, and nothing else does, is in
// the log when it has lasted for a while.
func TestProblemsOfASubscriptionHaveLines(t *testing.T) {
	t.Parallel()
	f := newFake(t, kfake.SeedTopics(8, "t"))
	log := &logged{}
	o := quick(f.ListenAddrs()...)
	o.Logger = log.Logger()
	b := open(t, o)
	s, err := b.Subscribe(t.Context(), leat.Subscription{Topic: "t", Group: "g"})
	require.NoError(t, err)
	go func() {
		for d := make([]leat.Delivery, 8); ; {
			n, err := s.Receive(context.Background(), d)
			if err != nil {
				return
			}
			for i := range d[:n] {
				s.Settle(&d[i], leat.Settlement{Action: leat.Ack})
			}
		}
	}()
	var mu sync.Mutex
	refuse := true
	f.ControlKey(int16(kmsg.OffsetCommit), func(request kmsg.Request) (kmsg.Response, error, bool) {
		f.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		if !refuse {
			return nil, nil, false //nolint:nilnil // the fake answers itself
		}
		commit := request.(*kmsg.OffsetCommitRequest)
		answer := commit.ResponseKind().(*kmsg.OffsetCommitResponse)
		for _, topic := range commit.Topics {
			t := kmsg.NewOffsetCommitResponseTopic()
			t.Topic, t.TopicID = topic.Topic, topic.TopicID
			for _, p := range topic.Partitions {
				partition := kmsg.NewOffsetCommitResponseTopicPartition()
				partition.Partition, partition.ErrorCode = p.Partition, kerr.GroupAuthorizationFailed.Code
				t.Partitions = append(t.Partitions, partition)
			}
			answer.Topics = append(answer.Topics, t)
		}
		return answer, nil, true
	})
	require.NoError(t, publishOne(b, "t", event("0", "k"), 5*time.Second))
	log.has(t, 1, `msg="a subscription has a problem" topic=t group=g problem="committing offsets" code="permission denied" error=`)
	assert.Len(t, log.With("docs/kafka-acl.md"), 1)
	mu.Lock()
	refuse = false
	mu.Unlock()
	log.has(t, 1, `msg="a subscription has no problem any more" topic=t group=g lasted=`)
	assert.Len(t, log.With(""), 2, "%s", log)
}

// TestOtherPartitionsThanTheOptionsSay: a topic that exists keeps its partitions, and the log says
// so once.
func TestOtherPartitionsThanTheOptionsSay(t *testing.T) {
	t.Parallel()
	f := newFake(t, kfake.SeedTopics(3, "t"), kfake.SeedTopics(12, "same"))
	log := &logged{}
	o := quick(f.ListenAddrs()...)
	o.Logger, o.Partitions = log.Logger(), 12
	b := open(t, o)
	for range 3 {
		require.NoError(t, leat.Declare(t.Context(), b, leat.Subscription{Topic: "t", Group: "g"}, leat.Subscription{Topic: "same", Group: "g"},
			leat.Subscription{Topic: "new", Group: "g"}))
	}
	assert.Len(t, log.With(`level=WARN msg="the topic exists with another number of partitions than Options.Partitions; it stays as it is" `+
		`topic=t partitions=3 configured=12`), 1)
	assert.Len(t, log.With(""), 1, "%s", log)

	for provision, want := range map[kafka.Provision]leat.Code{kafka.ProvisionVerify: leat.CodeConflict, kafka.ProvisionOff: 0} {
		o.Provision = provision
		err := leat.Declare(t.Context(), open(t, o), leat.Subscription{Topic: "t", Group: "g"})
		if want == 0 {
			require.NoError(t, err)
		} else {
			code(t, want, err)
		}
	}
	assert.Len(t, log.With(""), 1, "%s", log)
}
