package kafka_test

import (
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/internal/canary"
)

// canaryURLs have a canary in every position of URLs for Kafka.
func canaryURLs() []string {
	return append(canary.URLs("kafka", "client_id", "linger", "buffer", "start", "structured", "sasl",
		"password_file", "token_file", "instance_id"),
		"kafka://u:"+canary.Word+"@h?sasl=PLAIN", "kafka://"+canary.Word+":p@h", "kafka://u:"+canary.Word+"@h?heartbeat_interval=1m",
		"kafka://h?tls=true&ca_file=/"+canary.Word, "kafka://h?tls=true&cert_file=/"+canary.Word+"&key_file=/"+canary.Word,
		"kafka://u:"+canary.Word+"@h?clientid=1&certfile="+canary.Word)
}

// TestOpenShowsNothingOfTheURL: errors are made of Leat's own words, so that a password that is one
// of them is not told either.
func TestOpenShowsNothingOfTheURL(t *testing.T) {
	t.Parallel()
	for _, raw := range canaryURLs() {
		canary.Check(t, leat.Openers{"kafka": kafka.Open}, raw)
	}
}

func FuzzOpenShowsNothingOfTheURL(f *testing.F) {
	for _, raw := range canaryURLs() {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) { canary.Search(t, leat.Openers{"kafka": kafka.Open}, raw) })
}
