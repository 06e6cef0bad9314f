package secrets_test

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat/internal/secrets"
)

func TestIn(t *testing.T) {
	for _, c := range []struct {
		name, raw, text string
		want            bool
	}{
		{"no secret", "kafka://a:9092,b:9092", "dial a:9092: refused", false},
		{"a password", "amqp://shop:hunter2@h", "dial amqp://shop:hunter2@h", true},
		{"a short one", "amqp://shop:p@h", "open", true},
		{"a user name beside a password is none", "amqp://shop:hunter2@h", "no access for shop", false},
		{"a token in place of the user", "nats://t0ken@h", "bad token t0ken", true},
		{"an empty password", "amqp://shop:@h", "no access for shop", false},
		{"escaped in the URL, plain in the text", "amqp://shop:a%2Fb%40c@h", "password a/b@c", true},
		{"escaped in the text", "amqp://shop:a%2Fb%40c@h", "amqp://shop:a%2Fb%40c@h", true},
		{"escaped with lower case", "amqp://shop:a%2fb@h", "amqp://shop:a%2fb@h", true},
		{"escaped with lower case and upper in the text", "amqp://shop:a%2fb@h", "a%2Fb", true},
		{"escaped as a query", "amqp://shop:a%20b@h", "?p=a+b", true},
		{"quoted", `amqp://shop:a%22b%5Cc@h`, fmt.Sprintf("%q", `a"b\c`), true},
		{"quoted as ASCII", `amqp://shop:%C3%A9t%C3%A9@h`, fmt.Sprintf("%+q", "été"), true},
		{"an at sign that is not escaped", "amqp://shop:a@b@h", "amqp://shop:a@b@h", true},
		{"a secret parameter", "sns://?secret_access_key=abcd%2F", "bad key abcd/", true},
		{"a secret parameter as it is written", "sns://?secret_access_key=abcd%2F", "bad key abcd%2F", true},
		{"a secret parameter whose name is escaped", "sns://?%73ecret=abcd", "bad key abcd", true},
		{"a switch", "sns://?token_auth=on", "on", false},
		{"the name of a file", "kafka://h?tls_key_file=client.pem", "open client.pem: no such file", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			u, err := url.Parse(c.raw)
			require.NoError(t, err)
			assert.Equal(t, c.want, secrets.FromURL(c.raw, u).In(c.text))
		})
	}
}

func TestJoin(t *testing.T) {
	require.NoError(t, secrets.Join())
	require.NoError(t, secrets.Join(nil, nil))
	assert.Equal(t, secrets.Text("a; b"), secrets.Join(secrets.Text("a"), nil, secrets.Text("b")))
	mixed := secrets.Join(secrets.Text("a"), io.EOF)
	require.ErrorIs(t, mixed, io.EOF)
	_, plain := errors.AsType[secrets.Text](mixed)
	assert.True(t, plain)
}
