package kafka_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestGroupStarts(t *testing.T) {
	addrs := brokertest.Kafka(t)
	admin := liveAdmin(t, addrs...)
	o := liveOptions(addrs...)
	o.Start = kafka.StartLatest
	b := liveBroker(t, o)
	sub := leat.Subscription{Topic: liveTopic(t, admin, 2), Group: "late"}
	require.NoError(t, livePublish(t.Context(), b, sub.Topic, liveEvents(t, 0, 3, 3)...))
	require.NoError(t, b.Declare(t.Context(), sub))
	require.NoError(t, livePublish(t.Context(), b, sub.Topic, liveEvents(t, 3, 6, 1)...))
	stream := liveSubscribe(t, b, sub)
	assert.Equal(t, []string{"3", "4", "5"}, liveReceive(t, stream, 3), "it begins after Declare")
	assert.False(t, stream.Capabilities().History)
	require.NoError(t, stream.Close(t.Context()))
	require.NoError(t, livePublish(t.Context(), b, sub.Topic, liveEvents(t, 6, 8, 1)...))
	require.NoError(t, b.Declare(t.Context(), sub))
	assert.Equal(t, []string{"6", "7"}, liveReceive(t, liveSubscribe(t, b, sub), 2), "a restart goes on from the committed offset")

	early := liveBroker(t, liveOptions(addrs...))
	history := liveSubscribe(t, early, leat.Subscription{Topic: sub.Topic, Group: "early"})
	assert.Len(t, liveReceive(t, history, 8), 8)
	assert.True(t, history.Capabilities().History)
	require.NotNil(t, early.Client())
	require.NotNil(t, history.Client())
	_, joined := history.Client().GroupMetadata()
	assert.GreaterOrEqual(t, joined, int32(0), "the native client is the member")
}

func TestLag(t *testing.T) {
	addrs := brokertest.Kafka(t)
	b := liveBroker(t, liveOptions(addrs...))
	sub := leat.Subscription{Topic: liveTopic(t, liveAdmin(t, addrs...), 3), Group: "g"}
	require.NoError(t, livePublish(t.Context(), b, sub.Topic, liveEvents(t, 0, 30, 30)...))
	lag, err := b.Lag(t.Context(), sub.Topic, sub.Group)
	require.NoError(t, err)
	require.Len(t, lag.Parts, 3)
	require.EqualValues(t, 30, lag.Events)
	for i, p := range lag.Parts {
		require.Equal(t, strconv.Itoa(i), p.Name)
		require.Equal(t, map[string]int64{"end": p.Events}, p.Details, "nothing is committed")
	}
	stream := liveSubscribe(t, b, sub)
	liveReceive(t, stream, 30)
	require.Eventually(t, func() bool {
		lag, err = b.Lag(t.Context(), sub.Topic, sub.Group)
		return err == nil && lag.Events == 0
	}, livePatience, 20*time.Millisecond)
	require.NoError(t, livePublish(t.Context(), b, sub.Topic, liveEvents(t, 30, 35, 1)...))
	lag, err = b.Lag(t.Context(), sub.Topic, sub.Group)
	require.NoError(t, err)
	require.EqualValues(t, 5, lag.Events)
}

// TestConsumerProtocol has two members that the broker assigns partitions to, of which one leaves.
func TestConsumerProtocol(t *testing.T) {
	addrs := brokertest.Kafka(t)
	o := liveOptions(addrs...)
	o.Protocol = kafka.ProtocolConsumer
	b := liveBroker(t, o)
	sub := leat.Subscription{Topic: liveTopic(t, liveAdmin(t, addrs...), 4), Group: liveName(t)}
	a, c := liveSubscribe(t, b, sub), liveSubscribe(t, b, sub)
	counts := &sync.Map{}
	receive := func(s *kafka.Stream, who string) {
		into := make([]leat.Delivery, 10)
		for {
			n, err := s.Receive(t.Context(), into)
			if err != nil {
				return
			}
			for i := range into[:n] {
				counts.Store(into[i].Event.ID(), who)
				s.Settle(&into[i], leat.Settlement{Action: leat.Ack})
			}
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() { receive(a, "a") })
	wg.Go(func() { receive(c, "c") })
	owners := func(from, to int) map[any]bool {
		who := map[any]bool{}
		for i := from; i < to; i++ {
			if w, ok := counts.Load(fmt.Sprint(i)); ok {
				who[w] = true
			} else {
				return nil
			}
		}
		return who
	}
	next := 0
	publish := func() bool {
		require.NoError(t, livePublish(t.Context(), b, sub.Topic, liveEvents(t, next, next+40, 40)...))
		next += 40
		return true
	}
	require.Eventually(t, func() bool { publish(); return len(owners(max(0, next-80), next-40)) == 2 }, livePatience, 100*time.Millisecond,
		"both members get events")
	require.NoError(t, a.Close(t.Context()))
	last := next
	publish()
	require.Eventually(t, func() bool { return owners(last, next) != nil }, livePatience, 20*time.Millisecond, "one member gets all")
	require.Equal(t, map[any]bool{"c": true}, owners(last, next))
	require.NoError(t, c.Close(t.Context()))
	wg.Wait()
}

// TestReadCommitted shows that records of an aborted transaction are not delivered, and that an
// open one holds what is behind it.
func TestReadCommitted(t *testing.T) {
	addrs := brokertest.Kafka(t)
	b := liveBroker(t, liveOptions(addrs...))
	sub := leat.Subscription{Topic: liveTopic(t, liveAdmin(t, addrs...), 1), Group: "g"}
	tx, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.TransactionalID(liveName(t)), kgo.DefaultProduceTopic(sub.Topic))
	require.NoError(t, err)
	defer tx.Close()
	write := func(id string) {
		r := &kgo.Record{Value: []byte("{}"), Key: []byte("k")}
		for name, value := range map[string]string{"specversion": "1.0", "id": id, "source": "/tx", "type": "t"} {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: "ce_" + name, Value: []byte(value)})
		}
		require.NoError(t, tx.ProduceSync(t.Context(), r).FirstErr())
	}
	stream, broad := liveSubscribe(t, b, sub), liveSubscribe(t, b, leat.Subscription{Topic: sub.Topic, Broadcast: true})
	require.NoError(t, tx.BeginTransaction())
	write("aborted")
	require.NoError(t, tx.EndTransaction(t.Context(), kgo.TryAbort))
	require.NoError(t, tx.BeginTransaction())
	write("committed")
	require.NoError(t, livePublish(t.Context(), b, sub.Topic, liveEvents(t, 1, 2, 1)...))
	liveNothing(t, stream, 500*time.Millisecond)
	require.NoError(t, tx.EndTransaction(t.Context(), kgo.TryCommit))
	require.Equal(t, []string{"committed", "1"}, liveReceive(t, stream, 2))
	require.Equal(t, []string{"committed", "1"}, liveReceive(t, broad, 2))
	// The marks of transactions are records that nobody gets; the offset behind them is committed
	// all the same, or lag never ends.
	lag, err := b.Lag(t.Context(), sub.Topic, sub.Group)
	require.NoError(t, err)
	require.LessOrEqual(t, lag.Events, int64(5))
}

// TestStaticMember restarts a static member within its session: no partition moves.
func TestStaticMember(t *testing.T) {
	addrs := brokertest.Kafka(t)
	admin := liveAdmin(t, addrs...)
	sub := leat.Subscription{Topic: liveTopic(t, admin, 2), Group: liveName(t)}
	o := liveOptions(addrs...)
	o.SessionTimeout = livePatience
	o.InstanceID = "one"
	first := liveBroker(t, o)
	a := liveSubscribe(t, first, sub)
	b := liveSubscribe(t, first, sub)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	run := func(s *kafka.Stream) {
		wg.Go(func() {
			into := make([]leat.Delivery, 10)
			for {
				n, err := s.Receive(ctx, into)
				if err != nil {
					return
				}
				for i := range into[:n] {
					s.Settle(&into[i], leat.Settlement{Action: leat.Ack})
				}
			}
		})
	}
	run(a)
	run(b)
	members := func() map[string][]int32 {
		described, err := admin.DescribeGroups(t.Context(), sub.Group)
		require.NoError(t, err)
		owned := map[string][]int32{}
		for _, m := range described[sub.Group].Members {
			if c, ok := m.Assigned.AsConsumer(); ok && m.InstanceID != nil {
				for _, topic := range c.Topics {
					owned[*m.InstanceID] = append(owned[*m.InstanceID], topic.Partitions...)
				}
			}
		}
		return owned
	}
	generation := func() int32 { _, g := b.Client().GroupMetadata(); return g }
	require.Eventually(t, func() bool { m := members(); return len(m["one"]) == 1 && len(m["one-2"]) == 1 }, livePatience, 50*time.Millisecond)
	before, at := members(), generation()

	require.NoError(t, a.Close(t.Context()))
	require.Equal(t, before, members(), "it has not left")
	again := liveSubscribe(t, first, sub)
	run(again)
	require.NoError(t, livePublish(t.Context(), first, sub.Topic, liveEvents(t, 0, 20, 20)...))
	require.Eventually(t, func() bool {
		lag, err := first.Lag(t.Context(), sub.Topic, sub.Group)
		return err == nil && lag.Events == 0
	}, livePatience, 20*time.Millisecond)
	require.Equal(t, before, members())
	require.Equal(t, at, generation(), "there was no rebalance")

	// Another process with the same id takes over; the first is told for good instead of taking it
	// back, for ever in turn.
	second := liveBroker(t, o)
	thief := liveSubscribe(t, second, sub)
	require.Eventually(t, func() bool { return leat.CodeOf(again.Health()) == leat.CodeConflict }, livePatience, 20*time.Millisecond,
		"health: %v", again.Health())
	_, err := again.Receive(t.Context(), make([]leat.Delivery, 1))
	require.Equal(t, leat.CodeConflict, leat.CodeOf(err), "%v", err)
	require.ErrorContains(t, err, "InstanceID")
	assert.NoError(t, again.Close(t.Context()))
	assert.NoError(t, thief.Close(t.Context()))
	stop()
	wg.Wait()
}

// TestGapLimit has an event that does not finish: at the limit its partition pauses and no other.
func TestGapLimit(t *testing.T) {
	addrs := brokertest.Kafka(t)
	o := liveOptions(addrs...)
	o.GapLimit = 20
	b := liveBroker(t, o)
	sub := leat.Subscription{Topic: liveTopic(t, liveAdmin(t, addrs...), 2), Group: "g"}
	stream := liveSubscribe(t, b, sub)
	stuckKey, otherKey := "key-0", ""
	publish := func(from, to int, key string) {
		var events []leat.Event
		for i := from; i < to; i++ {
			e, err := leat.NewEvent("live", &leat.EventOptions{ID: fmt.Sprint(i), Source: "/live", Key: key})
			require.NoError(t, err)
			events = append(events, e)
		}
		require.NoError(t, livePublish(t.Context(), b, sub.Topic, events...))
	}
	publish(0, 1, stuckKey)
	stuck := liveHold(t, stream, 1)[0]
	for i := 1; otherKey == ""; i++ {
		publish(-i, -i+1, fmt.Sprint("key-", i))
		d := liveHold(t, stream, 1)[0]
		stream.Settle(&d, leat.Settlement{Action: leat.Ack})
		if d.Position.Partition != stuck.Position.Partition {
			otherKey = d.Event.Key()
		}
	}
	publish(100, 300, stuckKey)
	got := 0
	for leat.CodeOf(stream.Health()) != leat.CodeStalled {
		require.LessOrEqual(t, got, o.GapLimit, "the partition does not pause")
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		into := make([]leat.Delivery, 1)
		if n, _ := stream.Receive(ctx, into); n > 0 {
			stream.Settle(&into[0], leat.Settlement{Action: leat.Ack})
			got++
		}
		cancel()
	}
	require.ErrorContains(t, stream.Health(), fmt.Sprintf("partition %d is paused: the event at offset 0", stuck.Position.Partition))
	require.NoError(t, b.Health(), "it concerns one stream, not the broker")
	publish(400, 500, otherKey)
	for range 100 {
		require.Equal(t, otherKey, liveDelivery(t, stream).Event.Key(), "the stuck partition is paused, the other is not")
	}
	liveNothing(t, stream, 300*time.Millisecond)
	stream.Settle(&stuck, leat.Settlement{Action: leat.Ack})
	require.Len(t, liveReceive(t, stream, 200-got), 200-got)
	require.NoError(t, stream.Health())
}

func liveDelivery(t *testing.T, s *kafka.Stream) leat.Delivery {
	t.Helper()
	d := liveHold(t, s, 1)[0]
	s.Settle(&d, leat.Settlement{Action: leat.Ack})
	return d
}

// TestBroadcast has several streams, each of which gets everything, also of partitions that the
// topic gets later.
func TestBroadcast(t *testing.T) {
	addrs := brokertest.Kafka(t)
	admin := liveAdmin(t, addrs...)
	o := liveOptions(addrs...)
	o.Client = []kgo.Opt{kgo.MetadataMaxAge(300 * time.Millisecond)}
	b := liveBroker(t, o)
	topic := liveTopic(t, admin, 2)
	require.NoError(t, livePublish(t.Context(), b, topic, liveEvents(t, 0, 10, 10)...))
	sub := leat.Subscription{Topic: topic, Broadcast: true}
	var streams []*kafka.Stream
	for range 3 {
		streams = append(streams, liveSubscribe(t, b, sub))
	}
	require.NoError(t, livePublish(t.Context(), b, topic, liveEvents(t, 10, 40, 30)...))
	for _, s := range streams {
		ids := liveReceive(t, s, 30)
		slices.Sort(ids)
		require.Len(t, slices.Compact(ids), 30, "each stream gets each event, once")
		require.Equal(t, "10", ids[0], "nothing from before")
	}
	_, err := admin.UpdatePartitions(t.Context(), 5, topic)
	require.NoError(t, err)
	raw, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MetadataMinAge(50*time.Millisecond))
	require.NoError(t, err)
	defer raw.Close()
	for p := range int32(5) { // also into the new partitions, before the streams know them
		r := &kgo.Record{Topic: topic, Partition: p}
		for name, value := range map[string]string{"specversion": "1.0", "id": fmt.Sprint("new-", p), "source": "/raw", "type": "t"} {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: "ce_" + name, Value: []byte(value)})
		}
		require.Eventually(t, func() bool { return raw.ProduceSync(t.Context(), r).FirstErr() == nil }, livePatience, 50*time.Millisecond)
	}
	for _, s := range streams {
		ids := liveReceive(t, s, 5)
		slices.Sort(ids)
		require.Equal(t, []string{"new-0", "new-1", "new-2", "new-3", "new-4"}, ids)
	}
	_, err = b.Subscribe(t.Context(), leat.Subscription{Topic: liveName(t), Broadcast: true})
	require.Equal(t, leat.CodeNotFound, leat.CodeOf(err))
	_, typed := errors.AsType[*leat.Error](err)
	require.True(t, typed)
}

// spy is a connection that keeps what is written to it.
type spy struct {
	net.Conn

	mu      *sync.Mutex
	written *bytes.Buffer
}

func (s spy) Write(p []byte) (int, error) {
	s.mu.Lock()
	s.written.Write(p)
	s.mu.Unlock()
	return s.Conn.Write(p)
}

// TestRack looks for the rack in what a stream without a group sends, of which only fetch requests
// have one.
func TestRack(t *testing.T) {
	addrs := brokertest.Kafka(t)
	var mu sync.Mutex
	var written bytes.Buffer
	o := liveOptions(addrs...)
	o.Rack = "rack-in-the-cellar"
	o.Client = []kgo.Opt{kgo.Dialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		return spy{conn, &mu, &written}, err
	})}
	b := liveBroker(t, o)
	topic := liveTopic(t, liveAdmin(t, addrs...), 1)
	stream := liveSubscribe(t, b, leat.Subscription{Topic: topic, Broadcast: true})
	require.NoError(t, livePublish(t.Context(), b, topic, liveEvents(t, 0, 1, 1)...))
	liveReceive(t, stream, 1)
	mu.Lock()
	defer mu.Unlock()
	require.True(t, bytes.Contains(written.Bytes(), []byte(o.Rack)))
}
