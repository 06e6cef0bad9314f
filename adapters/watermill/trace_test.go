package watermill_test

import (
	"maps"
	"testing"
	"time"

	wm "github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/adapters/watermill"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const traceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// TestTraceMetadata: the trace context of a publish is in the metadata that other services of
// Watermill read, in both modes, and comes back beside the event, which is as it was.
func TestTraceMetadata(t *testing.T) {
	for _, codec := range []watermill.Codec{{}, {Structured: true}, {Prefix: "ce-"}} {
		for _, trace := range []*leat.TraceContext{nil, {Parent: traceParent}, {Parent: traceParent, State: "a=1"}} {
			pubSub := gochannel.NewGoChannel(gochannel.Config{OutputChannelBuffer: 10}, wm.NopLogger{})
			other, err := pubSub.Subscribe(t.Context(), "topic")
			require.NoError(t, err)
			b, err := watermill.New(pubSub, pubSub, &watermill.Options{Codec: codec})
			require.NoError(t, err)
			s, err := b.Subscribe(t.Context(), leat.Subscription{Topic: "topic", Group: "g", Unordered: true})
			require.NoError(t, err)
			e, err := leat.NewEvent("t", &leat.EventOptions{Source: "/s", Extensions: map[string]any{"traceparent": "its own"}})
			require.NoError(t, err)
			ctx := t.Context()
			if trace != nil {
				ctx = leat.ContextWithTrace(ctx, *trace)
			}
			require.NoError(t, leat.NewProducer(b, nil).Publish(ctx, "topic", e))
			m := <-other
			want := leat.TraceContext{}
			if trace != nil {
				want = *trace
			}
			assert.Equal(t, want, leat.TraceContext{Parent: m.Metadata["traceparent"], State: m.Metadata["tracestate"]})
			into := make([]leat.Delivery, 1)
			_, err = s.Receive(t.Context(), into)
			require.NoError(t, err)
			assert.True(t, e.Equal(into[0].Event), "%v", into[0].Event)
			assert.Equal(t, trace, into[0].Trace)
			require.NoError(t, b.Close())
		}
	}
}

// TestTraceOfMessages: what others put into the metadata. A message that is not a CloudEvent keeps
// all of them in its event.
func TestTraceOfMessages(t *testing.T) {
	event := message.Metadata{"ce_specversion": "1.0", "ce_id": "1", "ce_source": "/s", "ce_type": "t"}
	want, bare := &leat.TraceContext{Parent: traceParent, State: "a=1"}, &leat.TraceContext{Parent: traceParent}
	for name, c := range map[string]struct {
		event    bool
		metadata message.Metadata
		want     *leat.TraceContext
		escaped  bool // there is an extension with what is no attribute
	}{
		"an event":       {true, message.Metadata{"traceparent": traceParent, "tracestate": "a=1"}, want, false},
		"an odd one":     {true, message.Metadata{"traceparent": "odd", "tracestate": "a=1"}, nil, true},
		"no event":       {false, message.Metadata{"traceparent": traceParent, "tracestate": "a=1"}, want, true},
		"twice":          {true, message.Metadata{"traceparent": traceParent, "traceparent (2)": traceParent[:53] + "00"}, nil, true},
		"twice the same": {true, message.Metadata{"traceparent": traceParent, "traceparent (2)": traceParent}, bare, true},
		"back again": {true, message.Metadata{
			"traceparent": traceParent, "traceparent (2)": traceParent[:53] + "00", "traceparent (3)": traceParent,
		}, nil, true},
		"the third differs": {true, message.Metadata{
			"traceparent": traceParent, "traceparent (2)": traceParent, "traceparent (3)": traceParent[:53] + "00",
		}, nil, true},
		"three times the same": {true, message.Metadata{
			"traceparent": traceParent, "traceparent (2)": traceParent, "traceparent (3)": traceParent,
		}, bare, true},
		"the third state differs": {true, message.Metadata{
			"traceparent": traceParent, "tracestate": "a=1", "tracestate (2)": "a=1", "tracestate (3)": "b=1",
		}, bare, true},
		"another in other case": {true, message.Metadata{"traceparent": traceParent, "Traceparent": traceParent[:53] + "00"}, bare, true},
		"only in other case":    {true, message.Metadata{"Traceparent": traceParent, "tracestate": "a=1"}, nil, true},
		"two states": {
			true, message.Metadata{"traceparent": traceParent, "tracestate": "a=1", "tracestate (2)": "b=1"}, bare, true,
		},
	} {
		pubSub := gochannel.NewGoChannel(gochannel.Config{OutputChannelBuffer: 10}, wm.NopLogger{})
		b, err := watermill.New(pubSub, pubSub, nil)
		require.NoError(t, err)
		s, err := b.Subscribe(t.Context(), leat.Subscription{Topic: "topic", Group: "g", Unordered: true})
		require.NoError(t, err)
		m := message.NewMessage("1", nil)
		if c.event {
			maps.Copy(m.Metadata, event)
		}
		maps.Copy(m.Metadata, c.metadata)
		require.NoError(t, pubSub.Publish("topic", m))
		into := make([]leat.Delivery, 1)
		_, err = s.Receive(t.Context(), into)
		require.NoError(t, err)
		require.Nil(t, into[0].Malformed, name)
		assert.Equal(t, c.want, into[0].Trace, name)
		_, escaped := into[0].Event.Extension(watermill.EscapeName)
		assert.Equal(t, c.escaped, escaped, name)
		require.NoError(t, b.Close())
	}
}

// TestTraceOfASubscriber: a service of Watermill over Leat reads the trace context from the
// message, unless that has its own.
func TestTraceOfASubscriber(t *testing.T) {
	b := memory.New(nil)
	s := watermill.NewSubscriber(b, &watermill.SubscriberOptions{Group: "g"})
	messages, err := s.Subscribe(t.Context(), "topic")
	require.NoError(t, err)
	ctx := leat.ContextWithTrace(t.Context(), leat.TraceContext{Parent: traceParent, State: "a=1"})
	pub := watermill.NewPublisher(b, nil)
	for id, metadata := range map[string]message.Metadata{
		"1": {}, "2": {"traceparent": "its own"},
	} {
		m := message.NewMessage(id, []byte("x"))
		m.Metadata = metadata
		m.SetContext(ctx)
		require.NoError(t, pub.Publish("topic", m))
		select {
		case got := <-messages:
			if id == "1" {
				assert.Equal(t, message.Metadata{"traceparent": traceParent, "tracestate": "a=1"}, got.Metadata)
			} else {
				assert.Equal(t, metadata, got.Metadata)
			}
			got.Ack()
		case <-time.After(10 * time.Second):
			t.Fatal("no message")
		}
	}
	require.NoError(t, s.Close())
	require.NoError(t, pub.Close())
	require.NoError(t, b.Close())
}
