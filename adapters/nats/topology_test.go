package nats_test

import (
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/nats"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDeclareCreates: names, tags and what a group needs.
func TestDeclareCreates(t *testing.T) {
	t.Parallel()
	b, js := live(t, nats.Options{MaxAge: time.Hour}), raw(t)
	sub := leat.Subscription{Topic: brokertest.Name(t), Group: "g.x", MaxInFlight: 7}
	for range 2 { // the second changes nothing
		require.NoError(t, b.Declare(t.Context(), sub, leat.Subscription{Topic: sub.Topic, Group: "free", Unordered: true}))
	}
	s, err := js.Stream(t.Context(), serverName(sub.Topic))
	require.NoError(t, err)
	config := s.CachedInfo().Config
	assert.Equal(t, []string{"leat." + serverName(sub.Topic)}, config.Subjects)
	assert.Equal(t, time.Hour, config.MaxAge)
	assert.Equal(t, sub.Topic, config.Metadata["leat-topic"])
	c, err := s.Consumer(t.Context(), serverName("g.x"))
	require.NoError(t, err)
	assert.Equal(t, jetstream.PriorityPolicyPinned, c.CachedInfo().Config.PriorityPolicy)
	assert.Equal(t, 7, c.CachedInfo().Config.MaxAckPending, "a successor has to hold them")
	c, err = s.Consumer(t.Context(), "free")
	require.NoError(t, err)
	assert.Equal(t, jetstream.PriorityPolicyNone, c.CachedInfo().Config.PriorityPolicy)

	lag, err := b.Lag(t.Context(), sub.Topic, sub.Group)
	require.NoError(t, err)
	assert.Zero(t, lag.Events)
	assert.Zero(t, lag.Oldest)
	require.NoError(t, leat.NewProducer(b, nil).Publish(t.Context(), sub.Topic, brokertest.Events(t, 0, 3, 1)...))
	lag, err = b.Lag(t.Context(), sub.Topic, sub.Group)
	require.NoError(t, err)
	assert.EqualValues(t, 3, lag.Events)
	assert.Positive(t, lag.Oldest)
	assert.EqualValues(t, 3, lag.Parts[0].Details["num_pending"])
}

// TestVerify: what does not exist, or cannot hold a subscription, is reported and not changed.
func TestVerify(t *testing.T) {
	t.Parallel()
	ctx, js := t.Context(), raw(t)
	verify := live(t, nats.Options{Provision: nats.ProvisionVerify})
	topic := brokertest.Name(t)
	ordered, free := leat.Subscription{Topic: topic, Group: "g"}, leat.Subscription{Topic: topic, Group: "g", Unordered: true}
	code := func(want leat.Code, sub leat.Subscription, text string) {
		t.Helper()
		err := verify.Declare(ctx, sub)
		assert.Equal(t, want, leat.CodeOf(err), "%v", err)
		assert.ErrorContains(t, err, text)
		_, again := verify.Subscribe(ctx, sub)
		assert.Equal(t, want, leat.CodeOf(again), "Subscribe says the same: %v", again)
	}
	code(leat.CodeNotFound, ordered, "the stream")
	_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: serverName(topic), Subjects: []string{topic + ".other"}})
	require.NoError(t, err)
	code(leat.CodeUnsupported, ordered, "does not take the subject")
	s, err := js.UpdateStream(ctx, jetstream.StreamConfig{Name: serverName(topic), Subjects: []string{"leat." + serverName(topic)}})
	require.NoError(t, err)
	code(leat.CodeNotFound, ordered, "the consumer")
	for text, config := range map[string]jetstream.ConsumerConfig{
		"not a pull consumer": {DeliverSubject: topic + ".push", AckPolicy: jetstream.AckExplicitPolicy},
		"ack policy":          {AckPolicy: jetstream.AckAllPolicy},
		"max_deliver":         {AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: 5},
		"backoff":             {AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: -1, BackOff: []time.Duration{time.Second}},
		"headers only":        {AckPolicy: jetstream.AckExplicitPolicy, HeadersOnly: true},
		"ack_wait":            {AckPolicy: jetstream.AckExplicitPolicy, AckWait: 100 * time.Millisecond},
		"priority policy than none": {
			AckPolicy: jetstream.AckExplicitPolicy, PriorityPolicy: jetstream.PriorityPolicyOverflow, PriorityGroups: []string{"x"},
		},
		"max_ack_pending": {
			AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: -1, PinnedTTL: 10 * time.Second,
			PriorityPolicy: jetstream.PriorityPolicyPinned, PriorityGroups: []string{"leat"},
		},
	} {
		config.Durable = "g"
		if config.DeliverSubject != "" {
			_, err = js.CreateOrUpdatePushConsumer(ctx, serverName(topic), config)
		} else {
			_, err = s.CreateConsumer(ctx, config)
		}
		require.NoError(t, err, text)
		code(leat.CodeUnsupported, free, text)
		require.NoError(t, s.DeleteConsumer(ctx, "g"))
	}
	_, err = s.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "g", AckPolicy: jetstream.AckExplicitPolicy})
	require.NoError(t, err)
	code(leat.CodeUnsupported, ordered, "does not keep order")
	require.NoError(t, verify.Declare(ctx, free))
	require.NoError(t, s.DeleteConsumer(ctx, "g"))
	_, err = s.CreateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: "g", AckPolicy: jetstream.AckExplicitPolicy, Metadata: map[string]string{"leat-group": "another"},
	})
	require.NoError(t, err)
	code(leat.CodeConflict, free, "another")

	off := live(t, nats.Options{Provision: nats.ProvisionOff})
	require.NoError(t, off.Declare(ctx, leat.Subscription{Topic: brokertest.Name(t), Group: "g"}))
}

// TestOwnStream: a topic is a stream that somebody else has named.
func TestOwnStream(t *testing.T) {
	t.Parallel()
	ctx, js, name := t.Context(), raw(t), brokertest.Name(t)
	_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: serverName(name), Subjects: []string{name + ".>"}})
	require.NoError(t, err)
	b := live(t, nats.Options{
		Stream: func(_ string, c *jetstream.StreamConfig) {
			c.Name, c.Subjects = serverName(name), []string{name + ".orders.placed"}
		},
		Consumer: func(_ leat.Subscription, c *jetstream.ConsumerConfig) { c.Durable = "mine" },
	})
	sub := leat.Subscription{Topic: "orders", Group: "billing"}
	s, err := b.Subscribe(ctx, sub)
	require.NoError(t, err)
	require.NoError(t, leat.NewProducer(b, nil).Publish(ctx, "orders", brokertest.Events(t, 0, 1, 0)...))
	assert.Equal(t, []string{"0"}, brokertest.Receive(t, s, 1))
	_, err = js.Consumer(ctx, serverName(name), "mine")
	require.NoError(t, err)
}

// TestOtherSubjects: a topic is one subject of a stream that carries others as well.
func TestOtherSubjects(t *testing.T) {
	t.Parallel()
	ctx, js, name := t.Context(), raw(t), brokertest.Name(t)
	mine, other := name+".orders.placed", name+".orders.shipped"
	_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: serverName(name), Subjects: []string{name + ".>"}})
	require.NoError(t, err)
	options := nats.Options{Stream: func(_ string, c *jetstream.StreamConfig) {
		c.Name, c.Subjects = serverName(name), []string{mine}
	}}
	b := live(t, options)
	_, err = js.Publish(ctx, other, []byte("of another topic"))
	require.NoError(t, err)
	begin := time.Now()
	for i, sub := range []leat.Subscription{
		{Topic: "orders", Group: "ordered"}, {Topic: "orders", Group: "free", Unordered: true}, {Topic: "orders", Broadcast: true},
	} {
		s, err := b.Subscribe(ctx, sub)
		require.NoError(t, err)
		_, err = js.Publish(ctx, other, []byte("of another topic"))
		require.NoError(t, err)
		require.NoError(t, leat.NewProducer(b, nil).Publish(ctx, "orders", brokertest.Events(t, 0, 1, 0)...))
		if !sub.Broadcast {
			lag, err := b.Lag(ctx, "orders", sub.Group)
			require.NoError(t, err)
			assert.EqualValues(t, i+1, lag.Events)
			assert.Less(t, lag.Oldest, time.Since(begin), "others are older")
		}
		d := brokertest.Hold(t, s, 1)[0]
		assert.Nil(t, d.Malformed, "a message of another subject came")
		assert.Equal(t, "0", d.Event.ID())
		require.NoError(t, s.Close(ctx))
	}
	options.Provision = nats.ProvisionVerify
	verify, stream := live(t, options), serverName(name)
	for text, config := range map[string]jetstream.ConsumerConfig{
		"also gets the subject": {},
		`the subject "` + other: {FilterSubjects: []string{mine, other}},
		"":                      {FilterSubject: mine},
	} {
		config.Durable, config.AckPolicy = "mine", jetstream.AckExplicitPolicy
		_, err := js.CreateOrUpdateConsumer(ctx, stream, config)
		require.NoError(t, err)
		err = verify.Declare(ctx, leat.Subscription{Topic: "orders", Group: "mine", Unordered: true})
		if text == "" {
			require.NoError(t, err)
		} else {
			assert.Equal(t, leat.CodeUnsupported, leat.CodeOf(err))
			assert.ErrorContains(t, err, text)
		}
		require.NoError(t, js.DeleteConsumer(ctx, stream, "mine"))
	}
}

// TestSeveralSubjects: a topic has all subjects that Options.Stream names, and a consumer without a
// filter is right for a stream with no others.
func TestSeveralSubjects(t *testing.T) {
	t.Parallel()
	ctx, js, name := t.Context(), raw(t), brokertest.Name(t)
	b := live(t, nats.Options{Stream: func(_ string, c *jetstream.StreamConfig) {
		c.Subjects = []string{name + ".placed", name + ".paid"}
	}})
	sub := leat.Subscription{Topic: name, Group: "g", Unordered: true}
	s, err := b.Subscribe(ctx, sub)
	require.NoError(t, err)
	require.NoError(t, leat.NewProducer(b, nil).Publish(ctx, name, brokertest.Events(t, 0, 1, 0)...))
	_, err = js.Publish(ctx, name+".paid", []byte("not an event"))
	require.NoError(t, err)
	all := brokertest.Hold(t, s, 2)
	assert.Nil(t, all[0].Malformed)
	assert.NotNil(t, all[1].Malformed)
	_, err = js.CreateConsumer(ctx, serverName(name), jetstream.ConsumerConfig{Durable: "all", AckPolicy: jetstream.AckExplicitPolicy})
	require.NoError(t, err)
	sub.Group = "all"
	require.NoError(t, b.Declare(ctx, sub))
	_, err = js.CreateConsumer(ctx, serverName(name), jetstream.ConsumerConfig{
		Durable: "some", AckPolicy: jetstream.AckExplicitPolicy, FilterSubject: name + ".paid",
	})
	require.NoError(t, err)
	sub.Group = "some"
	assert.ErrorContains(t, b.Declare(ctx, sub), "does not get the subject")
}

// TestSourcedStream: a stream that takes messages of another one stores them under that one's
// subject.
func TestSourcedStream(t *testing.T) {
	t.Parallel()
	ctx, js, name := t.Context(), raw(t), brokertest.Name(t)
	_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: serverName(name + "x"), Subjects: []string{name + ".elsewhere"}})
	require.NoError(t, err)
	b := live(t, nats.Options{Stream: func(_ string, c *jetstream.StreamConfig) {
		c.Sources = []*jetstream.StreamSource{{Name: serverName(name + "x")}}
	}})
	s, err := b.Subscribe(ctx, leat.Subscription{Topic: name, Group: "g"})
	require.NoError(t, err)
	_, err = js.Publish(ctx, name+".elsewhere", []byte("not an event"))
	require.NoError(t, err)
	assert.NotNil(t, brokertest.Hold(t, s, 1)[0].Malformed)
}

// TestConsumerDeleted: health says that the consumer is gone, and the stream goes on when it is
// there again.
func TestConsumerDeleted(t *testing.T) {
	t.Parallel()
	ctx, js, b := t.Context(), raw(t), live(t, nats.Options{AckWait: 2 * time.Second})
	sub := leat.Subscription{Topic: brokertest.Name(t), Group: "g"}
	s, err := b.Subscribe(ctx, sub)
	require.NoError(t, err)
	health := func() error { return s.(leat.HealthReporter).Health() }
	require.NoError(t, health())
	require.NoError(t, js.DeleteConsumer(ctx, serverName(sub.Topic), "g"))
	eventually(t, "health says it", func() bool { return leat.CodeOf(health()) == leat.CodeNotFound })
	require.NoError(t, b.Health(), "it concerns the stream alone")
	require.NoError(t, b.Declare(ctx, sub))
	require.NoError(t, leat.NewProducer(b, nil).Publish(ctx, sub.Topic, brokertest.Events(t, 0, 1, 0)...))
	assert.Equal(t, []string{"0"}, brokertest.Receive(t, s, 1))
	eventually(t, "health is well again", func() bool { return health() == nil })
}
