package wire_test

import (
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/wire"
	"github.com/leatgo/leat/foreign"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// typed are headers of a transport with types, without an order.
type typed map[string]any

// minimal are the headers of the smallest event, and then others.
func minimal(prefix string, more typed) typed {
	m := typed{
		prefix + "specversion": "1.0", prefix + "id": "1", prefix + "source": "/s", prefix + "type": "t",
	}
	maps.Copy(m, more)
	return m
}

// read reads a message whose content type is a field.
func read(b wire.Binding, contentType string, headers typed, body []byte) (leat.Event, error) {
	var r wire.Reader
	r.Begin(b, len(headers))
	r.ContentType(contentType)
	for name, value := range headers {
		r.AddValue(name, value)
	}
	return r.Event(body)
}

const eventJSON = `{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":1}}`

func TestRead(t *testing.T) {
	t.Parallel()
	anyPrefix := wire.Binding{Prefix: "ce-", AnyPrefix: true, Empty: "leat-data"}
	percent := wire.Binding{
		Prefix: "ce-", ContentType: "content-type", TypeIsAttribute: true, Percent: true,
	}
	for name, c := range map[string]struct {
		binding     wire.Binding
		contentType string
		headers     typed
		body        []byte
		attributes  map[string]string // besides the required ones
		data        []byte
	}{
		"no data": {binding: anyPrefix, headers: minimal("ce-", nil), body: []byte{}},
		"empty data": {
			binding: anyPrefix, headers: minimal("ce-", typed{"leat-data": "empty"}), data: []byte{},
		},
		"a mark that is none": {binding: anyPrefix, headers: minimal("ce-", typed{"leat-data": true})},
		"a mark that is wrong": {
			binding: anyPrefix, headers: minimal("ce-", typed{"leat-data": "empty"}), body: []byte("x"),
			data: []byte("x"),
		},
		"empty data that the transport knows": {
			binding: percent, headers: minimal("ce-", nil), body: []byte{}, data: []byte{},
		},
		"Spring, SDKs for Java and Go": {
			binding: anyPrefix, headers: minimal("cloudEvents:", nil),
		},
		"SDKs for Python and C#": {
			binding: anyPrefix, headers: minimal("cloudEvents_", nil),
		},
		"Kafka": {binding: anyPrefix, headers: minimal("ce_", nil)},
		"any case": {
			binding: anyPrefix, headers: minimal("CE-", typed{"Ce-X": "V"}),
			attributes: map[string]string{"x": "V"},
		},
		"a prefix of its own": {
			binding: wire.Binding{Prefix: "X-"}, headers: minimal("x-", typed{"ce-id": "2"}),
		},
		"mixed prefixes": {
			binding:    wire.Binding{Prefix: "ce-", AnyPrefix: true, Mixed: true},
			headers:    minimal("ce_", typed{"ce-x": "v"}),
			attributes: map[string]string{"x": "v"},
		},
		"other headers": {
			binding: anyPrefix,
			headers: minimal("ce-", typed{
				"": 1, "c": 2, "ce": 1.5, "content-type": "x", "x-death": []any{}, "traceparent": 5,
			}),
		},
		"null": {
			binding: anyPrefix, contentType: "a/b",
			headers:    minimal("ce-", typed{"ce-subject": nil, "ce-datacontenttype": nil}),
			attributes: map[string]string{"datacontenttype": "a/b"},
		},
		"types": {
			binding: anyPrefix,
			headers: minimal("ce-", typed{
				"ce-id": []byte("1"), "ce-a": int8(-1), "ce-b": byte(255), "ce-c": int64(math.MinInt64),
				"ce-d": uint64(math.MaxUint64), "ce-e": false,
				"ce-f": time.Unix(0, 0), "ce-g": []byte{}, "ce-h": []byte{0xff, 0},
				"ce-time": time.Unix(5, 1_000_000), "ce-subject": 5,
			}),
			attributes: map[string]string{
				"a": "-1", "b": "255", "c": "-9223372036854775808", "d": "18446744073709551615", "e": "false",
				"f": "1970-01-01T00:00:00Z",
				"g": "", "h": "/wA=", "time": "1970-01-01T00:00:05.001Z", "subject": "5",
			},
		},
		"the content type twice the same": {
			binding: anyPrefix, contentType: "a/b",
			headers:    minimal("ce-", typed{"ce-datacontenttype": "a/b"}),
			attributes: map[string]string{"datacontenttype": "a/b"},
		},
		"a header does not choose the mode": {
			binding:    anyPrefix,
			headers:    minimal("ce-", typed{"ce-datacontenttype": "application/cloudevents"}),
			attributes: map[string]string{"datacontenttype": "application/cloudevents"},
		},
		"a content type that tells only the mode": {
			binding:    percent,
			headers:    minimal("ce-", typed{"Content-Type": "text/plain", "ce-datacontenttype": "a/b"}),
			attributes: map[string]string{"datacontenttype": "a/b"},
		},
		"percent": {
			binding: percent,
			headers: minimal("ce-", typed{
				"ce-subject": "Euro%20%E2%82%AC%20%f0%9f%98%80", "ce-a": "not encoded €",
				"ce-b": `"a \"b\\%25"`, "ce-c": "%41%25", "ce-d": `"`,
				"ce-e": nil, "ce-f": "",
			}),
			attributes: map[string]string{
				"subject": "Euro € 😀", "a": "not encoded €", "b": `a "b\%`, "c": "A%", "d": `"`, "f": "",
			},
		},
		"no percent-encoding": {
			binding: anyPrefix, headers: minimal("ce-", typed{"ce-x": `"%41%"`}),
			attributes: map[string]string{"x": `"%41%"`},
		},
		"structured": {
			binding: percent,
			headers: typed{
				"CONTENT-TYPE": "Application/CloudEvents+JSON ; charset=utf-8", "ce-id": 1.5, "ce-\xff": "%",
			},
			body: []byte(eventJSON), data: []byte(`{"a":1}`),
		},
		"structured without a format": {
			binding: anyPrefix, contentType: "application/cloudevents", body: []byte(eventJSON),
			data: []byte(`{"a":1}`),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := map[string]string{"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}
			maps.Copy(want, c.attributes)
			for range 5 { // maps have no order
				e, err := read(c.binding, c.contentType, c.headers, c.body)
				require.NoError(t, err)
				assert.Equal(t, want, maps.Collect(e.Attributes()))
				assert.Equal(t, c.data, e.Data(), "no data and empty data are two things")
			}
		})
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	type decimal struct{}
	many := typed{}
	for i := range 129 {
		many[fmt.Sprint("ce-x", i)] = "v"
	}
	b := wire.Binding{Prefix: "ce-", AnyPrefix: true, ContentType: "content-type", Percent: true}
	for name, c := range map[string]struct {
		headers typed
		reason  string
		code    leat.Code
	}{
		"no specversion":     {typed{"ce-id": "1", "ce-type": 1.5}, "not a CloudEvent", 0},
		"a null specversion": {minimal("ce-", typed{"ce-specversion": nil}), "not a CloudEvent", 0},
		"another version": {
			minimal("ce-", typed{"ce-specversion": "0.3"}), `"specversion" is not "1.0"`, leat.CodeInvalid,
		},
		"an attribute twice": {
			minimal("ce-", typed{"CE-ID": "1"}), `"id" is there twice`, leat.CodeInvalid,
		},
		"two prefixes": {
			minimal("ce_", typed{"cloudEvents:id": "1"}), "begin with ce_ and with cloudevents:", 0,
		},
		"a content type twice": {
			minimal("ce-", typed{"content-type": "a/b", "Content-Type": "a/b"}),
			"content-type is there twice", 0,
		},
		"a content type twice, one structured": {
			typed{"content-type": "a/b", "Content-Type": "application/cloudevents"},
			"content-type is there twice", 0,
		},
		"content types that contradict": {
			minimal("ce-", typed{"content-type": "a/b", "ce-datacontenttype": "a/c"}), "contradict", 0,
		},
		"a batch":        {typed{"content-type": "application/cloudevents-batch+json"}, "batch", 0},
		"another format": {typed{"content-type": "application/cloudevents+avro"}, "other than JSON", 0},
		"a longer name": {
			typed{"content-type": "application/cloudevents+jsonx"}, "other than JSON", 0,
		},
		"no JSON": {
			typed{"content-type": "application/cloudevents+json"}, "decode", leat.CodeInvalid,
		},
		"a number": {
			minimal("ce-", typed{"ce-x": float32(1)}), `"x" is a floating-point number`, 0,
		},
		"a table":      {minimal("ce-", typed{"ce-x": typed{}}), `"x" is a table`, 0},
		"a list":       {minimal("ce-", typed{"ce-x": []any{}}), `"x" is a list`, 0},
		"another type": {minimal("ce-", typed{"ce-x": decimal{}}), `"x" is a decimal`, 0},
		"a specversion of a number": {
			minimal("ce-", typed{"ce-specversion": 1.0}), "a floating-point number", 0,
		},
		"a percent sign alone":     {minimal("ce-", typed{"ce-x": "a%"}), "percent", 0},
		"a percent sign and a":     {minimal("ce-", typed{"ce-x": "%a"}), "percent", 0},
		"a percent sign and no":    {minimal("ce-", typed{"ce-x": "%no"}), "percent", 0},
		"a percent sign in quotes": {minimal("ce-", typed{"ce-x": `"%2"`}), "percent", 0},
		"no UTF-8": {
			minimal("ce-", typed{"ce-x": "%C0%A0"}), "UTF-8", leat.CodeInvalid,
		},
		"a name that is none": {
			minimal("ce-", typed{"ce-my-ext": "1"}), "has a name with", leat.CodeInvalid,
		},
		"no name": {
			minimal("ce-", typed{"ce-": "1"}), "has no name", leat.CodeInvalid,
		},
		"too many": {minimal("ce-", many), "more than 128 headers", leat.CodeTooLarge},
		"a time of a far year": {
			minimal("ce-", typed{"ce-time": time.Unix(math.MaxInt64-62135596801, 0)}), "RFC 3339",
			leat.CodeInvalid,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 5 {
				e, err := read(b, "", c.headers, nil)
				assert.True(t, e.IsZero())
				require.ErrorContains(t, err, c.reason)
				assert.Equal(t, c.code == 0, leat.CodeOf(err) == leat.CodeOf(fmt.Errorf("x")), "%v", err)
				assert.Equal(t, strings.Contains(c.reason, "not a CloudEvent"), isPlain(err))
			}
		})
	}
}

func isPlain(err error) bool { return strings.HasSuffix(err.Error(), foreign.ErrPlain.Error()) }

// TestNullHeaders: on a transport that has null headers, they count as being there.
func TestNullHeaders(t *testing.T) {
	t.Parallel()
	var r wire.Reader
	r.Begin(wire.Binding{Prefix: "ce_", ContentType: "content-type"}, 2)
	assert.True(t, r.Add("Content-Type", nil))
	assert.True(t, r.Add("content-type", []byte("application/cloudevents+json")))
	assert.False(t, r.Add("other", nil))
	_, err := r.Event([]byte(eventJSON))
	require.ErrorContains(t, err, "twice")

	r.Begin(wire.Binding{Prefix: "ce_", ContentType: "content-type"}, 5)
	for name, value := range minimal("ce_", nil) {
		r.AddText(name, value.(string))
	}
	assert.True(t, r.AddText("content-type", ""), "empty text is no content type")
	_, err = r.Event(nil)
	require.NoError(t, err)
	r.Add("Content-Type", []byte{})
	_, err = r.Event(nil)
	require.Error(t, err, "now there are two")
}

// TestModeAndAttributes is how an adapter adds attributes of its own before it decodes.
func TestModeAndAttributes(t *testing.T) {
	t.Parallel()
	var r wire.Reader
	r.Begin(wire.Binding{Prefix: "ce-", Empty: "e"}, 5)
	r.ContentType("a/b")
	for name, value := range minimal("ce-", typed{"e": "empty"}) {
		assert.True(t, r.AddValue(name, value))
	}
	mode, err := r.Mode()
	require.NoError(t, err)
	assert.Equal(t, wire.Binary, mode)
	attributes := append(r.Attributes(), leat.Header{Name: "x", Value: []byte("y")})
	e, err := r.Decode(attributes, r.Data(nil))
	require.NoError(t, err)
	x, _ := e.Extension("x")
	assert.Equal(t, []any{"a/b", "y", true}, []any{e.DataContentType(), x, e.HasData()})

	r.Begin(wire.Binding{Prefix: "ce-"}, 0)
	r.ContentType("application/cloudevents")
	r.AddText(wire.TraceParent, traceParent)
	assert.False(t, r.AddText(wire.TraceState, "a=1"))
	mode, err = r.Mode()
	require.NoError(t, err)
	assert.Equal(t, wire.Structured, mode)
	assert.Equal(t, &leat.TraceContext{Parent: traceParent, State: "a=1"}, r.Trace())
	assert.Equal(t, wire.Batch, wire.ModeOf([]byte("APPLICATION/CloudEvents-Batch")))
}

const traceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// TestHostile: what a Reader keeps is bounded, and nothing of the message.
func TestHostile(t *testing.T) {
	t.Parallel()
	mega := strings.Repeat("x", 1<<20)
	many := typed{}
	for i := range 100_000 {
		many[fmt.Sprint("CE-X", i)] = ""
	}
	var r wire.Reader
	for name, headers := range map[string]typed{
		"many":     many,
		"value":    {"ce-x": mega},
		"bytes":    {"ce-x": []byte(mega)},
		"name":     {"CE-" + mega: ""},
		"type":     {"content-type": "application/cloudevents+" + mega},
		"percent":  {"ce-x": "%20" + mega},
		"version":  {"ce-specversion": mega},
		"trace":    {wire.TraceParent: mega, wire.TraceState: mega},
		"not text": {"ce-x": typed{"a": mega}},
		"other":    {"ce-specversion": "1.0", "x": mega},
	} {
		r.Begin(wire.Binding{Prefix: "ce-", ContentType: "content-type", Percent: true}, len(headers))
		for name, value := range headers {
			r.AddValue(name, value)
		}
		_, err := r.Event(nil)
		require.Error(t, err)
		assert.Less(t, len(err.Error()), 1<<10, name)
		if _, text, _ := r.Scratch(); name == "other" {
			assert.LessOrEqual(t, text, 64<<10, "it is not copied")
		}
		assert.Nil(t, r.Trace())
		r.Reset()
		kept, text, held := r.Scratch()
		assert.LessOrEqual(t, kept, 256, name)
		assert.LessOrEqual(t, text, 64<<10, name)
		assert.False(t, held, name)
	}
	assert.Zero(t, wire.Excess(128))
	assert.Equal(t, 40, wire.Excess(129))
}

// TestDelivery: a message is an event or malformed, and its key counts where the event has none.
func TestDelivery(t *testing.T) {
	t.Parallel()
	binding := wire.Binding{Prefix: "ce-"}
	deliver := func(headers typed) leat.Delivery {
		var r wire.Reader
		r.Begin(binding, len(headers))
		for name, value := range headers {
			r.AddValue(name, value)
		}
		return r.Delivery([]leat.Header{{Name: "a"}}, "k", []byte("x"))
	}
	parent := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	d := deliver(minimal("ce-", typed{"traceparent": parent}))
	assert.Equal(t, "1", d.Event.ID())
	assert.Equal(t, "k", d.Key)
	assert.Nil(t, d.Malformed)
	assert.Equal(t, parent, d.Trace.Parent)
	d = deliver(minimal("ce-", typed{"ce-partitionkey": "own"}))
	assert.Equal(t, "own", d.Event.Key())
	assert.Empty(t, d.Key)
	d = deliver(typed{"traceparent": parent})
	require.ErrorIs(t, d.Malformed.Reason, foreign.ErrPlain)
	assert.Equal(t, []leat.Header{{Name: "a"}}, d.Malformed.Headers)
	assert.Equal(t, "k", string(d.Malformed.Key))
	assert.Equal(t, "x", string(d.Malformed.Body))
	assert.Equal(t, parent, d.Trace.Parent)
	assert.True(t, d.Event.IsZero())
}

// TestTextThatDoesNotCount: an empty content type is none, and a trace header that is too long
// makes the trace context doubtful, as with Add.
func TestTextThatDoesNotCount(t *testing.T) {
	t.Parallel()
	var r wire.Reader
	r.Begin(wire.Binding{Prefix: "ce-", ContentType: "content-type"}, 8)
	for name, value := range map[string]string{"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t"} {
		r.AddText(name, value)
	}
	r.AddText("content-type", "")
	r.AddText("content-type", "text/plain")
	r.AddText(wire.TraceParent, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	r.AddText(wire.TraceParent, strings.Repeat("0", 600))
	e, err := r.Event([]byte("x"))
	require.NoError(t, err)
	require.Equal(t, "text/plain", e.DataContentType())
	require.Nil(t, r.Trace())
}
