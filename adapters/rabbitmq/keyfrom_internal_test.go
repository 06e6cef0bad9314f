package rabbitmq

import (
	"testing"

	"github.com/leatgo/leat"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestKeyFrom: a message has a key only where the option says so, and an event that has one keeps
// that.
func TestKeyFrom(t *testing.T) {
	t.Parallel()
	headers := amqp.Table{"k": "from a header \xff", "n": int32(7), "empty": ""}
	for from, want := range map[keyFrom]string{
		"": "", "routing_key": "key", "header:k": "from a header \xff", "header:n": "7", "header:empty": "", "header:none": "",
	} {
		require.NoError(t, from.validate())
		c := decoder{keyFrom: from}
		var d leat.Delivery
		c.decode(msg("", "", minimal(headers)), &d)
		require.Nil(t, d.Malformed)
		assert.Equal(t, want, d.Key, "%q", from)
		assert.Empty(t, d.Event.Key())
		d = leat.Delivery{}
		c.decode(msg("", "", minimal(amqp.Table{"k": "x", "ce-partitionkey": "own"})), &d)
		assert.Equal(t, []string{"", "own"}, []string{d.Key, d.Event.Key()}, "%q", from)
		d = leat.Delivery{}
		c.decode(msg("", "x", headers), &d)
		require.NotNil(t, d.Malformed)
		assert.Empty(t, d.Key, "a malformed one has its routing key in Malformed")
		m := c.message(msg("", "x", headers), nil)
		assert.Equal(t, want, string(m.Key))
		assert.Equal(t, want == "", m.Key == nil)
	}
	c := decoder{keyFrom: keyFromRoutingKey}
	var d leat.Delivery
	c.decode(msg("", "", minimal(amqp.Table{deliveriesHeader: int64(1)})), &d)
	assert.Empty(t, d.Key, "what waited in a delay queue comes back with that queue's name as its routing key")
	for _, wrong := range []string{"header:", "key", "Routing_Key", "header"} {
		_, err := New(&Options{Hosts: []string{"h"}, KeyFrom: wrong})
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), wrong)
		require.ErrorContains(t, err, "KeyFrom", wrong)
	}
}
