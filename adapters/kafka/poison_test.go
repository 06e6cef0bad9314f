package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/leatgo/leat/internal/poisonload"
	"github.com/leatgo/leat/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestWhatDoesNotFitIntoThePoisonQueue has messages that a poison queue on Kafka cannot take as
// they are.
func TestWhatDoesNotFitIntoThePoisonQueue(t *testing.T) {
	addrs := brokertest.Kafka(t)
	raw, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.ProducerBatchMaxBytes(1_048_588),
		kgo.ProducerBatchCompression(kgo.NoCompression()))
	require.NoError(t, err)
	t.Cleanup(raw.Close)
	topic := liveTopic(t, liveAdmin(t, addrs...), 4)
	poisonload.Shapes(t, liveBroker(t, liveOptions(addrs...)), topic, poisonload.Injector{
		LargeBytes: 1_047_700,
		Event: func(ctx context.Context, topic string, e leat.Event) error {
			r, err := kafka.EncodeRecord(e)
			if err != nil {
				return err
			}
			r.Topic = topic
			return raw.ProduceSync(ctx, r).FirstErr()
		},
		Raw: func(ctx context.Context, topic string, body []byte) error {
			return raw.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: body}).FirstErr()
		},
	})
}

// TestRejectedEventsAmongManyDelayNone has 1,000 rejected events among 100,000 good ones where
// LEAT_LONG is set, else a tenth of that.
func TestRejectedEventsAmongManyDelayNone(t *testing.T) {
	addrs := brokertest.Kafka(t)
	for name, refused := range map[string]bool{"that do not fit into the poison queue": false, "that it refuses": true} {
		t.Run(name, func(t *testing.T) {
			topic := liveTopic(t, liveAdmin(t, addrs...), 4)
			poisonload.Among(t, liveBroker(t, liveOptions(addrs...)), topic, refused)
		})
	}
}

// rejecting runs a consumer that rejects the events of one key and counts the others, until the
// test ends.
func rejecting(t *testing.T, b *kafka.Broker, sub leat.Subscription) (c *leat.Consumer, handled *atomic.Int64) {
	t.Helper()
	handled = &atomic.Int64{}
	c = leat.NewConsumer(b, sub, leat.HandlerFunc(func(_ context.Context, e leat.Event) error {
		if e.Key() == "bad" {
			return leat.Reject(errors.New("rejected by the test"))
		}
		handled.Add(1)
		return nil
	}), &leat.ConsumerOptions{PoisonQueue: middleware.PoisonQueue(leat.NewProducer(b, nil), nil)})
	ctx, stop := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- leat.Run(ctx, c) }()
	t.Cleanup(func() {
		stop()
		assert.NoError(t, <-result)
	})
	return c, handled
}

func badEvent(t *testing.T, bytes int) leat.Event {
	t.Helper()
	e, err := leat.NewEvent("live", &leat.EventOptions{ID: "bad", Source: "/live", Key: "bad", Data: make([]byte, bytes)})
	require.NoError(t, err)
	return e
}

// TestAPoisonTopicThatTakesLessThanItsBroker has a limit of the topic that nobody but its answer
// tells.
func TestAPoisonTopicThatTakesLessThanItsBroker(t *testing.T) {
	addrs := brokertest.Kafka(t)
	admin := liveAdmin(t, addrs...)
	sub := leat.Subscription{Topic: liveTopic(t, admin, 1), Group: "g"}
	limit := "100000"
	_, err := admin.CreateTopic(t.Context(), 1, -1, map[string]*string{"max.message.bytes": &limit}, leat.PoisonTopic(sub.Topic, sub.Group))
	require.NoError(t, err)
	o := liveOptions(addrs...)
	o.Compression = "none"
	b := liveBroker(t, o)
	c, _ := rejecting(t, b, sub)
	event := badEvent(t, 700_000)
	require.NoError(t, livePublish(t.Context(), b, sub.Topic, event))
	poison := liveSubscribe(t, b, leat.Subscription{Topic: leat.PoisonTopic(sub.Topic, sub.Group), Group: leat.ReplayGroup})
	got := liveHold(t, poison, 1)[0]
	p, err := leat.PoisonedFrom(got.Event)
	require.NoError(t, err)
	require.NotNil(t, p.Reduced)
	assert.Equal(t, 700_000, p.Reduced.DataSize)
	assert.Greater(t, len(p.Reduced.Event.Data()), 30_000)
	require.Eventually(t, func() bool { return c.Stats().PoisonReduced == 1 }, livePatience, 10*time.Millisecond)
	assert.Equal(t, leat.Healthy, c.Health().State)
}

// testPoisonTopicNotWritable takes the permission to write to the poison topic away, and gives it.
func testPoisonTopicNotWritable(t *testing.T, s *secured) {
	user, sub := "user-"+liveName(t), leat.Subscription{Topic: liveTopic(t, s.admin, 1), Group: "g" + liveName(t)}
	poison := leat.PoisonTopic(sub.Topic, sub.Group)
	_, err := s.admin.CreateTopic(t.Context(), 1, -1, nil, poison)
	require.NoError(t, err)
	s.allow(t, user, topicACL(sub.Topic, kadm.OpRead, kadm.OpWrite), groupACL(sub.Group, kadm.OpRead), topicACL(poison, kadm.OpDescribe))
	b := s.as(t, user, func(o *kafka.Options) { o.Provision = kafka.ProvisionOff })
	c, handled := rejecting(t, b, sub)
	require.NoError(t, livePublish(t.Context(), b, sub.Topic, badEvent(t, 10)))
	require.Eventually(t, func() bool { return c.Stats().PoisonRefused == 1 }, livePatience, 10*time.Millisecond)
	require.NoError(t, livePublish(t.Context(), b, sub.Topic, liveEvents(t, 0, 100, 10)...))
	require.Eventually(t, func() bool { return handled.Load() == 100 }, livePatience, 10*time.Millisecond, "the others go on")
	h := c.Health()
	assert.Equal(t, leat.Degraded, h.State)
	assert.Regexp(t, fmt.Sprintf(
		`event "bad" of type "[^"]+" at position 0/0; allow the Producer of the poison queue to write to topic %q`, poison),
		errors.Join(h.Problems...).Error())
	s.allow(t, user, topicACL(poison, kadm.OpWrite))
	require.Eventually(t, func() bool { return c.Stats().Poisoned == 1 }, livePatience, 10*time.Millisecond, "it heals by itself")
	assert.Zero(t, c.Stats().PoisonRefused)
}
