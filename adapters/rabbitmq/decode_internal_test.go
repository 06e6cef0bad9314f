package rabbitmq

import (
	"errors"
	"maps"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/foreign"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const minimalJSON = `{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":1}}`

// msg makes a message with a content type, a body and headers.
func msg(contentType, body string, headers amqp.Table) *amqp.Delivery {
	return &amqp.Delivery{Exchange: "topic", RoutingKey: "key", ContentType: contentType, Body: []byte(body), Headers: headers}
}

// spelled are the headers of the smallest event with a prefix, then others.
func spelled(prefix string, more amqp.Table) amqp.Table {
	t := amqp.Table{prefix + "specversion": "1.0", prefix + "id": "1", prefix + "source": "/s", prefix + "type": "t"}
	maps.Copy(t, more)
	return t
}

func minimal(more amqp.Table) amqp.Table { return spelled("ce-", more) }

func manyHeaders(n int) amqp.Table {
	t := amqp.Table{}
	for i := range n {
		t["ce-x"+strings.Repeat("y", i)] = "v"
	}
	return t
}

func manyAttributes(n int) map[string]string {
	attrs := map[string]string{}
	for i := range n {
		attrs["x"+strings.Repeat("y", i)] = "v"
	}
	return attrs
}

// fromAMQP10 is what a consumer of AMQP 0-9-1 gets for a message that an SDK sent by AMQP 1.0:
// RabbitMQ 4 keeps the keys of application properties and most of their types, and cuts times to
// seconds.
func fromAMQP10(prefix string) amqp.Table {
	return spelled(prefix, amqp.Table{
		prefix + "time": time.Unix(1767323045, 0), prefix + "abool": true, prefix + "bint": int64(-7), prefix + "cbinary": []byte{0xff, 0},
	})
}

// TestDecode has what is read as an event. Of the event, the attributes beside the required ones
// are written down.
func TestDecode(t *testing.T) {
	t.Parallel()
	typed := map[string]string{"time": "2026-01-02T03:04:05Z", "abool": "true", "bint": "-7", "cbinary": "/wA="}
	for name, c := range map[string]struct {
		message *amqp.Delivery
		decoder decoder
		attrs   map[string]string
		data    []byte
	}{
		"binary":                          {message: msg("", "x", minimal(nil)), data: []byte("x")},
		"binary, an empty body":           {message: msg("", "", minimal(nil))},
		"binary, an empty body that is":   {message: msg("", "", minimal(amqp.Table{"leat-data": "empty"})), data: []byte{}},
		"binary, a mark that is wrong":    {message: msg("", "x", minimal(amqp.Table{"leat-data": "empty"})), data: []byte("x")},
		"binary, a mark of another kind":  {message: msg("", "", minimal(amqp.Table{"leat-data": true}))},
		"binary, JSON null stays":         {message: msg("", "null", minimal(nil)), data: []byte("null")},
		"binary, the spelling of Spring":  {message: msg("", "", spelled("cloudEvents:", nil))},
		"binary, the spelling of Python":  {message: msg("", "", spelled("cloudEvents_", nil))},
		"binary, the spelling of Kafka":   {message: msg("", "", spelled("ce_", nil))},
		"from AMQP 1.0, Spring, Go, Java": {message: msg("", "", fromAMQP10("cloudEvents:")), attrs: typed},
		"from AMQP 1.0, Python, C#":       {message: msg("", "", fromAMQP10("cloudEvents_")), attrs: typed},
		"every scalar type": {
			message: msg("", "", minimal(amqp.Table{
				"ce-a": int8(-1), "ce-b": byte(255), "ce-c": int16(-300), "ce-d": uint16(65535), "ce-e": int32(math.MinInt32),
				"ce-f": uint32(math.MaxUint32), "ce-g": int64(math.MinInt64), "ce-h": false, "ce-i": time.Unix(0, 0), "ce-j": []byte{},
			})),
			attrs: map[string]string{
				"a": "-1", "b": "255", "c": "-300", "d": "65535", "e": "-2147483648", "f": "4294967295", "g": "-9223372036854775808",
				"h": "false", "i": "1970-01-01T00:00:00Z", "j": "",
			},
		},
		"bytes where only text can be are text": {
			message: msg("", "", amqp.Table{
				"ce-specversion": []byte("1.0"), "ce-id": []byte("1"), "ce-source": []byte("/s"), "ce-type": []byte("t"),
				"ce-partitionkey": []byte("k"),
			}),
			attrs: map[string]string{"partitionkey": "k"},
		},
		"a number where only text can be is its text": {
			message: msg("", "", minimal(amqp.Table{"ce-subject": int64(5), "ce-partitionkey": int32(42)})),
			attrs:   map[string]string{"subject": "5", "partitionkey": "42"},
		},
		"other headers are not read": {
			message: msg("", "", minimal(amqp.Table{
				"traceparent": "x", "": "z", "ce": "1", "c": "2", "cloudEvents": "3", "content-type": "4", "\xff": "5", "application_headers": "6",
			})),
		},
		"what RabbitMQ adds": {
			message: msg("", "", minimal(amqp.Table{
				"x-death": []any{amqp.Table{"count": int64(1), "reason": "delivery_limit", "queue": "q", "time": time.Unix(1, 0),
					"exchange": "", "routing-keys": []any{"k"}}},
				"x-first-death-reason": "delivery_limit", "x-delivery-count": int64(3), "x-last-death-queue": "q", "x-stream-offset": int64(1),
				"x-opt-rabbitmq-received-time": int64(1),
			})),
		},
		"content type": {
			message: msg(`text/plain; charset="utf-8"; a=b`, "", minimal(nil)),
			attrs:   map[string]string{"datacontenttype": `text/plain; charset="utf-8"; a=b`},
		},
		"odd case": {
			message: msg("Text/Plain", "", amqp.Table{
				"CE-SpecVersion": "1.0", "Ce-ID": "1", "cE-sourcE": "/s", "CE-TYPE": "t", "ce-MyExt": "V",
			}),
			attrs: map[string]string{"datacontenttype": "Text/Plain", "myext": "V"},
		},
		"a header for datacontenttype alone": {
			message: msg("", "", minimal(amqp.Table{"ce-datacontenttype": "a/b"})), attrs: map[string]string{"datacontenttype": "a/b"},
		},
		"a header for datacontenttype does not choose the mode": {
			message: msg("", "", minimal(amqp.Table{"ce-datacontenttype": "application/cloudevents+json"})),
			attrs:   map[string]string{"datacontenttype": "application/cloudevents+json"},
		},
		"a header for datacontenttype beside the same property": {
			message: msg("a/b", "", minimal(amqp.Table{"ce-datacontenttype": "a/b"})), attrs: map[string]string{"datacontenttype": "a/b"},
		},
		"a null header for datacontenttype beside the property": {
			message: msg("a/b", "", minimal(amqp.Table{"ce-datacontenttype": nil})), attrs: map[string]string{"datacontenttype": "a/b"},
		},
		"null headers are unset": {
			message: msg("", "", minimal(amqp.Table{"ce-subject": nil, "ce-x": nil, "ce-y": ""})), attrs: map[string]string{"y": ""},
		},
		"any Unicode, not percent-decoded": {
			message: msg("", "", minimal(amqp.Table{"ce-subject": "Köln%20日本🚀\u200f", "ce-partitionkey": ""})),
			attrs:   map[string]string{"subject": "Köln%20日本🚀\u200f", "partitionkey": ""},
		},
		"the names that are reserved for the poison queue": {
			message: msg("", "", minimal(amqp.Table{"ce-leatreason": "r"})), attrs: map[string]string{"leatreason": "r"},
		},
		"80 attributes":                    {message: msg("", "", minimal(manyHeaders(76))), attrs: manyAttributes(76)},
		"a content encoding that is none":  {message: withEncoding(msg("", "x", minimal(nil)), "UTF-8"), data: []byte("x")},
		"a content encoding of nothing":    {message: withEncoding(msg("", "x", minimal(nil)), "identity"), data: []byte("x")},
		"a type that says what event type": {message: withType(msg("", "x", minimal(nil)), "t"), data: []byte("x")},
		"structured": {
			message: msg("application/cloudevents+json", minimalJSON, nil), data: []byte(`{"a":1}`),
		},
		"structured, parameters and odd case": {
			message: msg("Application/CloudEvents+JSON ; charset=\"utf-8\"", minimalJSON, nil), data: []byte(`{"a":1}`),
		},
		"structured without a format is JSON": {message: msg("application/cloudevents", minimalJSON, nil), data: []byte(`{"a":1}`)},
		"structured, the headers beside it are copies, whatever they say": {
			message: msg("application/cloudevents+json", minimalJSON,
				amqp.Table{"ce-id": "2", "ce_id": 3.5, "ce-specversion": "0.3", "ce-\xff": nil}),
			data: []byte(`{"a":1}`),
		},
		"assumed structured, no content type": {
			message: msg("", minimalJSON, nil), decoder: decoder{mapping: foreign.Structured}, data: []byte(`{"a":1}`),
		},
		"assumed structured, the content type of Dapr": {
			message: msg("text/plain", minimalJSON, amqp.Table{"ce-id": "other"}), decoder: decoder{mapping: foreign.Structured},
			data: []byte(`{"a":1}`),
		},
		"assumed structured, and binary all the same": {
			message: msg("", minimalJSON, minimal(nil)), decoder: decoder{mapping: foreign.Structured}, data: []byte(minimalJSON),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := map[string]string{"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}
			maps.Copy(want, c.attrs)
			for range 5 { // tables have no order
				var d leat.Delivery
				c.decoder.decode(c.message, &d)
				if d.Malformed != nil {
					t.Fatal(d.Malformed.Reason)
				}
				assert.Equal(t, want, maps.Collect(d.Event.Attributes()))
				assert.Equal(t, c.data, d.Event.Data(), "no data and empty data are two things")
				require.NoError(t, d.Event.Validate())
				assert.GreaterOrEqual(t, sizeOf(c.message), d.Event.Size())
			}
		})
	}
}

func withEncoding(m *amqp.Delivery, encoding string) *amqp.Delivery {
	m.ContentEncoding = encoding
	return m
}

func withType(m *amqp.Delivery, name string) *amqp.Delivery {
	m.Type = name
	return m
}

// TestMalformed has what is no event, and why. The message is kept as it came.
func TestMalformed(t *testing.T) {
	t.Parallel()
	const structured = "application/cloudevents+json"
	without := func(name string) amqp.Table {
		h := minimal(nil)
		delete(h, name)
		return h
	}
	for name, c := range map[string]struct {
		message *amqp.Delivery
		decoder decoder
		reason  string
	}{
		"nothing at all":              {message: msg("", "", nil), reason: "not a CloudEvent"},
		"no specversion":              {message: msg("", "x", without("ce-specversion")), reason: "not a CloudEvent"},
		"a null specversion":          {message: msg("", "", minimal(amqp.Table{"ce-specversion": nil})), reason: "not a CloudEvent"},
		"JSON without a content type": {message: msg("", minimalJSON, nil), reason: "not a CloudEvent"},
		"specversion 0.3":             {message: msg("", "", minimal(amqp.Table{"ce-specversion": "0.3"})), reason: `"specversion" is not "1.0"`},
		"an empty specversion":        {message: msg("", "", minimal(amqp.Table{"ce-specversion": ""})), reason: `"specversion" is not "1.0"`},
		"a specversion of a number":   {message: msg("", "", minimal(amqp.Table{"ce-specversion": 1.0})), reason: "a floating-point number"},
		"no id":                       {message: msg("", "", without("ce-id")), reason: `"id" is missing`},
		"a null id":                   {message: msg("", "", minimal(amqp.Table{"ce-id": nil})), reason: `"id" is missing`},
		"an empty id":                 {message: msg("", "", minimal(amqp.Table{"ce-id": ""})), reason: `"id" is empty`},
		"two ids in another case":     {message: msg("", "", minimal(amqp.Table{"CE-ID": "1"})), reason: `"id" is there twice`},
		"an id and a null id":         {message: msg("", "", minimal(amqp.Table{"CE-ID": nil})), reason: `"id" is there twice`},
		"a null name that is none":    {message: msg("", "", minimal(amqp.Table{"ce-a-b": nil})), reason: "a-b"},
		"two extensions":              {message: msg("", "", minimal(amqp.Table{"ce-x": "1", "ce-X": "1"})), reason: `"x" is there twice`},
		"two spellings of an attribute": {
			message: msg("", "", minimal(amqp.Table{"cloudEvents:id": "2"})), reason: "begin with ce- and with cloudevents:",
		},
		"two spellings of an event": {
			message: msg("", "", minimal(spelled("cloudEvents_", nil))), reason: "begin with ce- and with cloudevents_",
		},
		"a floating-point number": {message: msg("", "", minimal(amqp.Table{"ce-x": 1.5})), reason: `"x" is a floating-point number`},
		"a small floating-point number": {
			message: msg("", "", minimal(amqp.Table{"ce-x": float32(1)})), reason: `"x" is a floating-point number`,
		},
		"a decimal number": {
			message: msg("", "", minimal(amqp.Table{"ce-x": amqp.Decimal{Scale: 1, Value: 5}})), reason: `"x" is a decimal`,
		},
		"a table": {message: msg("", "", minimal(amqp.Table{"ce-x": amqp.Table{"a": "b"}})), reason: `"x" is a table`},
		"a list":  {message: msg("", "", minimal(amqp.Table{"ce-x": []any{"a"}})), reason: `"x" is a list`},
		"a time of the year 292277026596": {
			message: msg("", "", minimal(amqp.Table{"ce-time": time.Unix(math.MaxInt64-62135596801, 0)})), reason: "RFC 3339",
		},
		"content types that contradict": {
			message: msg("a/c", "", minimal(amqp.Table{"ce-datacontenttype": "a/b"})), reason: "contradict",
		},
		"no media type": {message: msg("garbage", "", minimal(nil)), reason: "is no media type"},
		"space before the structured content type": {
			message: msg(" "+structured, minimalJSON, minimal(nil)), reason: "is no media type",
		},
		"a name that is none":             {message: msg("", "", minimal(amqp.Table{"ce-my-ext": "1"})), reason: "has a name with"},
		"a prefix alone":                  {message: msg("", "", minimal(amqp.Table{"ce-": "1"})), reason: "has no name"},
		"a name that only looks the same": {message: msg("", "", minimal(amqp.Table{"ce-partition\u212aey": "1"})), reason: "has a name with"},
		"a reserved name":                 {message: msg("", "", minimal(amqp.Table{"ce-data": "1"})), reason: "reserved name"},
		"invalid UTF-8 in a value":        {message: msg("", "", minimal(amqp.Table{"ce-x": "\xff"})), reason: "UTF-8"},
		"invalid UTF-8 in a content type": {message: msg("a/b; c=\"\xff\"", "", minimal(nil)), reason: "datacontenttype"},
		"invalid UTF-8 in a name":         {message: msg("", "", minimal(amqp.Table{"ce-\xff": "1"})), reason: "has a name with"},
		"a control character":             {message: msg("", "", minimal(amqp.Table{"ce-x": "a\x00b"})), reason: "control character"},
		"a time that is none":             {message: msg("", "", minimal(amqp.Table{"ce-time": "yesterday"})), reason: "RFC 3339"},
		"a dataschema that is relative":   {message: msg("", "", minimal(amqp.Table{"ce-dataschema": "a"})), reason: `"dataschema"`},
		"more than 80 attributes":         {message: msg("", "", minimal(manyHeaders(81))), reason: "80 attributes"},
		"more than 128 attributes":        {message: msg("", "", minimal(manyHeaders(130))), reason: "128 headers"},
		"a compressed body":               {message: withEncoding(msg("", "x", minimal(nil)), "GZIP"), reason: "compressed"},
		"a body that Spring compressed":   {message: withEncoding(msg(structured, minimalJSON, nil), "gzip:UTF-8"), reason: "compressed"},
		"a body that is AMQP 1.0": {
			message: withType(msg("", "\x00Sw\xa1\x01x", minimal(nil)), "amqp-1.0"), reason: "AMQP 1.0",
		},
		"headers that are AMQP 1.0": {
			message: withType(msg("application/json", "{}", amqp.Table{"x-amqp-1.0-app-properties": "\x00St\xc1"}), "binary"),
			reason:  "this RabbitMQ does not convert",
		},
		"a batch":             {message: msg("application/cloudevents-batch+json", "[]", nil), reason: "batch"},
		"a batch, odd case":   {message: msg("APPLICATION/CloudEvents-Batch", "[]", minimal(nil)), reason: "batch"},
		"Avro":                {message: msg("application/cloudevents+avro", "", nil), reason: "other than JSON"},
		"Protobuf, or binary": {message: msg("application/cloudevents+protobuf", "", minimal(nil)), reason: "other than JSON"},
		"a name like JSON":    {message: msg("application/cloudevents+j\u017fon", minimalJSON, nil), reason: "other than JSON"},
		"a longer name":       {message: msg("application/cloudevents+jsonx", minimalJSON, nil), reason: "other than JSON"},
		"structured, empty":   {message: msg(structured, "", nil), reason: "end"},
		"structured, no JSON": {message: msg(structured, "x", nil), reason: "decode"},
		"structured, a list":  {message: msg(structured, "["+minimalJSON+"]", nil), reason: "decode"},
		"structured, UTF-16":  {message: msg(structured+"; charset=utf-16", "\xff\xfe{\x00", nil), reason: "UTF-8"},
		"structured, 1.0 is missing": {
			message: msg(structured, `{"id":"1","source":"/s","type":"t"}`, nil), reason: "specversion",
		},
		"assumed structured, no JSON": {message: msg("", "x", nil), decoder: decoder{mapping: foreign.Structured}, reason: "decode"},
		"a Mapping refuses": {
			message: msg("", "", nil), reason: "not mine",
			decoder: decoder{mapping: func(foreign.Message) (leat.Event, error) { return leat.Event{}, errors.New("not mine") }},
		},
		"a Mapping returns nothing": {
			message: msg("", "", nil), reason: "zero Event",
			decoder: decoder{mapping: func(foreign.Message) (leat.Event, error) { return leat.Event{}, nil }},
		},
		"a Mapping returns an invalid event": {
			message: msg("", "", nil), reason: "UTF-8",
			decoder: decoder{mapping: func(m foreign.Message) (leat.Event, error) {
				e, err := mapMinimal(m)
				return e.WithSubject("\xff"), err
			}},
		},
		"a Mapping panics": {
			message: msg("", "", nil), reason: "the Mapping panicked: runtime error",
			decoder: decoder{mapping: func(m foreign.Message) (leat.Event, error) { return leat.Event{}, errors.New(string(m.Body[:1])) }},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 5 { // tables have no order
				var d leat.Delivery
				c.decoder.decode(c.message, &d)
				require.NotNil(t, d.Malformed, "read as %v", d.Event)
				assert.True(t, d.Event.IsZero())
				require.ErrorContains(t, d.Malformed.Reason, c.reason)
				checkRaw(t, c.message, d.Malformed)
				if c.decoder.mapping == nil {
					checkMapped(t, c.message)
				}
			}
		})
	}
}

// checkRaw checks that m has all of a message but what the client does not tell, such as the order
// of headers.
func checkRaw(t testing.TB, m *amqp.Delivery, got *leat.Malformed) {
	t.Helper()
	assert.Equal(t, m.RoutingKey, string(got.Key))
	assert.Equal(t, string(m.Body), string(got.Body))
	headers := map[string][]byte{}
	for _, h := range got.Headers {
		headers[h.Name] = h.Value
	}
	for name, value := range m.Headers {
		text, ok := headers[name]
		assert.True(t, ok, name)
		assert.Equal(t, value == nil, text == nil, name)
		if s, ok := value.(string); ok {
			assert.Equal(t, s, string(text), name)
		}
	}
	if _, ok := m.Headers["content_type"]; !ok {
		assert.Equal(t, m.ContentType, string(headers["content_type"]))
	}
}

// TestMalformedHasPropertiesAndHeaders: everything that tells what a message was meant to be.
func TestMalformedHasPropertiesAndHeaders(t *testing.T) {
	t.Parallel()
	m := &amqp.Delivery{
		ContentType: "a/b", ContentEncoding: "gzip", CorrelationId: "c", ReplyTo: "r", Expiration: "1", MessageId: "m", Type: "t", UserId: "u",
		AppId: "a", Timestamp: time.Unix(1, 0), Headers: amqp.Table{
			"b": nil, "a": "text", "c": int64(5), "d": []byte{1}, "e": amqp.Table{"k": []any{int8(1), "x", time.Unix(0, 0).UTC()}}, "f": 1.5,
			"g": amqp.Decimal{Scale: 1, Value: 5}, "h": []any{math.NaN()}, "content_type": "another",
		},
	}
	var d leat.Delivery
	(&decoder{}).decode(m, &d)
	require.NotNil(t, d.Malformed)
	assert.Nil(t, d.Malformed.Key)
	assert.Nil(t, d.Malformed.Body)
	var lines []string
	for _, h := range d.Malformed.Headers {
		lines = append(lines, h.Name+"="+string(h.Value))
	}
	assert.Equal(t, []string{
		"content_type=a/b", "content_encoding=gzip", "correlation_id=c", "reply_to=r", "expiration=1", "message_id=m", "type=t", "user_id=u",
		"app_id=a", "timestamp=1970-01-01T00:00:01Z",
		"a=text", "b=", "c=5", "content_type=another", "d=\x01", `e={"k":[1,"x","1970-01-01T00:00:00Z"]}`, "f=1.5", "g=0.5", "h=[NaN]",
	}, lines)
}

func TestDeliveries(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		count       any
		redelivered bool
		quorum      bool
		want        int
	}{
		{nil, false, true, 1},
		{int64(1), true, true, 2},
		{int32(2), true, true, 3},
		{int64(7), false, true, 1}, // a header of the publisher
		{nil, true, true, 0},
		{"1", true, true, 0},
		{int64(1), true, false, 0},
		{nil, false, false, 0},
	} {
		m := &amqp.Delivery{Redelivered: c.redelivered, Headers: amqp.Table{"x-delivery-count": c.count}}
		assert.Equal(t, c.want, deliveries(m, c.quorum), "%+v", c)
	}
}

// TestHostileMessages: what no event can be is malformed, as it came, at a price that follows its
// size.
func TestHostileMessages(t *testing.T) {
	t.Parallel()
	mega := strings.Repeat("x", 1<<20)
	deep := amqp.Table{}
	for range 30 {
		deep = amqp.Table{"a": deep, "b": []any{deep}}
		if len(deep) > 1 {
			delete(deep, "b")
		}
	}
	many := manyHeaders(0)
	for i := range 8000 {
		many[strings.Repeat("y", i%200)+string(rune('a'+i%26))+strings.Repeat("z", i/200)] = nil
	}
	for name, headers := range map[string]amqp.Table{
		"many headers":     many,
		"many attributes":  minimal(manyHeaders(3000)),
		"a value of 1 MiB": minimal(amqp.Table{"ce-x": mega}),
		"bytes of 1 MiB":   minimal(amqp.Table{"ce-x": []byte(mega)}),
		"a name of 1 MiB":  minimal(amqp.Table{"CE-" + strings.ToUpper(mega): ""}),
		"a specversion":    {"ce-specversion": mega},
		"deep tables":      minimal(amqp.Table{"ce-x": deep}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := msg("", "\xff", headers)
			var c decoder
			var d leat.Delivery
			c.decode(m, &d)
			require.NotNil(t, d.Malformed)
			assert.Less(t, len(d.Malformed.Reason.Error()), 1<<10, "the reason is not as long as the message")
			p := leat.Poisoned{Malformed: d.Malformed, Reason: d.Malformed.Reason, Info: leat.Info{Topic: "t", Group: "g"}}
			e, err := p.AsEvent()
			if err != nil { // what is as large as an event, base64 makes larger
				assert.Equal(t, leat.CodeTooLarge, leat.CodeOf(err))
				return
			}
			require.NoError(t, e.Validate())
		})
	}
}
