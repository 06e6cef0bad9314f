package rabbitmq

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/leatgo/leat"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestCodes has what RabbitMQ 3.10.8 and the client say.
func TestCodes(t *testing.T) {
	t.Parallel()
	server := func(code int, reason string) error { return &amqp.Error{Code: code, Reason: reason, Server: true} }
	for _, c := range []struct {
		err  error
		want leat.Code
	}{
		{server(404, "NOT_FOUND - no queue 'nope' in vhost '/'"), leat.CodeNotFound},
		{server(312, "NO_ROUTE"), leat.CodeNotFound},
		{server(403, "ACCESS_REFUSED - access to queue 'o.g' in vhost '/' refused for user 'u'"), leat.CodePermissionDenied},
		{server(403, "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile."),
			leat.CodeUnauthenticated},
		{amqp.ErrCredentials, leat.CodeUnauthenticated},
		{amqp.ErrSASL, leat.CodeUnauthenticated},
		{amqp.ErrVhost, leat.CodePermissionDenied},
		{server(405, "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'q' in vhost '/'"), leat.CodeConflict},
		{server(406, "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q'"), leat.CodeConflict},
		{server(406, "PRECONDITION_FAILED - message size 100001 is larger than configured max size 100000"), leat.CodeTooLarge},
		{server(311, "CONTENT_TOO_LARGE"), leat.CodeTooLarge},
		{server(320, "CONNECTION_FORCED - Closed via management plugin"), leat.CodeUnavailable},
		{server(501, "FRAME_ERROR - type 2, all octets = <<>>: {frame_too_large,131084,131064}"), leat.CodeUnavailable},
		{server(506, "RESOURCE_ERROR"), leat.CodeExhausted},
		{server(530, "NOT_ALLOWED - vhost nope not found"), leat.CodeNotFound},
		{server(530, "NOT_ALLOWED - access to vhost '/' refused for user 'u'"), leat.CodePermissionDenied},
		{server(530, "NOT_ALLOWED - access to vhost '/' refused for user 'u': connection limit (1) is reached"), leat.CodeExhausted},
		{server(540, "NOT_IMPLEMENTED - queue 'q' in vhost '/' does not support global qos"), leat.CodeUnsupported},
		{server(541, "INTERNAL_ERROR"), leat.CodeUnavailable},
		{amqp.ErrClosed, leat.CodeUnavailable},
		{io.EOF, leat.CodeUnavailable},
		{&net.OpError{Op: "dial", Err: errors.New("refused")}, leat.CodeUnavailable},
		{&amqp.Error{Code: 501, Reason: "remote error: tls: unknown certificate authority"}, leat.CodeUnauthenticated},
		{tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, leat.CodeUnauthenticated},
		{&net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")}, leat.CodeUnauthenticated},
		{context.Canceled, leat.CodeCanceled},
		{context.DeadlineExceeded, leat.CodeCanceled},
		{&leat.Error{Code: leat.CodeInvalid}, leat.CodeInvalid},
	} {
		assert.Equal(t, c.want, codeOf(c.err), "%v", c.err)
	}
}

// TestFail: the caller's context says so by itself; one of the adapter's means that the broker does
// not answer.
func TestFail(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	err := fail(ended, "declare", "t", amqp.ErrClosed)
	assert.Equal(t, leat.CodeCanceled, leat.CodeOf(err))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorIs(t, err, amqp.ErrClosed)
	err = fail(t.Context(), "declare", "t", context.DeadlineExceeded)
	assert.Equal(t, leat.CodeUnavailable, leat.CodeOf(err))
	err = fail(t.Context(), "subscribe", "t", &leat.Error{Op: "declare", Topic: "t", Code: leat.CodeConflict, Err: errors.New("why")})
	assert.EqualError(t, err, `leat: subscribe topic "t": conflict: why`)
}
