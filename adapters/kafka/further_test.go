package kafka_test

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/foreign"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/leatgo/leat/schema"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// recordsOf reads the records of a topic, as a client that knows nothing of Leat sees them.
func recordsOf(t *testing.T, topic string, n int, addrs ...string) (records []*kgo.Record) {
	t.Helper()
	raw, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.ConsumeTopics(topic))
	require.NoError(t, err)
	defer raw.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for len(records) < n {
		fetches := raw.PollFetches(ctx)
		require.NoError(t, fetches.Err())
		records = append(records, fetches.Records()...)
	}
	return records
}

// headersNamed are the values of the headers with a name.
func headersNamed(r *kgo.Record, name string) (values []string) {
	for _, h := range r.Headers {
		if h.Key == name {
			values = append(values, string(h.Value))
		}
	}
	return values
}

func TestWriteHeaders(t *testing.T) {
	t.Parallel()
	f := newFake(t, kfake.SeedTopics(1, "t"))
	shared := []leat.Header{{Name: "x", Value: []byte{1, 2}}, {Name: "x", Value: []byte{}}, {Name: "y"}}
	refused := map[string]func() ([]leat.Header, error){
		"ce":    func() ([]leat.Header, error) { return []leat.Header{{Name: "CE_id", Value: []byte("2")}}, nil },
		"type":  func() ([]leat.Header, error) { return []leat.Header{{Name: "Content-Type"}}, nil },
		"trace": func() ([]leat.Header, error) { return []leat.Header{{Name: "traceparent"}}, nil },
		"empty": func() ([]leat.Header, error) { return []leat.Header{{Value: []byte("x")}}, nil },
		"large": func() ([]leat.Header, error) { return []leat.Header{{Name: "x", Value: make([]byte, 504)}}, nil },
		"plain": func() ([]leat.Header, error) { return nil, errors.New("no") },
		"coded": func() ([]leat.Header, error) {
			return nil, &leat.Error{Code: leat.CodeUnsupported, Err: errors.New("no")}
		},
		"panic": func() ([]leat.Header, error) { panic("s3cr3t") },
	}
	o := quick(f.ListenAddrs()...)
	o.WriteHeaders = func(e leat.Event) ([]leat.Header, error) {
		if strings.HasPrefix(e.ID(), "ok") {
			return shared, nil
		}
		return refused[e.ID()]()
	}
	b := open(t, o)
	before, err := leat.NewEvent("t", &leat.EventOptions{ID: "ok1", Source: "/s", Key: "k", Data: []byte("data")})
	require.NoError(t, err)
	names := []string{"ok1", "ce", "type", "trace", "empty", "large", "plain", "coded", "panic", "ok2"}
	var events []leat.Event
	for _, id := range names {
		events = append(events, before.WithID(id))
	}
	got := publish(t.Context(), b, "t", events...)
	errs, err := got.wait(10 * time.Second)
	require.NoError(t, err)
	for i, want := range []leat.Code{
		0, leat.CodeInvalid, leat.CodeInvalid, leat.CodeInvalid, leat.CodeInvalid, leat.CodeTooLarge, leat.CodeInvalid, leat.CodeUnsupported,
		leat.CodeInternal, 0,
	} {
		if want == 0 {
			require.NoError(t, errs[i], names[i])
			continue
		}
		assert.Equal(t, want, leat.CodeOf(errs[i]), "%s: %v", names[i], errs[i])
		assert.NotContains(t, errs[i].Error(), "s3cr3t")
	}
	for _, r := range recordsOf(t, "t", 2, f.ListenAddrs()...) {
		n := len(r.Headers)
		assert.Equal(t, []kgo.RecordHeader{{Key: "x", Value: []byte{1, 2}}, {Key: "x", Value: []byte{}}, {Key: "y"}}, r.Headers[n-3:])
		assert.Equal(t, "data", string(r.Value))
		e, err := kafka.DecodeRecord(r)
		require.NoError(t, err)
		assert.True(t, e.Equal(before.WithID(e.ID())))
	}
}

// Hooks that write to records change nothing that is shared, and structured mode has no further
// headers.
func TestWriteHeadersElsewhere(t *testing.T) {
	t.Parallel()
	f := newFake(t, kfake.SeedTopics(1, "hooks", "structured"))
	shared := []leat.Header{{Name: "x", Value: []byte("value")}}
	o := quick(f.ListenAddrs()...)
	o.WriteHeaders = func(leat.Event) ([]leat.Header, error) { return shared, nil }
	o.Client = []kgo.Opt{kgo.WithHooks(onBuffered{})}
	b := open(t, o)
	for range 3 {
		require.NoError(t, publishOne(b, "hooks", event("1", "k"), 10*time.Second))
	}
	assert.Equal(t, "value", string(shared[0].Value))
	o.Client, o.Structured = nil, true
	require.NoError(t, publishOne(open(t, o), "structured", event("1", "k"), 10*time.Second))
	assert.Empty(t, headersNamed(recordsOf(t, "structured", 1, f.ListenAddrs()...)[0], "x"))
}

func TestReadHeaders(t *testing.T) {
	t.Parallel()
	f := newFake(t, kfake.SeedTopics(1, "t"))
	raw, err := kgo.NewClient(kgo.SeedBrokers(f.ListenAddrs()...))
	require.NoError(t, err)
	defer raw.Close()
	for _, x := range []string{"changes", "refuses", "panics", "spoils"} {
		h := []kgo.RecordHeader{{Key: "x", Value: []byte(x)}}
		cloud, err := kafka.EncodeRecord(event(x, "k"))
		require.NoError(t, err)
		cloud.Headers = append(cloud.Headers, h...)
		cloud.Topic = "t"
		require.NoError(t, raw.ProduceSync(t.Context(), cloud, &kgo.Record{Topic: "t", Value: []byte("plain"), Headers: h}).FirstErr())
	}
	o := quick(f.ListenAddrs()...)
	o.Mapping = foreign.Plain(nil)
	o.ReadHeaders = func(e leat.Event, headers []leat.Header) (leat.Event, error) {
		switch last := headers[len(headers)-1]; string(last.Value) {
		case "refuses":
			return e, errors.New("a reason")
		case "panics":
			panic("s3cr3t")
		case "spoils":
			return leat.Event{}, nil
		default:
			return e.WithExtension("seen", last.Name), nil
		}
	}
	s := liveSubscribe(t, open(t, o), leat.Subscription{Topic: "t", Group: "g"})
	for i, d := range liveHold(t, s, 8) {
		if i < 2 {
			require.Nil(t, d.Malformed)
			seen, ok := d.Event.Extension("seen")
			assert.True(t, ok)
			assert.Equal(t, "x", seen)
			continue
		}
		require.NotNil(t, d.Malformed)
		assert.NotContains(t, d.Malformed.Reason.Error(), "s3cr3t")
		assert.NotEmpty(t, d.Malformed.Headers)
	}
}

// anyData is a language of schemas that accepts everything.
type anyData struct{}

func (anyData) Name() string                                                 { return "JSON" }
func (anyData) Extension() string                                            { return "json" }
func (anyData) Compile(schema.Bundle) (schema.Validator, error)              { return anyData{}, nil }
func (anyData) Compare(schema.Bundle, schema.Bundle) ([]schema.Break, error) { return nil, nil }
func (anyData) Validate(string, string) error                                { return nil }

// Records are those of Confluent's clients, in both directions: the header has their bytes and the
// data stays as it is, and records of theirs, with the header or with the prefix, are read.
func TestConfluentClients(t *testing.T) {
	t.Parallel()
	addrs := brokertest.Kafka(t)
	topic := liveTopic(t, liveAdmin(t, addrs...), 1)
	registry, err := schema.NewMemory(&schema.MemoryOptions{Formats: []schema.Format{anyData{}}})
	require.NoError(t, err)
	one, err := registry.Register(t.Context(), "orders-value", schema.Definition{Format: "JSON", Text: "{}"})
	require.NoError(t, err)
	const base = "https://schemas.example.com/subjects"
	enforcer, err := schema.NewEnforcer(registry, &schema.EnforcerOptions{
		Formats: []schema.Format{anyData{}}, Base: base, Pins: map[string]schema.Ref{"order.placed": one.Ref}, ReadPrefix: true,
	})
	require.NoError(t, err)
	o := liveOptions(addrs...)
	o.WriteHeaders, o.ReadHeaders = enforcer.WriteHeaders, enforcer.ReadHeaders
	o.Mapping = foreign.Plain(&foreign.PlainOptions{Type: "order.placed", DataContentType: "application/json"})
	b := liveBroker(t, o)

	producer := leat.NewProducer(b, &leat.ProducerOptions{Middleware: []leat.PublishMiddleware{enforcer.Publish()}})
	placed, err := leat.NewEvent("order.placed", &leat.EventOptions{
		Source: "/shop", DataContentType: "application/json", Data: []byte(`{"n":1}`),
	})
	require.NoError(t, err)
	require.NoError(t, producer.Publish(t.Context(), topic, placed))
	written := recordsOf(t, topic, 1, addrs...)[0]
	assert.Equal(t, `{"n":1}`, string(written.Value))
	guid := "\x01" + string(unhex(t, strings.ReplaceAll(one.GUID, "-", "")))
	assert.Equal(t, []string{guid}, headersNamed(written, "__value_schema_id"))

	raw, err := kgo.NewClient(kgo.SeedBrokers(addrs...))
	require.NoError(t, err)
	defer raw.Close()
	prefix := []byte{0, byte(one.ID >> 24), byte(one.ID >> 16), byte(one.ID >> 8), byte(one.ID)}
	require.NoError(t, raw.ProduceSync(t.Context(),
		&kgo.Record{Topic: topic, Value: []byte(`{"n":2}`), Headers: []kgo.RecordHeader{{Key: "__value_schema_id", Value: []byte(guid)}}},
		&kgo.Record{Topic: topic, Value: append(prefix, `{"n":3}`...)},
		&kgo.Record{Topic: topic, Value: []byte(`{"n":4}`)},
	).FirstErr())

	got := make(chan leat.Event, 4)
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() {
		over <- leat.Run(ctx, leat.NewConsumer(b, leat.Subscription{Topic: topic, Group: topic}, leat.HandlerFunc(
			func(_ context.Context, e leat.Event) error { got <- e; return nil }),
			&leat.ConsumerOptions{Middleware: []leat.Middleware{enforcer.Process()}, Concurrency: 1}))
	}()
	uri := base + "/orders-value/versions/1"
	for i, schema := range []string{uri, uri, uri, ""} {
		select {
		case e := <-got:
			assert.Equal(t, `{"n":`+string(rune('1'+i))+`}`, e.DataString())
			assert.Equal(t, schema, e.DataSchema())
		case <-time.After(livePatience):
			t.Fatal("no event")
		}
	}
	cancel()
	require.NoError(t, <-over)
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	require.NoError(t, err)
	return b
}
