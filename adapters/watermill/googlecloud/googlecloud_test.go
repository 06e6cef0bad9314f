package googlecloud_test

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	wm "github.com/ThreeDotsLabs/watermill"
	wmgoogle "github.com/ThreeDotsLabs/watermill-googlecloud/v2/pkg/googlecloud"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/watermill"
	"github.com/leatgo/leat/adapters/watermill/googlecloud"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestRoundTrip: events of every shape, in both modes.
func TestRoundTrip(t *testing.T) {
	for _, structured := range []bool{false, true} {
		t.Run(fmt.Sprintf("structured=%t", structured), func(t *testing.T) {
			b := open(t, brokertest.PubSub(t), googlecloud.Options{Codec: watermill.Codec{Structured: structured}})
			brokertest.RoundTrip(within(t), t, b, group("round"))
		})
	}
}

// TestPlainWatermill: a service on plain watermill-googlecloud with its default marshaler and a
// service of Leat understand each other.
func TestPlainWatermill(t *testing.T) {
	addr := fake(t).Addr
	b := open(t, addr, googlecloud.Options{})
	sub := group("plain")
	require.NoError(t, leat.Declare(t.Context(), b, sub))
	writer, err := wmgoogle.NewPublisher(wmgoogle.PublisherConfig{ProjectID: project, ClientOptions: to(addr)}, wm.NopLogger{})
	require.NoError(t, err)
	defer func() { assert.NoError(t, writer.Close()) }()
	sent := message.NewMessage("4711", []byte(`{"a":1}`))
	sent.Metadata = message.Metadata{"correlation_id": "7", "content-type": "application/json", "name": "n"}
	want := sent.Copy() // the Publisher adds to the metadata of what it has published
	require.NoError(t, writer.Publish(sub.Topic, sent))
	e := gather(t, b, sub, 1, ok)[0]
	assert.Equal(t, map[string]string{"specversion": "1.0", "id": "4711", "source": "/watermill/" + sub.Topic, "type": sub.Topic,
		"name": "n", "datacontenttype": "application/json", "watermillmeta": "m1&correlation_id=7"}, maps.Collect(e.Attributes()))
	back, err := watermill.Codec{}.Restore(e)
	require.NoError(t, err)
	assert.True(t, back.Equals(want))

	ours := event(t, &leat.EventOptions{ID: "1", Source: "/s", Key: "k", Data: []byte("{}"), DataContentType: "application/json",
		Extensions: map[string]any{"n": 5}})
	topic := group("plain").Topic
	reader, err := wmgoogle.NewSubscriber(wmgoogle.SubscriberConfig{ProjectID: project, ClientOptions: to(addr)}, wm.NopLogger{})
	require.NoError(t, err)
	defer func() { assert.NoError(t, reader.Close()) }()
	messages, err := reader.Subscribe(within(t), topic)
	require.NoError(t, err)
	require.NoError(t, leat.NewProducer(b, nil).Publish(within(t), topic, ours))
	m, open := <-messages
	require.True(t, open)
	m.Ack()
	assert.Equal(t, "1", m.UUID)
	assert.Equal(t, "k", m.Metadata.Get("ce-partitionkey"))
	delete(m.Metadata, "publishTime")
	delete(m.Metadata, wmgoogle.GoogleMessageIDHeaderKey)
	read, err := watermill.Codec{}.Event(topic, m)
	require.NoError(t, err)
	assert.True(t, read.Equal(ours))
}

// TestOrder: events of a key come in order, also those of a handler that has failed, and a message
// without a key of CloudEvents keeps the order of its ordering key.
func TestOrder(t *testing.T) {
	addr := fake(t).Addr
	b := open(t, addr, googlecloud.Options{})
	sub := group("order")
	require.NoError(t, leat.Declare(within(t), b, sub))
	publish(t, plain(t, addr), sub.Topic, &pubsubpb.PubsubMessage{
		OrderingKey: "k", Attributes: map[string]string{wmgoogle.UUIDHeaderKey: "0"},
	})
	p, failed := leat.NewProducer(b, nil), false
	for i := range 5 {
		require.NoError(t, p.Publish(within(t), sub.Topic, event(t, &leat.EventOptions{ID: strconv.Itoa(i + 1), Source: "/s", Key: "k"})))
	}
	var ids []string
	for _, e := range gather(t, b, sub, 6, func(e leat.Event) error {
		if e.ID() == "2" && !failed {
			failed = true
			return errors.New("not yet")
		}
		return nil
	}) {
		ids = append(ids, e.ID())
	}
	assert.Equal(t, []string{"0", "1", "2", "3", "4", "5"}, ids)
}

// TestHostileMessages: messages of any form come as deliveries, with Pub/Sub's id and ordering key,
// and none stops the subscription.
func TestHostileMessages(t *testing.T) {
	addr := fake(t).Addr
	b := open(t, addr, googlecloud.Options{})
	sub := group("hostile")
	require.NoError(t, leat.Declare(within(t), b, sub))
	cloud := map[string]string{"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/", "ce-type": "t",
		"Content-Type": "text/plain", "x y": "z"}
	publish(t, plain(t, addr), sub.Topic,
		&pubsubpb.PubsubMessage{Data: []byte("x")},
		&pubsubpb.PubsubMessage{Attributes: map[string]string{"a": ""}, OrderingKey: "k"},
		&pubsubpb.PubsubMessage{Attributes: cloud, Data: []byte{0xff}, OrderingKey: "k"},
		&pubsubpb.PubsubMessage{Attributes: map[string]string{"": "", "ce-specversion": "9"}},
		&pubsubpb.PubsubMessage{Attributes: map[string]string{"content-type": "application/cloudevents+json"}, Data: []byte("{")},
		&pubsubpb.PubsubMessage{Attributes: map[string]string{wmgoogle.UUIDHeaderKey: "last"}},
	)
	stream, err := b.Subscribe(within(t), sub)
	require.NoError(t, err)
	defer func() { assert.NoError(t, stream.Close(within(t))) }()
	events, malformed := map[string]leat.Delivery{}, 0
	for range 6 { // in any order, but for those of key k
		d := brokertest.Hold(t, stream, 1)[0]
		stream.Settle(&d, leat.Settlement{Action: leat.Ack})
		assert.NotEmpty(t, d.Position.ID)
		if d.Malformed != nil {
			malformed++
			require.Error(t, d.Malformed.Reason)
			for _, h := range d.Malformed.Headers {
				assert.NotContains(t, h.Name, "\xff")
			}
		} else {
			events[d.Event.ID()] = d
		}
	}
	assert.Equal(t, 4, malformed)
	require.Len(t, events, 2)
	assert.Equal(t, "k", events["1"].Key)
	assert.Equal(t, map[string]string{"specversion": "1.0", "id": "1", "source": "/", "type": "t", "datacontenttype": "text/plain",
		"watermillmeta": "c1&x+y=z"}, maps.Collect(events["1"].Event.Attributes()))
}

// TestTwoStreams: several streams of a group share its messages, in one Broker.
func TestTwoStreams(t *testing.T) {
	b := open(t, fake(t).Addr, googlecloud.Options{Unordered: true,
		Configure: func(_ *wmgoogle.PublisherConfig, s *wmgoogle.SubscriberConfig) {
			// What a stream gives back may come to it again, while it closes.
			s.ReceiveSettings.MaxDurationPerAckExtension = 10 * time.Second
		}})
	sub := group("two")
	sub.Unordered, sub.MaxInFlight = true, 1
	first, err := b.Subscribe(within(t), sub)
	require.NoError(t, err)
	second, err := b.Subscribe(within(t), sub)
	require.NoError(t, err)
	p := leat.NewProducer(b, nil)
	const n = 3 // each stream holds one, and has one more that it does not hand out
	for i := range n {
		require.NoError(t, p.Publish(within(t), sub.Topic, event(t, &leat.EventOptions{ID: strconv.Itoa(i), Source: "/s"})))
	}
	held := brokertest.Hold(t, first, 1)
	require.NoError(t, first.Close(within(t)), "what it held goes back")
	seen := map[string]bool{}
	for range n {
		seen[brokertest.Receive(t, second, 1)[0]] = true
	}
	assert.Len(t, seen, n)
	assert.Contains(t, seen, held[0].Event.ID())
	require.NoError(t, second.Close(within(t)))
}

func TestOptions(t *testing.T) {
	for _, o := range []*googlecloud.Options{nil, {}, {Project: "p", CloseTimeout: -1}} {
		_, err := googlecloud.New(o)
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), "%v", err)
	}
	addr := fake(t).Addr
	b := open(t, addr, googlecloud.Options{Unordered: true})
	sub := group("unordered")
	_, err := b.Subscribe(within(t), sub)
	assert.Equal(t, leat.CodeUnsupported, leat.CodeOf(err))
	sub.Unordered = true
	stream, err := b.Subscribe(within(t), sub)
	require.NoError(t, err)
	assert.Equal(t, leat.Capabilities{Durable: true, LongestHold: 55 * time.Minute}, stream.Capabilities())
	require.NoError(t, stream.Close(within(t)))

	b = open(t, addr, googlecloud.Options{Configure: func(_ *wmgoogle.PublisherConfig, s *wmgoogle.SubscriberConfig) {
		inner := s.GenerateSubscription
		s.GenerateSubscription = func(p wmgoogle.GenerateSubscriptionParams) *pubsubpb.Subscription {
			made := inner(p)
			made.AckDeadlineSeconds = 33
			return made
		}
	}, SubscriptionName: func(topic, group string) string { return topic + "-for-" + group }})
	sub = group("configured")
	require.NoError(t, leat.Declare(within(t), b, sub))
	is, err := plain(t, addr).SubscriptionAdminClient.GetSubscription(within(t),
		&pubsubpb.GetSubscriptionRequest{Subscription: subscriptionPath(sub.Topic + "-for-g")})
	require.NoError(t, err)
	assert.True(t, is.GetEnableMessageOrdering())
	assert.EqualValues(t, 33, is.GetAckDeadlineSeconds())
	assert.Nil(t, is.GetExpirationPolicy().GetTtl(), "it never expires")
	stream, err = b.Subscribe(within(t), sub)
	require.NoError(t, err)
	assert.Equal(t, leat.OrderPerGroup, stream.Capabilities().Order)
	require.NoError(t, stream.Close(within(t)))
}
