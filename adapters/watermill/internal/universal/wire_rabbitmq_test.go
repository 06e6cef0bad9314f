package universal_test

import (
	"context"
	"crypto/rand"
	"net/url"
	"testing"
	"time"

	wm "github.com/ThreeDotsLabs/watermill"
	wmamqp2 "github.com/ThreeDotsLabs/watermill-amqp/v2/pkg/amqp"
	wmamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/rabbitmq"
	leatmill "github.com/leatgo/leat/adapters/watermill"
	leatamqp "github.com/leatgo/leat/adapters/watermill/amqp"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// nativeRabbitMQ returns adapters/rabbitmq that reads the messages of plain watermill-amqp.
func nativeRabbitMQ(t *testing.T, o rabbitmq.Options) *rabbitmq.Broker {
	t.Helper()
	u, err := url.Parse(brokertest.RabbitMQ(t))
	require.NoError(t, err)
	password, _ := u.User.Password()
	o.Hosts = []string{u.Host}
	o.Credentials = func(context.Context) (string, string, error) { return u.User.Username(), password, nil }
	o.Mapping = leatmill.Codec{}.Mapping
	b, err := rabbitmq.New(&o)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.Close()) })
	return b
}

// handleOne returns the first event of a group.
func handleOne(t *testing.T, b leat.Broker, sub leat.Subscription) leat.Event {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	handled := make(chan leat.Event, 1)
	c := leat.NewConsumer(b, sub, leat.HandlerFunc(func(_ context.Context, e leat.Event) error {
		handled <- e
		stop()
		return nil
	}), nil)
	require.NoError(t, leat.Run(ctx, c))
	require.NotEmpty(t, handled)
	return <-handled
}

// readOne returns the first message of a channel, and acks it.
func readOne(t *testing.T, messages <-chan *message.Message) *message.Message {
	t.Helper()
	select {
	case m, open := <-messages:
		require.True(t, open)
		m.Ack()
		return m
	case <-time.After(time.Minute):
		require.Fail(t, "no message came")
		return nil
	}
}

// someMessage is one of plain Watermill.
func someMessage() *message.Message {
	m := message.NewMessage(wm.NewUUID(), []byte(`{"a":1}`))
	m.Metadata = message.Metadata{"correlation_id": "7", "content-type": "application/json", "name": "n"}
	return m
}

func someEvent(t *testing.T) leat.Event {
	t.Helper()
	e, err := leat.NewEvent("com.example.t", &leat.EventOptions{ID: "1", Source: "/s", Key: "k", Data: []byte("x")})
	require.NoError(t, err)
	return e
}

// TestWireRabbitMQ: a service on plain watermill-amqp with its default marshaler and services of
// Leat on adapters/rabbitmq, one with Leat's own API and one with a Watermill Subscriber over it,
// exchange messages in both directions, with the exchanges and queues that watermill-amqp has.
func TestWireRabbitMQ(t *testing.T) {
	amqpURL := brokertest.RabbitMQ(t)
	exchange, queue := "x-"+rand.Text(), "q-"+rand.Text()
	for _, c := range []struct {
		name   string
		plain  wmamqp.Config
		leat   rabbitmq.Options
		unsure bool // the queue keeps no order
	}{
		{name: "durable Pub/Sub", plain: wmamqp.NewDurablePubSubConfig(amqpURL, wmamqp.GenerateQueueNameTopicNameWithSuffix("plain")),
			leat: rabbitmq.Options{Exchange: func(_ string, x *rabbitmq.Exchange) { x.Kind = "fanout" }}},
		{name: "durable topic, whose queue is taken over", plain: wmamqp.NewDurableTopicConfig(amqpURL, exchange, queue), unsure: true,
			leat: rabbitmq.Options{
				Exchange: func(_ string, x *rabbitmq.Exchange) { x.Name, x.Durable = exchange, false }, // as watermill-amqp makes it
				Queue: func(sub leat.Subscription, q *rabbitmq.Queue) {
					*q = rabbitmq.Queue{Name: queue, Durable: true, Keys: []string{sub.Topic}}
				},
				RoutingKey: func(topic string, _ leat.Event) string { return topic },
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			b := nativeRabbitMQ(t, c.leat)
			topic := "wire-" + rand.Text()
			sub := leat.Subscription{Topic: topic, Group: "own", Unordered: c.unsure}
			require.NoError(t, leat.Declare(ctx, b, sub))

			plain, err := wmamqp.NewPublisher(c.plain, wm.NopLogger{})
			require.NoError(t, err)
			defer func() { assert.NoError(t, plain.Close()) }()
			sent := someMessage()
			require.NoError(t, plain.Publish(topic, sent))
			e := handleOne(t, b, sub)
			assert.Equal(t, sent.UUID, e.ID())
			assert.Equal(t, topic, e.Type())
			back, err := leatmill.Codec{}.Restore(e)
			require.NoError(t, err)
			assert.True(t, back.Equals(sent), "%v", back)

			over := leatmill.NewSubscriber(b, &leatmill.SubscriberOptions{Group: "own", Unordered: c.unsure})
			messages, err := over.Subscribe(ctx, topic)
			require.NoError(t, err)
			require.NoError(t, plain.Publish(topic, sent))
			got := readOne(t, messages)
			assert.True(t, got.Equals(sent), "%v", got)
			require.NoError(t, over.Close())

			reader, err := wmamqp.NewSubscriber(c.plain, wm.NopLogger{})
			require.NoError(t, err)
			messages, err = reader.Subscribe(ctx, topic)
			require.NoError(t, err)
			ours := someEvent(t)
			require.NoError(t, leat.NewProducer(b, nil).Publish(ctx, topic, ours))
			read := readOne(t, messages)
			assert.Equal(t, "x", string(read.Payload))
			assert.Equal(t, "com.example.t", read.Metadata.Get("ce-type"))
			same, err := leatmill.Codec{}.Event(topic, read)
			require.NoError(t, err)
			assert.True(t, same.Equal(ours))

			require.NoError(t, leatmill.NewPublisher(b, nil).Publish(topic, sent))
			read = readOne(t, messages)
			require.NoError(t, reader.Close())
			assert.Equal(t, sent.Payload, read.Payload)
			assert.Equal(t, "n", read.Metadata.Get("ce-name"), "a service without Leat sees the CloudEvent")
		})
	}
}

// TestSameQueue: adapters/watermill/amqp and adapters/rabbitmq read and write the same, and declare
// the same queue, so that a service can change from one to the other.
func TestSameQueue(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	over, err := leatamqp.New(&leatamqp.Options{URL: brokertest.RabbitMQ(t)})
	require.NoError(t, err)
	defer func() { assert.NoError(t, over.Close()) }()
	direct := nativeRabbitMQ(t, rabbitmq.Options{Exchange: func(_ string, x *rabbitmq.Exchange) { x.Kind = "fanout" }})
	sub := leat.Subscription{Topic: "same-" + rand.Text(), Group: "g"}
	require.NoError(t, leat.Declare(ctx, over, sub))
	require.NoError(t, leat.Declare(ctx, direct, sub))
	for _, o := range []*leat.EventOptions{
		{Source: "/s", Key: "k", Data: []byte(`{}`), DataContentType: "application/json", Extensions: map[string]any{"n": 1, "b": false}},
		{Source: "/s", Data: []byte{}, Subject: "Köln", Time: time.Now()},
		{Source: "/s"},
	} {
		e, err := leat.NewEvent("t", o)
		require.NoError(t, err)
		require.NoError(t, leat.NewProducer(over, nil).Publish(ctx, sub.Topic, e))
		got := handleOne(t, direct, sub)
		assert.True(t, got.Equal(e), "%v", got)
		assert.Equal(t, e.Data(), got.Data())
		require.NoError(t, leat.NewProducer(direct, nil).Publish(ctx, sub.Topic, e))
		got = handleOne(t, over, sub)
		assert.True(t, got.Equal(e), "%v", got)
		assert.Equal(t, e.Data(), got.Data())
	}
}

// TestWatermillAMQP2: version 2 of watermill-amqp under Leat, by the broker over any Pub/Sub.
func TestWatermillAMQP2(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	amqpURL := brokertest.RabbitMQ(t)
	c := wmamqp2.NewDurablePubSubConfig(amqpURL, nil)
	c.Publish.ConfirmDelivery = true
	pub, err := wmamqp2.NewPublisher(c, wm.NopLogger{})
	require.NoError(t, err)
	b, err := leatmill.New(pub, nil, &leatmill.Options{Durable: true, NewSubscriber: func(group string) (message.Subscriber, error) {
		return wmamqp2.NewSubscriber(wmamqp2.NewDurablePubSubConfig(amqpURL, wmamqp2.GenerateQueueNameTopicNameWithSuffix(group)), wm.NopLogger{})
	}})
	require.NoError(t, err)
	defer func() { assert.NoError(t, b.Close()) }()
	sub := leat.Subscription{Topic: "two-" + rand.Text(), Group: "g", Unordered: true}
	require.NoError(t, leat.Declare(ctx, b, sub))
	ours := someEvent(t)
	require.NoError(t, leat.NewProducer(b, nil).Publish(ctx, sub.Topic, ours))
	assert.True(t, handleOne(t, b, sub).Equal(ours))
}
