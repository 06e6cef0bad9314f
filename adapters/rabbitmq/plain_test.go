package rabbitmq_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/foreign"
	"github.com/leatgo/leat/internal/brokertest"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestPlainMessages: an exchange of a program that knows nothing of CloudEvents. The ids are the
// same when a message comes again, for which RabbitMQ adds headers.
func TestPlainMessages(t *testing.T) {
	t.Parallel()
	n := brokertest.StartRabbitMQ(t, nil)
	o := liveOptions(n)
	o.KeyFrom = "routing_key"
	o.Mapping = foreign.Plain(&foreign.PlainOptions{
		TypeOf: func(m foreign.Message) (string, error) { return "order." + m.Properties["type"], nil }, Source: "/legacy/orders",
	})
	sub := liveSub(t)
	require.NoError(t, leat.Declare(t.Context(), liveBroker(t, o), sub))
	ch := liveChannel(t, liveRaw(t, n.URL()))
	require.NoError(t, ch.Confirm(false))
	for i, m := range []amqp.Publishing{
		{MessageId: "m-1", Type: "placed", ContentType: "application/json", Timestamp: time.Unix(1_700_000_000, 0), Body: []byte(`{"order":7}`)},
		{Type: "paid", ContentType: "text/plain", Headers: amqp.Table{"n": int32(5)}, Body: []byte("text")},
		{Type: "paid", ContentType: "text/plain", Headers: amqp.Table{"n": int32(6)}, Body: []byte("text")},
		{Headers: amqp.Table{"ce-specversion": "1.0", "ce-id": "1"}},
	} {
		answer, err := ch.PublishWithDeferredConfirmWithContext(t.Context(), sub.Topic, fmt.Sprint("key-", i), true, false, m)
		require.NoError(t, err)
		require.True(t, answer.Wait())
	}
	var first []string
	for round := range 2 {
		b := liveBroker(t, o)
		got := liveHold(t, liveSubscribe(t, b, sub), 4)
		e := got[0].Event
		assert.Equal(t, []string{"m-1", "order.placed", "/legacy/orders", "application/json", `{"order":7}`, "", "key-0"},
			[]string{e.ID(), e.Type(), e.Source(), e.DataContentType(), e.DataString(), e.Key(), got[0].Key})
		assert.Equal(t, time.Unix(1_700_000_000, 0).UTC(), e.Time().UTC())
		assert.True(t, got[1].Event.Time().IsZero(), "nobody knows when it happened")
		assert.NotEqual(t, got[1].Event.ID(), got[2].Event.ID(), "they differ by a header")
		require.NotNil(t, got[3].Malformed, "what claims to be a CloudEvent is not read as a plain one")
		ids := []string{got[0].Event.ID(), got[1].Event.ID(), got[2].Event.ID()}
		if round == 0 {
			first = ids
		} else {
			assert.Equal(t, first, ids)
			assert.Equal(t, 2, got[1].Deliveries)
		}
		require.NoError(t, b.Close())
	}
}

// TestPlainConsumersReadEvents: in binary mode, which is the default, a program that knows nothing
// of CloudEvents finds the JSON of the data as the body, and its content type as the property.
func TestPlainConsumersReadEvents(t *testing.T) {
	t.Parallel()
	n := brokertest.StartRabbitMQ(t, nil)
	b := liveBroker(t, liveOptions(n))
	sub := liveSub(t)
	require.NoError(t, leat.Declare(t.Context(), b, sub))
	type order struct {
		ID    string `json:"id"`
		Cents int    `json:"cents"`
	}
	placed := leat.EventType[order]{Name: "order.placed", Topic: sub.Topic}
	want := order{"7", 1999}
	require.NoError(t, placed.Publish(t.Context(), leat.NewProducer(b, &leat.ProducerOptions{Source: "/shop"}), want))

	ch := liveChannel(t, liveRaw(t, n.URL()))
	arrivals, err := ch.Consume(sub.Topic+"."+sub.Group, "", true, false, false, false, nil)
	require.NoError(t, err)
	var m amqp.Delivery
	select {
	case m = <-arrivals:
	case <-time.After(livePatience):
		require.Fail(t, "the event does not come")
	}
	var got order
	require.NoError(t, json.Unmarshal(m.Body, &got))
	assert.Equal(t, want, got)
	assert.Equal(t, "application/json", m.ContentType)
	assert.Equal(t, "order.placed", m.Headers["ce-type"], "and it is a CloudEvent")
}
