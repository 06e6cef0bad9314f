package kafka_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestWrongAddress uses addresses where no Kafka is. It measures, so it runs alone.
func TestWrongAddress(t *testing.T) {
	rude := newProxy(t) // takes connections and ends them
	down(rude)
	silent, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0") // takes connections and answers nothing
	require.NoError(t, err)
	t.Cleanup(func() { _ = silent.Close() })
	for name, addr := range map[string]string{
		"nobody listens": "127.0.0.1:1", "no such host": "no-such-host.invalid:9092", "ends connections": rude.Addr(),
		"never answers": silent.Addr().String(),
	} {
		t.Run(name, func(t *testing.T) {
			o := quick(addr)
			o.RequestTimeout, o.DeliveryTimeout, o.CloseTimeout = 2*time.Second, time.Second, time.Second
			b := open(t, o)
			begin := time.Now()
			_, err := b.Subscribe(t.Context(), leat.Subscription{Topic: "t", Group: "g"})
			code(t, leat.CodeUnavailable, err)
			assert.Less(t, time.Since(begin), o.RequestTimeout+250*time.Millisecond)
			code(t, leat.CodeUnavailable, b.Health())

			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			begin = time.Now()
			_, err = b.Subscribe(ctx, leat.Subscription{Topic: "t", Group: "g"})
			assert.Contains(t, []leat.Code{leat.CodeCanceled, leat.CodeUnavailable}, leat.CodeOf(err), "%v", err)
			assert.Less(t, time.Since(begin), 450*time.Millisecond)

			begin = time.Now()
			code(t, leat.CodeUnavailable, publishOne(b, "t", event("0", "k"), 5*time.Second))
			assert.Less(t, time.Since(begin), o.DeliveryTimeout+250*time.Millisecond)
			begin = time.Now()
			require.NoError(t, b.Close())
			assert.Less(t, time.Since(begin), o.CloseTimeout+250*time.Millisecond)
		})
	}
}

// TestMissingTopic publishes to and subscribes to what does not exist.
func TestMissingTopic(t *testing.T) {
	t.Parallel()
	b := open(t, quick(brokertest.Kafka(t)...))
	topic := fmt.Sprintf("missing-%d", time.Now().UnixNano())
	begin := time.Now()
	code(t, leat.CodeNotFound, publishOne(b, topic, event("0", "k"), 10*time.Second))
	_, err := b.Subscribe(t.Context(), leat.Subscription{Topic: topic, Group: topic})
	code(t, leat.CodeNotFound, err)
	_, err = b.Lag(t.Context(), topic, topic)
	code(t, leat.CodeNotFound, err)
	assert.Less(t, time.Since(begin), 5*time.Second)
	assert.NoError(t, b.Health(), "the cluster is well")
	require.NoError(t, b.Declare(t.Context(), leat.Subscription{Topic: topic, Group: topic}))
	assert.NoError(t, publishOne(b, topic, event("1", "k"), 10*time.Second))
}

// TestBadInput gives what no cluster needs to be asked about.
func TestBadInput(t *testing.T) {
	t.Parallel()
	_, err := kafka.New(&kafka.Options{Hosts: []string{"127.0.0.1:1"}, Compression: "brotli"})
	code(t, leat.CodeInvalid, err)
	assert.ErrorContains(t, err, "Compression is out of its range; use none, gzip, snappy, lz4 or zstd")
	b := open(t, quick("127.0.0.1:1"))
	for _, topic := range []string{"", "a b", "ü", strings.Repeat("x", 250)} {
		code(t, leat.CodeInvalid, publishOne(b, topic, event("0", ""), time.Second))
		_, err := b.Subscribe(t.Context(), leat.Subscription{Topic: topic, Group: "g"})
		code(t, leat.CodeInvalid, err)
	}
	code(t, leat.CodeInvalid, publishOne(b, "t", leat.Event{}, time.Second))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	errs, err := publish(ended, b, "t", event("0", "")).wait(time.Second)
	require.NoError(t, err)
	code(t, leat.CodeCanceled, errs[0])
}

// TestHeartbeatsLeaveRoomInTheSession: a lease lasts nine tenths of the session after a heartbeat,
// so heartbeats must not come so late that leases end although the group answers every one.
func TestHeartbeatsLeaveRoomInTheSession(t *testing.T) {
	t.Parallel()
	for query, ok := range map[string]bool{
		"session_timeout=8s&heartbeat_interval=6s":     true,
		"session_timeout=8s&heartbeat_interval=6001ms": false,
		"session_timeout=8s&heartbeat_interval=8s":     false,
		"session_timeout=100ms":                        true, // the default heartbeat is a third of it
		"heartbeat_interval=33s":                       true, // of 45 s
		"heartbeat_interval=34s":                       false,
	} {
		b, err := leat.Openers{"kafka": kafka.Open}.Open(t.Context(), "kafka://127.0.0.1:1?"+query)
		if ok {
			require.NoError(t, err, query)
			require.NoError(t, b.Close(), query)
			continue
		}
		code(t, leat.CodeInvalid, err)
		assert.ErrorContains(t, err, "HeartbeatInterval is out of its range; it must not exceed three quarters of SessionTimeout", query)
	}
	_, err := kafka.New(&kafka.Options{
		Hosts: []string{"127.0.0.1:1"}, SessionTimeout: 4 * time.Second, HeartbeatInterval: 3500 * time.Millisecond,
	})
	code(t, leat.CodeInvalid, err)
}

// topicWith makes a topic on the shared Kafka.
func topicWith(t testing.TB, configs map[string]*string) (topic string, addrs []string) {
	t.Helper()
	addrs = brokertest.Kafka(t)
	topic = fmt.Sprintf("topic-%d", time.Now().UnixNano())
	client, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.DisableClientMetrics())
	require.NoError(t, err)
	defer client.Close()
	_, err = kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, configs, topic)
	require.NoError(t, err)
	return topic, addrs
}

// TestTooLarge publishes events that are too large for the client, and for the topic.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	limit := "20000"
	topic, addrs := topicWith(t, map[string]*string{"max.message.bytes": &limit})
	o := quick(addrs...)
	o.MaxMessageBytes, o.Compression = 100_000, "none"
	b := open(t, o)
	events := []leat.Event{
		event("0", "a"), sized("client", "a", 99_500), event("1", "a"), sized("topic", "a", 30_000), event("2", "a"), event("3", "b"),
	}
	var errs []error
	for _, e := range events {
		errs = append(errs, publishOne(b, topic, e, 10*time.Second))
	}
	for i, err := range errs {
		if id := events[i].ID(); id == "client" || id == "topic" {
			code(t, leat.CodeTooLarge, err)
		} else {
			assert.NoError(t, err, id)
		}
	}
	ids, err := stored(topic, addrs...)
	require.NoError(t, err)
	assert.Equal(t, [][]string{{"0", "1", "2", "3"}}, ids)
	assert.NoError(t, b.Health())
}

// TestTooLargeBesideOthers publishes them together. Kafka refuses the batch, and with it what is
// behind; nothing of that may be stored.
func TestTooLargeBesideOthers(t *testing.T) {
	t.Parallel()
	limit := "20000"
	topic, addrs := topicWith(t, map[string]*string{"max.message.bytes": &limit})
	o := quick(addrs...)
	o.MaxMessageBytes, o.Compression = 100_000, "none"
	b := open(t, o)
	var events []leat.Event
	for i := range 2_000 {
		events = append(events, event(fmt.Sprintf("%04d", i), "a"))
	}
	events[1_000] = sized("1000", "a", 30_000)
	errs, err := publish(t.Context(), b, topic, events...).wait(10 * time.Second)
	require.NoError(t, err)
	code(t, leat.CodeTooLarge, errs[1_000])
	partitions, err := stored(topic, addrs...)
	require.NoError(t, err)
	require.NoError(t, agree(partitions, events, errs))
	assert.NoError(t, publishOne(b, topic, event("2000", "a"), 10*time.Second))
}

// TestUndecodableRecord puts records beside events that are none.
func TestUndecodableRecord(t *testing.T) {
	t.Parallel()
	f := newFake(t, kfake.SeedTopics(1, "t"))
	b := open(t, quick(f.ListenAddrs()...))
	require.NoError(t, publishOne(b, "t", event("0", "k"), 5*time.Second))
	raw, err := kgo.NewClient(kgo.SeedBrokers(f.ListenAddrs()...), kgo.DisableClientMetrics())
	require.NoError(t, err)
	defer raw.Close()
	for _, r := range []*kgo.Record{
		{Topic: "t", Value: []byte("no event")}, {Topic: "t"}, {Topic: "t", Key: []byte{0xff}},
		{Topic: "t", Headers: []kgo.RecordHeader{{Key: "ce_specversion", Value: []byte("9.9")}}},
		{Topic: "t", Headers: []kgo.RecordHeader{{Key: "content-type", Value: []byte("application/cloudevents+json")}}, Value: []byte("{")},
	} {
		require.NoError(t, raw.ProduceSync(t.Context(), r).FirstErr())
	}
	require.NoError(t, publishOne(b, "t", event("1", "k"), 5*time.Second))
	s, err := b.Subscribe(t.Context(), leat.Subscription{Topic: "t", Group: "g"})
	require.NoError(t, err)
	malformed := 0
	for got := 0; got < 7; {
		into := make([]leat.Delivery, 10)
		n, err := s.Receive(t.Context(), into)
		require.NoError(t, err)
		for i := range into[:n] {
			if into[i].Malformed != nil {
				malformed++
				require.Error(t, into[i].Malformed.Reason)
			}
			s.Settle(&into[i], leat.Settlement{Action: leat.Ack})
		}
		got += n
	}
	assert.Equal(t, 5, malformed)
	require.NoError(t, f.committed("g", "t", 7))
	assert.NoError(t, b.Health())
}
