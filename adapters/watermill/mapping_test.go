package watermill_test

import (
	"testing"

	wm "github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/watermill"
	"github.com/leatgo/leat/foreign"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// receiveAs returns what becomes of a message in a Broker with these options.
func receiveAs(t *testing.T, o watermill.Options, m *message.Message) leat.Delivery {
	t.Helper()
	h := newGoChannelHarness(t)
	o.NewSubscriber, o.Inline, o.KeepOpen = h.groups.Subscriber, true, true
	b, err := watermill.New(h.pubSub, nil, &o)
	require.NoError(t, err)
	defer func() { require.NoError(t, b.Close()) }()
	s, err := b.Subscribe(t.Context(), leat.Subscription{Topic: h.Topic(), Group: "g", Unordered: true}.WithDefaults())
	require.NoError(t, err)
	require.NoError(t, h.pubSub.Publish("topic-1", m))
	into := make([]leat.Delivery, 1)
	_, err = s.Receive(t.Context(), into)
	require.NoError(t, err)
	s.Settle(&into[0], leat.Settlement{Action: leat.Ack})
	require.NoError(t, s.Close(t.Context()))
	return into[0]
}

func messageOf(metadata message.Metadata) *message.Message {
	m := message.NewMessage(wm.NewUUID(), []byte(`{"a":1}`))
	m.Metadata = metadata
	return m
}

// TestKeyOfTheMessageBroker: it orders events that have no key of their own, and does not change
// them.
func TestKeyOfTheMessageBroker(t *testing.T) {
	o := watermill.Options{Key: func(m *message.Message) string { return m.Metadata.Get("group") }}
	ce := message.Metadata{"ce_specversion": "1.0", "ce_id": "1", "ce_source": "/s", "ce_type": "t"}
	d := receiveAs(t, o, messageOf(ce))
	assert.Empty(t, d.Key)
	ce["group"] = "g\xff"
	d = receiveAs(t, o, messageOf(ce))
	assert.Equal(t, []string{"g\xff", ""}, []string{d.Key, d.Event.Key()})
	ce["ce_partitionkey"] = "own"
	d = receiveAs(t, o, messageOf(ce))
	assert.Equal(t, []string{"", "own"}, []string{d.Key, d.Event.Key()})
}

// TestMappingOfRefused: a Mapping gets what the Codec refuses, with the reason, and nothing else.
func TestMappingOfRefused(t *testing.T) {
	var got []foreign.Message
	o := watermill.Options{
		Codec: watermill.Codec{Strict: true}, Key: func(*message.Message) string { return "k" },
		Mapping: foreign.First(func(m foreign.Message) (leat.Event, error) {
			got = append(got, m)
			return leat.Event{}, m.Err
		}, foreign.Lenient(nil)),
	}
	d := receiveAs(t, o, messageOf(message.Metadata{"ce_specversion": "1.0", "ce_id": "1", "ce_source": "/s", "ce_type": "t"}))
	require.Nil(t, d.Malformed)
	assert.Empty(t, got)

	odd := messageOf(message.Metadata{
		"ce_specversion": "1.0", "ce_id": "1", "ce_source": "/s", "ce_type": "t", "ce_time": "1700000000", "Content-Type": "application/json",
	})
	d = receiveAs(t, o, odd)
	require.Nil(t, d.Malformed)
	assert.Equal(t, []string{"1", "2023-11-14T22:13:20Z", "k"}, []string{d.Event.ID(), d.Event.TimeString(), d.Key})
	require.NotErrorIs(t, got[0].Err, foreign.ErrPlain)

	plain := messageOf(message.Metadata{"b": "2", "a": "1"})
	d = receiveAs(t, o, plain)
	require.NotNil(t, d.Malformed)
	require.ErrorIs(t, d.Malformed.Reason, foreign.ErrPlain)
	assert.JSONEq(t, `{"a":1}`, string(d.Malformed.Body))
	assert.Equal(t, foreign.Message{
		Topic: "topic-1", ID: plain.UUID, Position: leat.Position{ID: plain.UUID}, Key: []byte("k"), Body: []byte(`{"a":1}`),
		Headers: []leat.Header{{Name: "a", Value: []byte("1")}, {Name: "b", Value: []byte("2")}}, Err: got[1].Err,
	}, got[1])
	assert.Equal(t, "application/json", got[0].ContentType)

	o.Mapping = foreign.Plain(nil)
	d = receiveAs(t, o, plain)
	require.Nil(t, d.Malformed)
	assert.Equal(t, []string{plain.UUID, "topic-1"}, []string{d.Event.ID(), d.Event.Type()})
}
