package watermill_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/watermill"
	"github.com/leatgo/leat/foreign"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// randomEvent returns an event with some of every attribute and type of extension.
func randomEvent(t *testing.T, r *rand.Rand) leat.Event {
	t.Helper()
	text := func() string {
		alphabet := []rune("abcXYZ019 -_/:%&=+äß€𝄞\"'")
		s := make([]rune, 1+r.IntN(12))
		for i := range s {
			s[i] = alphabet[r.IntN(len(alphabet))]
		}
		return string(s)
	}
	maybe := func() bool { return r.IntN(2) == 0 }
	o := &leat.EventOptions{ID: text(), Source: fmt.Sprintf("/s/%d", r.Int()), Extensions: map[string]any{}}
	o.Time = time.Unix(r.Int64N(4e9), r.Int64N(1e9)).UTC()
	if maybe() {
		o.Subject = text()
	}
	if maybe() {
		o.DataSchema = fmt.Sprintf("https://example.com/%d", r.Int())
	}
	if maybe() {
		o.Key = text()
	}
	values := []any{true, r.Int32(), text(), []byte(text()), leat.URI("urn:a:b"), leat.URIRef("../x"), o.Time}
	for i, v := range values {
		if maybe() {
			o.Extensions[fmt.Sprintf("ext%d", i)] = v
		}
	}
	switch r.IntN(5) {
	case 0: // no data
	case 1:
		o.Data = []byte{}
	case 2:
		o.Data, o.DataContentType = []byte(`{"a":[1,null,"x"]}`), "application/json"
	case 3:
		o.Data, o.DataContentType = []byte(text()), "text/plain; charset=utf-8"
	case 4:
		o.Data, o.DataContentType = []byte{0, 0xff, byte(r.Int())}, "application/octet-stream"
	}
	e, err := leat.NewEvent("com.example.t", o)
	require.NoError(t, err)
	return e
}

// TestEventsSurviveMessages: Leat, Watermill, Leat, in both modes, gives an equal event with its
// data byte for byte.
func TestEventsSurviveMessages(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	codecs := []watermill.Codec{{}, {Structured: true}, {Prefix: "ce-"}, {Prefix: "cloudEvents:"}, {Strict: true}}
	for i := range 10_000 {
		e, c := randomEvent(t, r), codecs[i%len(codecs)]
		m, err := c.Message(e)
		require.NoError(t, err, "seed %d", seed)
		assert.Equal(t, e.ID(), m.UUID)
		back, err := c.Event("elsewhere", m.Copy())
		require.NoError(t, err, "seed %d: %v", seed, e)
		require.True(t, back.Equal(e), "seed %d: %v %v", seed, maps.Collect(e.Attributes()), maps.Collect(back.Attributes()))
		require.Equal(t, e.Data(), back.Data(), "seed %d", seed)
		restored, err := c.Restore(back)
		require.NoError(t, err)
		require.True(t, restored.Equals(m), "seed %d: %v and %v", seed, m, restored)
	}
}

// TestMessagesSurviveEvents: Watermill, Leat, Watermill gives the message that there was, whatever
// its metadata.
func TestMessagesSurviveEvents(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	names := []string{
		"correlation_id", "content-type", "Content-Type", "id", "type", "data", "leatreason", "partitionkey", "watermillmeta", "plain", "x",
		"with space", "ä", "a&b=c", "", "\xff\x00", "ce_id", "toolongforanextension", "name", "_watermill_message_uuid", "leatdata", "time",
	}
	values := []string{"", "v", "a&b=c d+%20", "line\nbreak", "\xff\xfe", "ä€", strings.Repeat("x", 5_000), "application/json", "empty"}
	codec := watermill.Codec{Key: func(_ string, m *message.Message) string { return m.Metadata.Get("key") }}
	for range 10_000 {
		m := message.NewMessage(fmt.Sprint(r.Int()), []byte(values[r.IntN(len(values))]))
		for range r.IntN(8) {
			m.Metadata.Set(names[r.IntN(len(names))], values[r.IntN(len(values))])
		}
		e, err := codec.Event("orders", m)
		require.NoError(t, err, "seed %d: %q", seed, m.Metadata)
		require.NoError(t, e.Validate())
		back, err := codec.Restore(e)
		require.NoError(t, err)
		require.True(t, back.Equals(m), "seed %d: %q and %q", seed, m.Metadata, back.Metadata)
	}
}

func TestForeignMessage(t *testing.T) {
	m := message.NewMessage("4711", []byte(`{"a":1}`))
	m.Metadata = message.Metadata{"content-type": "application/json", "traceid": "abc", "correlation_id": "a b", "leatx": "1", "name": "n"}
	codec := watermill.Codec{Key: func(topic string, m *message.Message) string { return topic + m.UUID }}
	e, err := codec.Event("orders", m)
	require.NoError(t, err)
	assert.Equal(t, map[string]string{
		"specversion": "1.0", "id": "4711", "source": "/watermill/orders", "type": "orders", "datacontenttype": "application/json",
		"partitionkey": "orders4711", "traceid": "abc", "name": "n", "watermillmeta": "m1&correlation_id=a+b&leatx=1",
	}, maps.Collect(e.Attributes()))
	assert.Equal(t, m.Payload, message.Payload(e.Data()))

	_, err = watermill.Codec{Strict: true}.Event("orders", m)
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
}

// TestMetadataBesideAttributes: what Watermill's middleware adds to a CloudEvent is kept, in both
// modes, and comes back.
func TestMetadataBesideAttributes(t *testing.T) {
	e, err := leat.NewEvent("t", &leat.EventOptions{ID: "1", Source: "/s", Data: []byte("x"), Extensions: map[string]any{"n": 5}})
	require.NoError(t, err)
	for _, c := range []watermill.Codec{{}, {Structured: true}} {
		m, err := c.Message(e)
		require.NoError(t, err)
		m.Metadata.Set("correlation_id", "7")
		m.UUID = "other"
		got, err := c.Event("topic", m)
		require.NoError(t, err)
		extra, _ := got.Extension(watermill.EscapeName)
		assert.Equal(t, "c1&_watermill_message_uuid=other&correlation_id=7", extra)
		assert.True(t, got.WithExtension(watermill.EscapeName, nil).Equal(e))
		back, err := c.Restore(got)
		require.NoError(t, err)
		if !c.Structured {
			assert.True(t, back.Equals(m), "%v %v", m, back)
		}
		again, err := c.Message(got)
		require.NoError(t, err)
		again.Metadata.Set("more", "8")
		got, err = c.Event("topic", again)
		require.NoError(t, err)
		extra, _ = got.Extension(watermill.EscapeName)
		assert.Equal(t, "c1&_watermill_message_uuid=other&correlation_id=7&more=8", extra)
	}
}

func TestBadMessages(t *testing.T) {
	many := message.Metadata{}
	for i := range 200 {
		many.Set(fmt.Sprintf("name%d", i), "v")
	}
	huge := message.Metadata{"a_b": strings.Repeat("x", 70_000)}
	event := message.Metadata{"ce_specversion": "1.0", "ce_id": "1", "ce_source": "/s", "ce_type": "t"}
	with := func(name, value string) message.Metadata {
		m := maps.Clone(event)
		m[name] = value
		return m
	}
	for _, test := range []struct {
		name     string
		uuid     string
		metadata message.Metadata
		payload  []byte
		want     leat.Code
	}{
		{"nil metadata", "1", nil, []byte("x"), 0},
		{"many metadata", "1", many, nil, 0},
		{"no uuid", "", nil, []byte("x"), leat.CodeInvalid},
		{"no uuid, a CloudEvent", "", event, []byte("x"), 0},
		{"uuid with a line break", "a\nb", nil, nil, leat.CodeInvalid},
		{"5 MB", "1", nil, make([]byte, 5<<20), leat.CodeTooLarge},
		{"5 MB of a CloudEvent", "1", event, make([]byte, 5<<20), leat.CodeTooLarge},
		{"long metadata", "1", huge, nil, leat.CodeTooLarge},
		{"an attribute twice", "1", with("ce-id", "2"), nil, leat.CodeInvalid},
		{"an invalid attribute", "1", with("ce_time", "now"), nil, leat.CodeInvalid},
		{"another version", "1", message.Metadata{"ce_specversion": "0.3"}, nil, leat.CodeInvalid},
		{"contradicting types", "1", message.Metadata{"ce_specversion": "1.0", "ce_id": "1", "ce_source": "/s", "ce_type": "t",
			"content-type": "text/plain", "ce_datacontenttype": "text/html"}, nil, leat.CodeInvalid},
		{"a batch", "1", message.Metadata{"content-type": "application/cloudevents-batch+json"}, []byte("[]"), leat.CodeInvalid},
		{"another format", "1", message.Metadata{"content-type": "application/cloudevents+avro"}, []byte("x"), leat.CodeInvalid},
		{"no JSON", "1", message.Metadata{"content-type": "application/cloudevents+json"}, []byte("x"), leat.CodeInvalid},
		{"a broken escape", "1", with("ce_watermillmeta", "zz"), nil, 0},
		{"a broken escape and more", "1", message.Metadata{"ce_specversion": "1.0", "ce_id": "1", "ce_source": "/s",
			"ce_type": "t", "ce_watermillmeta": "zz", "more": "1"}, nil, leat.CodeInvalid},
		{"two content types", "1", message.Metadata{"ce_specversion": "1.0", "ce_id": "1", "ce_source": "/s",
			"ce_type": "t", "content-type": "text/plain", "Content-Type": "text/plain"}, nil, leat.CodeInvalid},
	} {
		m := message.NewMessage(test.uuid, test.payload)
		m.Metadata = test.metadata
		_, err := watermill.Codec{}.Event("topic", m)
		assert.Equal(t, test.want, leat.CodeOf(err), "%s: %v", test.name, err)
		if err != nil {
			_, typed := err.(*leat.Error) //nolint:errorlint // the error itself is typed
			assert.True(t, typed, test.name)
		}
	}
	_, err := watermill.Codec{}.Event("topic", nil)
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
	_, err = watermill.Codec{}.Event("topic", &message.Message{UUID: "1"})
	require.NoError(t, err, "a message that NewMessage has not made")
	_, err = watermill.Codec{}.Message(leat.Event{})
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
}

func TestMapping(t *testing.T) {
	m := foreign.Message{Topic: "orders", Key: []byte("k\xff"), Body: []byte("x"), Err: foreign.ErrPlain, Headers: []leat.Header{
		{Name: "_watermill_message_uuid", Value: []byte("1")}, {Name: "correlation_id", Value: []byte("7")},
	}}
	e, err := watermill.Codec{}.Mapping(m)
	require.NoError(t, err)
	assert.Equal(t, "1  x", e.ID()+" "+e.Key()+" "+e.DataString(), "the key is the Delivery's")
	m.Err = errors.New("its body is compressed")
	_, err = watermill.Codec{}.Mapping(m)
	require.ErrorIs(t, err, m.Err)
	m.Headers, m.Err = append(m.Headers, m.Headers[1]), foreign.ErrPlain
	_, err = watermill.Codec{}.Mapping(m)
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
}

// FuzzEscape: what is read can be restored, whatever the escape and the metadata beside it, and a
// message that was made so is a CloudEvent.
func FuzzEscape(f *testing.F) {
	f.Add("m1&a=b", "n", "v")
	f.Add("c1&a=%FF", "", "")
	f.Fuzz(func(t *testing.T, escaped, name, value string) {
		m := message.NewMessage("1", []byte("x"))
		m.Metadata = message.Metadata{"ce_specversion": "1.0", "ce_id": "1", "ce_source": "/s", "ce_type": "t", "ce_watermillmeta": escaped}
		m.Metadata[name] = value
		e, err := watermill.Codec{}.Event("topic", m)
		if err != nil {
			require.NotZero(t, leat.CodeOf(err))
			return
		}
		_, err = watermill.Codec{}.Restore(e)
		require.NoError(t, err)
		again, err := watermill.Codec{}.Message(e)
		require.NoError(t, err)
		back, err := watermill.Codec{}.Event("elsewhere", again)
		require.NoError(t, err)
		require.True(t, back.Equal(e))
	})
}
