package amqp_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/watermill"
	"github.com/leatgo/leat/adapters/watermill/amqp"
	native "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestLargeAttributes: a CloudEvent whose attributes do not fit into a frame is written in
// structured mode, and keeps its trace context.
func TestLargeAttributes(t *testing.T) {
	extensions := map[string]any{}
	for i := range 40 {
		extensions[fmt.Sprint("x", i)] = strings.Repeat("\"", 4<<10)
	}
	large := event(t, &leat.EventOptions{Source: "/s", Key: "k", Extensions: extensions, Data: []byte{0xff}})
	small := event(t, &leat.EventOptions{Source: "/s", Key: "k", Data: []byte{0xff}})
	for _, codec := range []watermill.Codec{{}, {Prefix: "ce-"}} {
		for _, e := range []leat.Event{large, small} {
			m, err := codec.Message(e)
			require.NoError(t, err)
			m.Metadata["traceparent"] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
			p, err := amqp.Marshaler{}.Marshal(m)
			require.NoError(t, err)
			size := 0
			for name, value := range p.Headers {
				size += len(name) + len(value.(string))
			}
			assert.Less(t, size, 128<<10)
			back, err := amqp.Marshaler{}.Unmarshal(native.Delivery{
				Acknowledger: &native.Channel{}, Headers: p.Headers, ContentType: p.ContentType, MessageId: p.MessageId, Body: p.Body,
			})
			require.NoError(t, err)
			assert.Equal(t, m.Metadata["traceparent"], back.Metadata["traceparent"])
			delete(back.Metadata, "traceparent")
			got, err := codec.Event("t", back)
			require.NoError(t, err)
			assert.True(t, e.Equal(got), "%v", got)
			assert.Equal(t, e.ID() == large.ID(), strings.HasPrefix(p.ContentType, "application/cloudevents"))
		}
	}
	plain := message.NewMessage("1", nil)
	plain.Metadata["large"] = strings.Repeat("x", 200<<10)
	_, err := amqp.Marshaler{}.Marshal(plain)
	assert.Equal(t, leat.CodeTooLarge, leat.CodeOf(err), "what is not a CloudEvent has no other mode")
}
