package rabbitmq_test

import (
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/rabbitmq"
	"github.com/leatgo/leat/internal/canary"
)

// canaryURLs have a canary in every position of URLs for RabbitMQ.
func canaryURLs() []string {
	const word = canary.Word
	return append(canary.URLs("amqp", "client_id", "heartbeat", "buffer", "provision", "structured",
		"password_file", "external", "management_url"),
		"amqps://u:"+word+"@h?ca_file=/"+word, "amqps://h?cert_file=/"+word+"&key_file=/"+word, "amqp://u:"+word+"@h?connection_name="+word,
		"amqp://u:p@h/"+word+"/", "amqp://h?management_url=http%3A%2F%2Fu%3A"+word+"%40h", "amqp://h?management_url="+word+"%3A%2F%2Fh",
		"amqp://u:"+word+"@127.0.0.1?management_url=http%3A%2F%2F"+word)
}

// TestOpenShowsNothingOfTheURL: errors are made of Leat's own words, so that a password that is one
// of them is not told either.
func TestOpenShowsNothingOfTheURL(t *testing.T) {
	t.Parallel()
	for _, raw := range canaryURLs() {
		canary.Check(t, leat.Openers{"amqp": rabbitmq.Open, "amqps": rabbitmq.Open}, raw)
	}
}

func FuzzOpenShowsNothingOfTheURL(f *testing.F) {
	for _, raw := range canaryURLs() {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		canary.Search(t, leat.Openers{"amqp": rabbitmq.Open, "amqps": rabbitmq.Open}, raw)
	})
}
