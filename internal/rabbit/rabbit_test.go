package rabbit_test

import (
	"strings"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/rabbit"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestCode has what RabbitMQ 3.10.8 says.
func TestCode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		reply  int
		reason string
		want   leat.Code
	}{
		{311, "CONTENT_TOO_LARGE", leat.CodeTooLarge},
		{312, "NO_ROUTE", leat.CodeNotFound},
		{320, "CONNECTION_FORCED - Closed via management plugin", leat.CodeUnavailable},
		{402, "INVALID_PATH", leat.CodeNotFound},
		{403, "ACCESS_REFUSED - access to queue 'o.g' in vhost '/' refused for user 'u'", leat.CodePermissionDenied},
		{403, "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN.", leat.CodeUnauthenticated},
		{404, "NOT_FOUND - no queue 'nope' in vhost '/'", leat.CodeNotFound},
		{405, "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'q'", leat.CodeConflict},
		{406, "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q'", leat.CodeConflict},
		{406, "PRECONDITION_FAILED - message size 2 is larger than configured max size 1", leat.CodeTooLarge},
		{501, "FRAME_ERROR - type 2", leat.CodeUnavailable},
		{502, "SYNTAX_ERROR", leat.CodeInvalid},
		{503, "COMMAND_INVALID - unknown exchange type 'x'", leat.CodeInvalid},
		{506, "RESOURCE_ERROR", leat.CodeExhausted},
		{530, "NOT_ALLOWED - vhost nope not found", leat.CodeNotFound},
		{530, "NOT_ALLOWED - access to vhost '/' refused for user 'u'", leat.CodePermissionDenied},
		{530, "NOT_ALLOWED - access to vhost '/' refused for user 'u': connection limit (1) is reached", leat.CodeExhausted},
		{530, "NOT_ALLOWED - attempt to reuse consumer tag 'leat'", leat.CodeUnsupported},
		{540, "NOT_IMPLEMENTED - queue 'q' in vhost '/' does not support global qos", leat.CodeUnsupported},
		{541, "INTERNAL_ERROR", leat.CodeUnavailable},
	} {
		assert.Equal(t, c.want, rabbit.Code(c.reply, c.reason), c.reason)
	}
}

// TestQueueName: no two groups have the same queue, whatever dots their names have.
func TestQueueName(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "orders.billing", rabbit.QueueName("orders", "billing"))
	assert.Equal(t, "orders.eu.billing", rabbit.QueueName("orders.eu", "billing"))
	assert.Equal(t, "orders:eu.billing", rabbit.QueueName("orders", "eu.billing"))
}

// TestCheckName: a name is as long as AMQP allows, and no error shows more than its beginning.
func TestCheckName(t *testing.T) {
	t.Parallel()
	require.NoError(t, rabbit.CheckName("queue", strings.Repeat("q", 255)))
	err := rabbit.CheckName("queue", strings.Repeat("q", 256))
	require.ErrorContains(t, err, "the name of the queue")
	assert.Less(t, len(err.Error()), 200)
}

// TestArguments: an ordered group has one active member, and no dead letter is dropped.
func TestArguments(t *testing.T) {
	t.Parallel()
	ordered := map[string]any{
		"x-queue-type": "quorum", "x-delivery-limit": int64(7), "x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish",
		"x-single-active-consumer": true,
	}
	assert.Equal(t, ordered, rabbit.GroupArguments(7, true))
	delete(ordered, "x-single-active-consumer")
	assert.Equal(t, ordered, rabbit.GroupArguments(7, false))
	assert.Equal(t, map[string]any{"x-queue-type": "quorum", "x-delivery-limit": int64(7)}, rabbit.DeadLetterArguments(7))
}
