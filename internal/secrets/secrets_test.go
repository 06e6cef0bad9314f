package secrets_test

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat/internal/secrets"
)

func TestMask(t *testing.T) {
	for _, c := range []struct{ name, raw, text, want string }{
		{"no secret", "kafka://a:9092,b:9092", "dial a:9092: refused", "dial a:9092: refused"},
		{"a password", "amqp://shop:hunter2@h", "dial amqp://shop:hunter2@h", "dial amqp://shop:***@h"},
		{"a user name beside a password is none", "amqp://shop:hunter2@h", "no access for shop", "no access for shop"},
		{"a token in place of the user", "nats://t0ken@h", "bad token t0ken", "bad token ***"},
		{"an empty password", "amqp://shop:@h", "no access for shop", "no access for shop"},
		{"escaped in the URL, plain in the text", "amqp://shop:a%2Fb%40c@h", "password a/b@c", "password ***"},
		{"escaped in the text", "amqp://shop:a%2Fb%40c@h", "amqp://shop:a%2Fb%40c@h", "amqp://shop:***@h"},
		{"escaped with lower case", "amqp://shop:a%2fb@h", "amqp://shop:a%2fb@h and a%2Fb", "amqp://shop:***@h and ***"},
		{"escaped as a query", "amqp://shop:a%20b@h", "?p=a+b", "?p=***"},
		{"quoted", `amqp://shop:a%22b%5Cc@h`, fmt.Sprintf("%q", `a"b\c`), `"***"`},
		{"quoted as ASCII", `amqp://shop:%C3%A9t%C3%A9@h`, fmt.Sprintf("%+q", "été"), `"***"`},
		{"an at sign that is not escaped", "amqp://shop:a@b@h", "amqp://shop:a@b@h", "amqp://shop:***@h"},
		{"a secret parameter", "sns://?secret_access_key=abcd%2F", "bad key abcd/ or abcd%2F", "bad key *** or ***"},
		{"a switch", "sns://?token_auth=on", "on", "on"},
		{"the name of a file", "kafka://h?tls_key_file=client.pem", "open client.pem: no such file", "open client.pem: no such file"},
		{"a password that parses as something else", "amqp://u:12?x=34@h", "dial amqp://u:12?x=34@h", "dial amqp://u:***@h"},
		{"a parameter with an at sign", "sns://h:1/?account=a@b", "dial h:1 for a@b", "dial h:1 for a@b"},
		{"stars", "amqp://u:**@h", "a ** b", "***"},
		{"one within another", "amqp://u:abc@h?password=abcdef", "abcdef abc", "*** ***"},
	} {
		t.Run(c.name, func(t *testing.T) {
			u, err := url.Parse(c.raw)
			require.NoError(t, err)
			set := secrets.FromURL(c.raw, u)
			assert.Equal(t, c.want, set.Mask(c.text))
			assert.Equal(t, c.want != c.text, set.In(c.text))
		})
	}
}
