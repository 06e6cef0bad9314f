package rabbitmq

import (
	"errors"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/foreign"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func mapMinimal(m foreign.Message) (leat.Event, error) {
	return leat.NewEvent("mapped", &leat.EventOptions{ID: "m", Source: "/mapped", Data: m.Body})
}

// TestMapping: a Mapping gets what cannot be read, with the reason, and nothing else.
func TestMapping(t *testing.T) {
	t.Parallel()
	var got []foreign.Message
	c := decoder{topic: "orders", mapping: func(m foreign.Message) (leat.Event, error) {
		got = append(got, m)
		return mapMinimal(m)
	}}
	plain := msg("text/plain", "x", amqp.Table{"b": int32(1), "a": nil})
	plain.MessageId, plain.CorrelationId, plain.Type, plain.AppId, plain.ReplyTo = "m", "c", "t", "a", "r"
	plain.ContentEncoding, plain.Expiration, plain.UserId, plain.Timestamp = "utf-8", "1", "u", time.Unix(1, 0)
	broken := msg("", "", minimal(amqp.Table{"CE-ID": "2"}))
	for _, m := range []*amqp.Delivery{plain, msg("", "", minimal(nil)), msg("application/cloudevents+json", minimalJSON, nil), broken} {
		var d leat.Delivery
		c.decode(m, &d)
		require.Nil(t, d.Malformed)
		assert.Equal(t, m == plain || m == broken, d.Event.Type() == "mapped")
	}
	require.Len(t, got, 2, "only what cannot be read is mapped")
	require.ErrorIs(t, got[0].Err, foreign.ErrPlain)
	require.NotErrorIs(t, got[1].Err, foreign.ErrPlain)
	got[0].Err = nil
	assert.Equal(t, foreign.Message{
		Topic: "orders", ID: "m", Time: time.Unix(1, 0), ContentType: "text/plain", Body: []byte("x"),
		Headers: []leat.Header{{Name: "a"}, {Name: "b", Value: []byte("1")}},
		Properties: map[string]string{
			"exchange": "topic", "routing_key": "key", "content_encoding": "utf-8", "message_id": "m", "correlation_id": "c", "reply_to": "r",
			"expiration": "1", "type": "t", "user_id": "u", "app_id": "a",
		},
	}, got[0])
}

// checkMapped checks that a Mapping gets a message that is refused for a reason, and that the
// reason stays when the Mapping refuses it too.
func checkMapped(t testing.TB, m *amqp.Delivery) {
	t.Helper()
	own := errors.New("the Mapping's own")
	var got foreign.Message
	for _, result := range []error{nil, own} {
		c := decoder{mapping: func(m foreign.Message) (leat.Event, error) {
			got = m
			e, _ := mapMinimal(m)
			return e, result
		}}
		var d leat.Delivery
		c.decode(m, &d)
		require.Error(t, got.Err)
		assert.Equal(t, string(m.Body), string(got.Body))
		assert.Len(t, got.Headers, len(m.Headers))
		if result == nil {
			require.Nil(t, d.Malformed)
			assert.Equal(t, "mapped", d.Event.Type())
			continue
		}
		require.NotNil(t, d.Malformed)
		require.ErrorIs(t, d.Malformed.Reason, got.Err)
		require.ErrorIs(t, d.Malformed.Reason, own)
		assert.Equal(t, leat.CodeOf(got.Err), leat.CodeOf(d.Malformed.Reason))
		checkRaw(t, m, d.Malformed)
	}
}
