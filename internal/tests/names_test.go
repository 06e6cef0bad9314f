package leat_test

import (
	"strings"
	"testing"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A name that one of the brokers refuses or keeps for itself is invalid everywhere: to subscribe,
// to publish, and in a route.
func TestReservedNames(t *testing.T) {
	p := leat.NewProducer(newFakeBroker(), nil)
	for _, topic := range []string{
		".", "..", "amq.topic", "amq.", "__consumer_offsets", "__transaction_state", "__share_group_state", "__cluster_metadata",
	} {
		for what, err := range map[string]error{
			"subscribe": leat.Subscription{Topic: topic, Group: "g"}.Validate(),
			"broadcast": leat.Subscription{Topic: topic, Broadcast: true}.Validate(),
			"publish":   p.Publish(t.Context(), topic, event(t, "1", "")),
			"route":     leat.NewRouter(leat.Route{Type: "a", Topic: topic, Handler: leat.HandlerFunc(nil)}).Check(leat.Subscription{}),
		} {
			assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), "%s %s", what, topic)
			assert.ErrorContains(t, err, "use another", "%s %s", what, topic)
		}
	}
	for _, group := range []string{".", ".."} {
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(leat.Subscription{Topic: "t", Group: group}.Validate()), group)
	}
	for _, topic := range []string{".", "..", "amq.topic", "__consumer_offsets", "", "a b", strings.Repeat("x", 250), "ü"} {
		require.Error(t, leat.CheckTopic(topic), topic)
		if topic != "amq.topic" && topic != "__consumer_offsets" {
			assert.Error(t, leat.CheckName(topic), topic)
		}
	}
	require.EqualError(t, leat.CheckName(""), "is empty; give it a name", "the text goes behind the word for what has the name")
	require.NoError(t, leat.CheckName("amq.topic"), "a group may be called so")
	require.NoError(t, leat.CheckTopic("orders.eu_1-x"))
	for _, topic := range []string{"...", "amq", "amqp.orders", "a.amq.b", "__orders", "_", "-", strings.Repeat("x", 249)} {
		assert.NoError(t, leat.Subscription{Topic: topic, Group: "amq.g"}.Validate(), topic)
		assert.NoError(t, p.Publish(t.Context(), topic, event(t, "1", "")), topic)
	}
}
