package amqp_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	wm "github.com/ThreeDotsLabs/watermill"
	wmamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/watermill"
	"github.com/leatgo/leat/adapters/watermill/amqp"
	"github.com/leatgo/leat/internal/brokertest"
	native "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { brokertest.Main(m) }

// patience bounds what must happen, however slow the machine is.
const patience = 60 * time.Second

func open(t *testing.T, o amqp.Options) *watermill.Broker {
	t.Helper()
	if o.URL == "" {
		o.URL = brokertest.RabbitMQ(t)
	}
	b, err := amqp.New(&o)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.Close()) })
	return b
}

// leavesNothing fails the test when a goroutine of it is left. It stands first, so that it looks
// last.
func leavesNothing(t *testing.T) {
	t.Helper()
	brokertest.RabbitMQ(t) // it is the other tests', too
	others := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		// A restart of a broker waits for the new process.
		goleak.VerifyNone(t, others, goleak.IgnoreAnyFunction("github.com/leatgo/leat/internal/brokertest.(*Process).launch.func3"))
	})
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// group returns a subscription that no other test has.
func group(name string) leat.Subscription {
	topic := name + "-" + rand.Text()
	return leat.Subscription{Topic: topic, Group: "g"}
}

// channel returns a channel without Leat.
func channel(t *testing.T) *native.Channel {
	t.Helper()
	conn, err := native.Dial(brokertest.RabbitMQ(t))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	require.NoError(t, err)
	return ch
}

func event(t *testing.T, o *leat.EventOptions) leat.Event {
	t.Helper()
	e, err := leat.NewEvent("t", o)
	require.NoError(t, err)
	return e
}

// gather runs a Consumer until it has handled n events successfully, and returns them in the order
// in which they succeeded.
func gather(t *testing.T, b leat.Broker, sub leat.Subscription, n int, h func(e leat.Event) error, more ...leat.Middleware) []leat.Event {
	t.Helper()
	return brokertest.Handle(within(t), t, b, sub, n, h, more...)
}

func ok(leat.Event) error { return nil }

// TestRoundTrip: events of every shape, in both modes.
func TestRoundTrip(t *testing.T) {
	leavesNothing(t)
	for _, structured := range []bool{false, true} {
		t.Run(fmt.Sprintf("structured=%t", structured), func(t *testing.T) {
			b := open(t, amqp.Options{Codec: watermill.Codec{Structured: structured}})
			brokertest.RoundTrip(within(t), t, b, group("round"))
		})
	}
}

// TestPlainWatermill: a service on plain watermill-amqp with its durable Pub/Sub and its default
// marshaler and a service of Leat understand each other.
func TestPlainWatermill(t *testing.T) {
	leavesNothing(t)
	url := brokertest.RabbitMQ(t)
	b := open(t, amqp.Options{})
	sub := group("plain")
	require.NoError(t, leat.Declare(t.Context(), b, sub))
	plain, err := wmamqp.NewPublisher(wmamqp.NewDurablePubSubConfig(url, nil), wm.NopLogger{})
	require.NoError(t, err)
	defer func() { assert.NoError(t, plain.Close()) }()
	sent := message.NewMessage("4711", []byte(`{"a":1}`))
	sent.Metadata = message.Metadata{"correlation_id": "7", "content-type": "application/json", "name": "n"}
	require.NoError(t, plain.Publish(sub.Topic, sent))
	e := gather(t, b, sub, 1, ok)[0]
	assert.Equal(t, map[string]string{"specversion": "1.0", "id": "4711", "source": "/watermill/" + sub.Topic, "type": sub.Topic,
		"name": "n", "datacontenttype": "application/json", "watermillmeta": "m1&correlation_id=7"}, maps.Collect(e.Attributes()))
	back, err := watermill.Codec{}.Restore(e)
	require.NoError(t, err)
	assert.True(t, back.Equals(sent))

	ours := event(t, &leat.EventOptions{ID: "1", Source: "/s", Key: "k", Data: []byte("{}"), DataContentType: "application/json",
		Extensions: map[string]any{"n": 5}})
	topic := group("plain").Topic
	reader, err := wmamqp.NewSubscriber(wmamqp.NewDurablePubSubConfig(url, wmamqp.GenerateQueueNameTopicNameWithSuffix("s")), wm.NopLogger{})
	require.NoError(t, err)
	messages, err := reader.Subscribe(within(t), topic)
	require.NoError(t, err)
	require.NoError(t, leat.NewProducer(b, nil).Publish(within(t), topic, ours))
	m, open := <-messages
	require.True(t, open)
	m.Ack()
	require.NoError(t, reader.Close())
	assert.Equal(t, "1", m.UUID)
	assert.Equal(t, "k", m.Metadata.Get("ce-partitionkey"))
	read, err := watermill.Codec{}.Event(topic, m)
	require.NoError(t, err)
	assert.True(t, read.Equal(ours))
}

// TestHostileMessages: messages of any form come as deliveries, and none stops the queue.
func TestHostileMessages(t *testing.T) {
	leavesNothing(t)
	b := open(t, amqp.Options{})
	sub := group("hostile")
	require.NoError(t, leat.Declare(t.Context(), b, sub))
	raw := channel(t)
	when := time.Unix(1_700_000_000, 0)
	odd := native.Table{"int": int64(5), "bool": true, "null": nil, "bytes": []byte{0xff}, "text": []byte("t"), "time": when, "float": 1.5,
		"decimal": native.Decimal{Scale: 2, Value: 314}, "list": []any{int32(1), "a", native.Table{"b": false}}}
	cloud := native.Table{"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/", "ce-type": "t", "ce-n": int32(5), "ce-yes": true,
		"ce-unset": nil, "ce-time": when, "x-death": []any{native.Table{"count": int64(1)}}}
	for _, p := range []native.Publishing{
		{},
		{MessageId: "odd", ContentType: "text/plain", Headers: odd, Body: []byte("x")},
		{Headers: cloud},
		{Headers: native.Table{"_watermill_message_uuid": int64(7)}},
		{Headers: native.Table{"": "", "ce-specversion": "9"}},
		{ContentType: "application/cloudevents+json", Body: []byte("{")},
		{Headers: native.Table{"_watermill_message_uuid": "last"}},
	} {
		require.NoError(t, raw.PublishWithContext(t.Context(), sub.Topic, "", true, false, p))
	}
	stream, err := b.Subscribe(within(t), sub)
	require.NoError(t, err)
	defer func() { assert.NoError(t, stream.Close(within(t))) }()
	events, malformed := map[string]leat.Event{}, 0
	for range 7 {
		into := make([]leat.Delivery, 8)
		n, err := stream.Receive(within(t), into)
		require.NoError(t, err)
		require.Equal(t, 1, n, "one message of a queue at a time")
		if into[0].Malformed == nil {
			events[into[0].Event.ID()] = into[0].Event
		} else {
			malformed++
			require.Error(t, into[0].Malformed.Reason)
		}
		stream.Settle(&into[0], leat.Settlement{Action: leat.Ack})
	}
	assert.Equal(t, 3, malformed)
	require.Len(t, events, 4)
	m, err := watermill.Codec{}.Restore(events["odd"])
	require.NoError(t, err)
	assert.Equal(t, message.Metadata{"content-type": "text/plain", "int": "5", "bool": "true", "null": "", "bytes": "/w==", "text": "t",
		"time": "2023-11-14T22:13:20Z", "float": "1.5", "decimal": "314e-2", "list": `[1,"a",{"b":false}]`}, m.Metadata)
	assert.Equal(t, map[string]string{"specversion": "1.0", "id": "1", "source": "/", "type": "t", "n": "5", "yes": "true",
		"time": "2023-11-14T22:13:20Z", "watermillmeta": "c1&x-death=%5B%7B%22count%22%3A1%7D%5D"}, maps.Collect(events["1"].Attributes()))
}

// TestRedelivered: an event that comes again is the same as before, and waits for the NackDelay.
func TestRedelivered(t *testing.T) {
	leavesNothing(t)
	const delay = 300 * time.Millisecond
	b := open(t, amqp.Options{NackDelay: delay})
	sub := group("again")
	require.NoError(t, leat.Declare(t.Context(), b, sub))
	sent := event(t, &leat.EventOptions{Source: "/s"})
	require.NoError(t, leat.NewProducer(b, nil).Publish(within(t), sub.Topic, sent))
	stream, err := b.Subscribe(within(t), sub)
	require.NoError(t, err)
	defer func() { assert.NoError(t, stream.Close(within(t))) }()
	var begun time.Time
	for i := range 3 {
		into := make([]leat.Delivery, 1)
		_, err := stream.Receive(within(t), into)
		require.NoError(t, err)
		require.True(t, into[0].Event.Equal(sent), "%v", into[0].Event)
		if i > 0 {
			assert.GreaterOrEqual(t, time.Since(begun), delay)
		}
		begun = time.Now()
		stream.Settle(&into[0], leat.Settlement{Action: leat.GiveBack})
	}
}

// TestUnroutable: what no queue takes is refused, and a channel goes on afterwards.
func TestUnroutable(t *testing.T) {
	leavesNothing(t)
	b := open(t, amqp.Options{Channels: 1})
	sub := group("nobody")
	e := event(t, &leat.EventOptions{Source: "/s"})
	for range 3 {
		err := leat.NewProducer(b, nil).Publish(within(t), sub.Topic, e)
		assert.Equal(t, leat.CodeNotFound, leat.CodeOf(err), "%v", err)
	}
	require.NoError(t, leat.Declare(t.Context(), b, sub))
	require.NoError(t, leat.NewProducer(b, nil).Publish(within(t), sub.Topic, e))
	assert.True(t, gather(t, b, sub, 1, ok)[0].Equal(e))

	b = open(t, amqp.Options{AllowUnroutable: true})
	require.NoError(t, leat.NewProducer(b, nil).Publish(within(t), group("nobody").Topic, e))
}

// TestRefused: what the broker does not take is refused, and what does not fit into a frame is not
// sent: that would end the connection.
func TestRefused(t *testing.T) {
	leavesNothing(t)
	b := open(t, amqp.Options{Channels: 1})
	taken := group("topic").Topic
	require.NoError(t, channel(t).ExchangeDeclare(taken, "topic", true, false, false, false, nil))
	e := event(t, &leat.EventOptions{Source: "/s"})
	err := leat.NewProducer(b, nil).Publish(within(t), taken, e)
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), "%v", err)

	sub := group("frame")
	require.NoError(t, leat.Declare(t.Context(), b, sub))
	many := map[string]any{}
	for i := range 40 {
		many[fmt.Sprintf("x%d", i)] = strings.Repeat("x", 4<<10)
	}
	large := event(t, &leat.EventOptions{Source: "/s", Extensions: many})
	require.NoError(t, leat.NewProducer(b, nil).Publish(within(t), sub.Topic, large), "in structured mode")
	require.NoError(t, leat.NewProducer(b, nil).Publish(within(t), sub.Topic, e))
	structured := open(t, amqp.Options{Codec: watermill.Codec{Structured: true}})
	require.NoError(t, leat.NewProducer(structured, nil).Publish(within(t), sub.Topic, large))
	for i, got := range gather(t, b, sub, 3, ok) {
		assert.True(t, got.Equal([]leat.Event{large, e, large}[i]), "event %d: %v", i, got)
	}
}

// TestCanceledConsumer: when the broker ends a consumer, the lease of what is held is lost, and the
// stream subscribes again.
func TestCanceledConsumer(t *testing.T) {
	leavesNothing(t)
	b := open(t, amqp.Options{})
	sub := group("canceled")
	sub.MaxInFlight = 1
	stream, err := b.Subscribe(within(t), sub)
	require.NoError(t, err)
	defer func() { assert.NoError(t, stream.Close(within(t))) }()
	p := leat.NewProducer(b, nil)
	ctx, stop := context.WithCancel(within(t))
	received := make(chan leat.Delivery)
	var receiving sync.WaitGroup
	defer receiving.Wait()
	defer stop()
	receiving.Go(func() {
		into := make([]leat.Delivery, 1)
		for {
			if _, err := stream.Receive(ctx, into); err != nil {
				return
			}
			select {
			case received <- into[0]:
			case <-ctx.Done():
			}
		}
	})
	next := func() leat.Delivery {
		select {
		case d := <-received:
			return d
		case <-ctx.Done():
			require.FailNow(t, "nothing comes")
			return leat.Delivery{}
		}
	}
	require.NoError(t, p.Publish(within(t), sub.Topic, event(t, &leat.EventOptions{ID: "1", Source: "/s"})))
	first := next()
	_, err = channel(t).QueueDelete(sub.Topic+".g", false, false, false)
	require.NoError(t, err)
	require.Eventually(t, first.Lease.Ended, patience, time.Millisecond)
	again := event(t, &leat.EventOptions{ID: "2", Source: "/s"})
	require.Eventually(t, func() bool { return p.Publish(within(t), sub.Topic, again) == nil }, patience, 10*time.Millisecond,
		"the queue is there again")
	second := next()
	assert.True(t, second.Event.Equal(again))
	assert.NotSame(t, first.Lease, second.Lease)
	stream.Settle(&second, leat.Settlement{Action: leat.Ack})
}

func TestOptions(t *testing.T) {
	leavesNothing(t)
	for _, o := range []*amqp.Options{nil, {URL: "http://localhost"}, {URL: "amqp://127.0.0.1:1", Channels: -1},
		{URL: "amqp://127.0.0.1:1", NackDelay: -1}, {URL: "amqp://ann:secret@192.0.2.1:1"},
		{URL: "amqp://ann:secret@127.0.0.1:1", Configure: func(c *wmamqp.Config) { c.Connection.AmqpURI = "amqp://ann:secret@192.0.2.1:1" }}} {
		_, err := amqp.New(o)
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), "%v", err)
	}
	_, err := amqp.New(&amqp.Options{URL: "amqp://guest:secret@127.0.0.1:1"})
	assert.Equal(t, leat.CodeUnavailable, leat.CodeOf(err))
	assert.NotContains(t, err.Error(), "secret")
	wrong, err := url.Parse(brokertest.RabbitMQ(t))
	require.NoError(t, err)
	wrong.User = url.UserPassword("guest", "secret")
	_, err = amqp.New(&amqp.Options{URL: wrong.String()})
	assert.Equal(t, leat.CodeUnauthenticated, leat.CodeOf(err), "%v", err)
	_, err = amqp.New(&amqp.Options{URL: "amqp://127.0.0.1:1", Configure: func(c *wmamqp.Config) { c.Exchange.GenerateName = nil }})
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), "%v", err)
	b := open(t, amqp.Options{})
	e := event(t, &leat.EventOptions{Source: "/s", Data: make([]byte, 1_000_001)})
	assert.Equal(t, leat.CodeTooLarge, leat.CodeOf(leat.NewProducer(b, nil).Publish(within(t), "t", e)))

	b = open(t, amqp.Options{Unordered: true})
	sub := group("unordered")
	_, err = b.Subscribe(within(t), sub)
	assert.Equal(t, leat.CodeUnsupported, leat.CodeOf(err))
	sub.Unordered = true
	stream, err := b.Subscribe(within(t), sub)
	require.NoError(t, err)
	assert.Equal(t, leat.Capabilities{Durable: true, LongestHold: 25 * time.Minute}, stream.Capabilities())
	require.NoError(t, stream.Close(within(t)))
}
