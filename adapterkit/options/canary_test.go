package options_test

import (
	"context"
	"net/url"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/options"
	"github.com/leatgo/leat/internal/canary"
)

// openAll opens a URL by everything that a Reader has. Its broker can be closed.
func openAll(_ context.Context, u *url.URL) (leat.Broker, error) {
	read := func(a *all, r *options.Reader) {
		a.read(r)
		r.Login()
		r.Secret("token_file")
		r.TLS(r.Bool("tls", false), "tls=true")
	}
	b, err := options.Open(u, read, newBroker)
	if err != nil {
		return nil, err
	}
	return closable{b}, nil
}

type closable struct{ leat.Broker }

func (closable) Close() error { return nil }

func canaryURLs() []string {
	const word = canary.Word
	return append(canary.URLs("nats", "client_id", "codec", "buffer", "ack_wait", "no_history", "start", "api_endpoint", "mapping",
		"password_file", "token_file", "tls"),
		"nats://h?tls=true&ca_file=/"+word, "nats://h?tls=true&cert_file=/"+word+"&key_file=/"+word, "nats://h?tls=true&key_file="+word,
		"nats://h?ca_file="+word, "nats://h?api_endpoint=http%3A%2F%2Fu%3A"+word+"%40h", "nats://h?clientid="+word,
		"nats://"+word+"@h", "nats://h/"+word)
}

// TestErrorsShowNothingOfTheURL: a word of the URL is in no error, and no error depends on it.
func TestErrorsShowNothingOfTheURL(t *testing.T) {
	for _, raw := range canaryURLs() {
		canary.Check(t, leat.Openers{"nats": openAll}, raw)
	}
}

func FuzzErrorsShowNothingOfTheURL(f *testing.F) {
	for _, raw := range canaryURLs() {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) { canary.Search(t, leat.Openers{"nats": openAll}, raw) })
}
