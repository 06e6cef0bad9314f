package rabbitmq

import (
	"fmt"
	"testing"

	"github.com/leatgo/leat"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTheBrokersTextsWithoutTheUser has the texts of RabbitMQ 3.10 and 4.0 that name the user.
func TestTheBrokersTextsWithoutTheUser(t *testing.T) {
	t.Parallel()
	for reason, want := range map[string]string{
		"access to vhost 'shop' refused for user '%s'": "access to vhost 'shop' refused for user",
		"access to vhost 'shop' refused for user '%s': connection limit (5) is reached": "access to vhost 'shop' refused for user: " +
			"connection limit (5) is reached",
		"connection refused for user '%s': user connection limit (1) is reached": "connection refused for user: " +
			"user connection limit (1) is reached",
		"access to exchange 'orders' in vhost '/' refused for user '%s'": "access to exchange 'orders' in vhost '/' refused for user",
		"write access to topic 'a' in exchange 'b' in vhost '/' refused for user '%s'": "write access to topic 'a' in exchange 'b' " +
			"in vhost '/' refused for user",
		"user_id property set to 'x' but authenticated user was '%s'": "user_id property set to 'x' but authenticated user was",
	} {
		for _, user := range []string{"s3cret", "s3cret's3cret", "s3cret': s3cret", "s3cret for user 's3cret"} {
			given := &amqp.Error{Code: amqp.AccessRefused, Reason: "ACCESS_REFUSED - " + fmt.Sprintf(reason, user), Server: true}
			err := discreet(given)
			assert.NotContains(t, err.Error(), "s3cret", reason)
			if user == "s3cret" {
				require.ErrorAs(t, err, new(*amqp.Error))
				assert.Equal(t, "ACCESS_REFUSED - "+want, discreetAMQP(given).Reason)
			}
			assert.Equal(t, amqpCode(given), codeOf(err), reason)
		}
	}
	for _, err := range []error{amqp.ErrCredentials, amqp.ErrVhost, errLost, &leat.Error{Code: leat.CodeInvalid}} {
		assert.Same(t, err, discreet(err), "an error that names nobody may be compared")
	}
	require.NoError(t, discreet(nil))
	assert.Nil(t, discreetAMQP(nil))
}
