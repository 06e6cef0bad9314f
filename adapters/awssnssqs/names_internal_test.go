package awssnssqs

import (
	"strings"
	"testing"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
)

func TestNames(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "orders-billing.fifo", name(mostQueueName, true, "orders", "billing"))
	assert.Equal(t, "orders-billing", name(mostQueueName, false, "orders", "billing"))
	assert.Equal(t, "orders.fifo", name(mostTopicName, true, "orders"))
	poison := name(mostTopicName, true, leat.PoisonTopic("orders", "billing"))
	assert.Regexp(t, `^orders_billing_poison-[0-9a-f]{8}\.fifo$`, poison)
	assert.Equal(t, poison, name(mostTopicName, true, "orders.billing.poison"), "it is always the same")
	assert.NotEqual(t, poison, name(mostTopicName, true, "orders_billing.poison"))
	assert.NotEqual(t, name(mostQueueName, false, "a.b", "c"), name(mostQueueName, false, "a", "b.c"))
	assert.Equal(t, name(mostQueueName, false, "a-b", "c"), name(mostQueueName, false, "a", "b-c"), "which is why queues have tags")
	for _, topic := range []string{strings.Repeat("x", 249), strings.Repeat("x.", 124), "a", strings.Repeat(".", 80)} {
		for _, fifo := range []bool{false, true} {
			n := name(mostQueueName, fifo, topic, "g")
			assert.LessOrEqual(t, len(n), 80, n)
			assert.Regexp(t, `^[A-Za-z0-9_-]+(\.fifo)?$`, n)
			assert.Equal(t, fifo, strings.HasSuffix(n, ".fifo"))
		}
	}
	assert.LessOrEqual(t, len(name(mostTopicName, true, strings.Repeat("x.", 124))), 256)
}

// TestGroupIDs: a key is the group where AWS takes it, and comes back as the transport's key.
func TestGroupIDs(t *testing.T) {
	t.Parallel()
	for key, legal := range map[string]bool{
		"A-17": true, "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~": true, strings.Repeat("k", 128): true,
		strings.Repeat("k", 129): false, "a b": false, "ä": false, "\x7f": false, "a\tb": false,
	} {
		id := groupID(key)
		assert.True(t, legalGroupID(id), key)
		assert.Equal(t, legal, id == key, key)
		assert.Equal(t, id, groupID(key), "the same key has the same group")
		assert.Equal(t, id, string(keyOf(id)))
	}
	one, two := groupID(""), groupID("")
	assert.NotEqual(t, one, two, "events without a key do not wait for each other")
	assert.True(t, legalGroupID(one))
	assert.Nil(t, keyOf(one))
	assert.Nil(t, keyOf(""))
}
