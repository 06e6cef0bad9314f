package kafka

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/foreign"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

const null = "\x00null" // the value of a header that is null

// rec makes a record of headers as name, value, name, value.
func rec(value []byte, headers ...string) *kgo.Record {
	r := &kgo.Record{Topic: "topic", Partition: 3, Offset: 4, Value: value}
	for i := 0; i < len(headers); i += 2 {
		h := kgo.RecordHeader{Key: headers[i]}
		if headers[i+1] != null {
			h.Value = []byte(headers[i+1])
		}
		r.Headers = append(r.Headers, h)
	}
	return r
}

// minimal are the headers of the smallest event, then others.
func minimal(more ...string) []string {
	return append([]string{"ce_specversion", "1.0", "ce_id", "1", "ce_source", "/s", "ce_type", "t"}, more...)
}

const minimalJSON = `{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":1}}`

func mapMinimal(m foreign.Message) (leat.Event, error) {
	return leat.NewEvent("mapped", &leat.EventOptions{ID: "m", Source: "/mapped", Data: m.Body})
}

// TestDecode has what is read as an event. Of the event, the attributes beside the required ones
// are written down.
func TestDecode(t *testing.T) {
	t.Parallel()
	json := []byte(minimalJSON)
	for name, c := range map[string]struct {
		record  *kgo.Record
		decoder decoder
		attrs   map[string]string
		data    []byte
	}{
		"binary":                     {record: rec([]byte("x"), minimal()...), data: []byte("x")},
		"binary, null value":         {record: rec(nil, minimal()...)},
		"binary, empty value":        {record: rec([]byte{}, minimal()...), data: []byte{}},
		"binary, JSON null stays":    {record: rec([]byte("null"), minimal()...), data: []byte("null")},
		"other headers are not read": {record: rec(nil, minimal("traceparent", "x", "ce-x", "y", "", "z", "ce", "1", "content-type2", "2")...)},
		"other headers may be double and no UTF-8": {
			record: rec(nil, minimal("a", "\xff", "a", "\xff", "\xff", "")...),
		},
		"content type": {
			record: rec(nil, minimal("content-type", `text/plain; charset="utf-8"; a=b`)...),
			attrs:  map[string]string{"datacontenttype": `text/plain; charset="utf-8"; a=b`},
		},
		"odd case": {
			record: rec(nil, "CE_SpecVersion", "1.0", "Ce_ID", "1", "cE_sourcE", "/s", "CE_TYPE", "t",
				"Content-Type", "Text/Plain", "ce_MyExt", "V"),
			attrs: map[string]string{"datacontenttype": "Text/Plain", "myext": "V"},
		},
		"ce_datacontenttype alone": {
			record: rec(nil, minimal("ce_datacontenttype", "a/b")...), attrs: map[string]string{"datacontenttype": "a/b"},
		},
		"ce_datacontenttype does not choose the mode": {
			record: rec(nil, minimal("ce_datacontenttype", "application/cloudevents+json")...),
			attrs:  map[string]string{"datacontenttype": "application/cloudevents+json"},
		},
		"ce_datacontenttype beside the same content-type": {
			record: rec(nil, minimal("ce_datacontenttype", "a/b", "content-type", "a/b")...),
			attrs:  map[string]string{"datacontenttype": "a/b"},
		},
		"null headers are unset": {
			record: rec(nil, minimal("ce_subject", null, "ce_x", null, "content-type", null, "ce_datacontenttype", null, "ce_y", "")...),
			attrs:  map[string]string{"y": ""},
		},
		"a null ce_datacontenttype beside content-type": {
			record: rec(nil, minimal("ce_datacontenttype", null, "content-type", "a/b")...), attrs: map[string]string{"datacontenttype": "a/b"},
		},
		"any Unicode, not percent-decoded": {
			record: rec(nil, minimal("ce_subject", "Köln%20日本🚀\u200f", "ce_partitionkey", "")...),
			attrs:  map[string]string{"subject": "Köln%20日本🚀\u200f", "partitionkey": ""},
		},
		"the names that are reserved for the poison queue": {
			record: rec(nil, minimal("ce_leatreason", "r")...), attrs: map[string]string{"leatreason": "r"},
		},
		"80 attributes": {record: rec(nil, minimal(manyHeaders(76)...)...), attrs: manyAttributes(76)},
		"structured":    {record: rec(json, "content-type", "application/cloudevents+json"), data: []byte(`{"a":1}`)},
		"structured, parameters and odd case": {
			record: rec(json, "CONTENT-TYPE", "Application/CloudEvents+JSON ; charset=\"utf-8\""), data: []byte(`{"a":1}`),
		},
		"structured without a format is JSON": {record: rec(json, "content-type", "application/cloudevents"), data: []byte(`{"a":1}`)},
		"structured, the headers beside it are copies, whatever they say": {
			record: rec(json, "ce_id", "2", "ce_id", "3", "content-type", "application/cloudevents+json", "ce_specversion", "0.3", "ce_\xff", null),
			data:   []byte(`{"a":1}`),
		},
		"assumed structured, no content type": {
			record: rec(json), decoder: decoder{mapping: foreign.Structured}, data: []byte(`{"a":1}`),
		},
		"assumed structured, the JSON content type of Dapr and Wolverine": {
			record:  rec(json, "content-type", "application/json", "ce_id", "other"),
			decoder: decoder{mapping: foreign.Structured}, data: []byte(`{"a":1}`),
		},
		"assumed structured, and binary all the same": {
			record: rec(json, minimal()...), decoder: decoder{mapping: foreign.Structured}, data: json,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := map[string]string{"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}
			maps.Copy(want, c.attrs)
			var d leat.Delivery
			c.decoder.decode(c.record, &d)
			if d.Malformed != nil {
				t.Fatal(d.Malformed.Reason)
			}
			assert.Equal(t, want, maps.Collect(d.Event.Attributes()))
			assert.Equal(t, c.data, d.Event.Data(), "no data and empty data are two things")
			require.NoError(t, d.Event.Validate())
		})
	}
}

func manyHeaders(n int) (headers []string) {
	for i := range n {
		headers = append(headers, "ce_x"+strings.Repeat("y", i), "v")
	}
	return headers
}

func manyAttributes(n int) map[string]string {
	attrs := map[string]string{}
	for i := range n {
		attrs["x"+strings.Repeat("y", i)] = "v"
	}
	return attrs
}

// TestMalformed has what is no event, and why. The record is kept as it came.
func TestMalformed(t *testing.T) {
	t.Parallel()
	const structured = "application/cloudevents+json"
	for name, c := range map[string]struct {
		record  *kgo.Record
		decoder decoder
		reason  string
	}{
		"nothing at all":                {record: rec(nil), reason: "not a CloudEvent"},
		"no specversion":                {record: rec([]byte("x"), "ce_id", "1", "ce_source", "/s", "ce_type", "t"), reason: "not a CloudEvent"},
		"a null specversion":            {record: rec(nil, "ce_specversion", null, "ce_id", "1"), reason: "not a CloudEvent"},
		"a null header without a name":  {record: rec(nil, minimal("ce_", null)...), reason: "has no name"},
		"a null header of another name": {record: rec(nil, minimal("ce_a-b", null)...), reason: "other than a-z"},
		"JSON without a content type": {
			record: rec([]byte(minimalJSON)), reason: "not a CloudEvent",
		},
		"specversion 0.3": {
			record: rec(nil, "ce_specversion", "0.3", "ce_id", "1", "ce_source", "/s", "ce_type", "t"), reason: `"specversion" is not "1.0"`,
		},
		"specversion 1.1": {
			record: rec(nil, "ce_specversion", "1.1", "ce_id", "1", "ce_source", "/s", "ce_type", "t"), reason: `"specversion" is not "1.0"`,
		},
		"an empty specversion": {
			record: rec(nil, "ce_specversion", "", "ce_id", "1", "ce_source", "/s", "ce_type", "t"), reason: `"specversion" is not "1.0"`,
		},
		"no id": {record: rec(nil, "ce_specversion", "1.0", "ce_source", "/s", "ce_type", "t"), reason: `"id" is missing`},
		"a null id": {
			record: rec(nil, "ce_specversion", "1.0", "ce_id", null, "ce_source", "/s", "ce_type", "t"), reason: `"id" is missing`,
		},
		"an empty id": {
			record: rec(nil, "ce_specversion", "1.0", "ce_id", "", "ce_source", "/s", "ce_type", "t"), reason: `"id" is empty`,
		},
		"two ids":                 {record: rec(nil, minimal("ce_id", "2")...), reason: `"id" is there twice`},
		"two equal ids":           {record: rec(nil, minimal("ce_id", "1")...), reason: `"id" is there twice`},
		"two ids in another case": {record: rec(nil, minimal("CE_ID", "1")...), reason: `"id" is there twice`},
		"an id and a null id":     {record: rec(nil, minimal("ce_id", null)...), reason: `"id" is there twice`},
		"two specversions":        {record: rec(nil, minimal("ce_specversion", "1.0")...), reason: `"specversion" is there twice`},
		"two extensions":          {record: rec(nil, minimal("ce_x", "1", "ce_X", "1")...), reason: `"x" is there twice`},
		"two content types": {
			record: rec(nil, minimal("content-type", "a/b", "Content-Type", "a/b")...), reason: "content-type is there twice",
		},
		"two content types, one null": {
			record: rec([]byte(minimalJSON), "content-type", null, "content-type", structured), reason: "content-type is there twice",
		},
		"two structured content types": {
			record: rec([]byte(minimalJSON), "content-type", structured, "content-type", structured), reason: "content-type is there twice",
		},
		"two ce_datacontenttypes": {
			record: rec(nil, minimal("ce_datacontenttype", "a/b", "ce_datacontenttype", "a/b")...), reason: "there twice",
		},
		"content types that contradict": {
			record: rec(nil, minimal("ce_datacontenttype", "a/b", "content-type", "a/c")...), reason: "contradict",
		},
		"no media type":         {record: rec(nil, minimal("content-type", "garbage")...), reason: "is no media type"},
		"an empty content type": {record: rec(nil, minimal("content-type", "")...), reason: "is empty"},
		"space before the structured content type": {
			record: rec([]byte(minimalJSON), minimal("content-type", " "+structured)...), reason: "is no media type",
		},
		"a name that is none":             {record: rec(nil, minimal("ce_my_ext", "1")...), reason: "has a name with"},
		"a prefix alone":                  {record: rec(nil, minimal("ce_", "1")...), reason: "has no name"},
		"a name that only looks the same": {record: rec(nil, minimal("ce_partition\u212aey", "1")...), reason: "has a name with"},
		"a reserved name":                 {record: rec(nil, minimal("ce_data", "1")...), reason: "reserved name"},
		"invalid UTF-8 in a value":        {record: rec(nil, minimal("ce_x", "\xff")...), reason: "UTF-8"},
		"invalid UTF-8 in a name":         {record: rec(nil, minimal("ce_\xff", "1")...), reason: "has a name with"},
		"a control character":             {record: rec(nil, minimal("ce_x", "a\x00b")...), reason: "control character"},
		"a time that is none":             {record: rec(nil, minimal("ce_time", "yesterday")...), reason: "RFC 3339"},
		"a dataschema that is relative":   {record: rec(nil, minimal("ce_dataschema", "a")...), reason: `"dataschema"`},
		"more than 80 attributes":         {record: rec(nil, minimal(manyHeaders(81)...)...), reason: "80 attributes"},
		"more than 128 attributes":        {record: rec(nil, minimal(manyHeaders(130)...)...), reason: "128 headers"},
		"more than 128 attributes, specversion last": {
			record: rec(nil, append(manyHeaders(130), minimal()...)...), reason: "128 headers",
		},
		"a batch":           {record: rec([]byte("[]"), "content-type", "application/cloudevents-batch+json"), reason: "batch"},
		"a batch, odd case": {record: rec([]byte("[]"), minimal("Content-Type", "APPLICATION/CloudEvents-Batch")...), reason: "batch"},
		"Avro":              {record: rec(nil, "content-type", "application/cloudevents+avro"), reason: "other than JSON"},
		"Protobuf, headers or not": {
			record: rec(nil, minimal("content-type", "application/cloudevents+protobuf")...), reason: "other than JSON",
		},
		"a name like JSON": {
			record: rec([]byte(minimalJSON), "content-type", "application/cloudevents+j\u017fon"), reason: "other than JSON",
		},
		"a longer name": {
			record: rec([]byte(minimalJSON), "content-type", "application/cloudevents+jsonx"), reason: "other than JSON",
		},
		"structured, null value":  {record: rec(nil, "content-type", structured), reason: "end"},
		"structured, empty value": {record: rec([]byte{}, "content-type", structured), reason: "end"},
		"structured, no JSON":     {record: rec([]byte("x"), "content-type", structured), reason: "decode"},
		"structured, an array":    {record: rec([]byte("["+minimalJSON+"]"), "content-type", structured), reason: "decode"},
		"structured, UTF-16":      {record: rec([]byte("\xff\xfe{\x00"), "content-type", structured+"; charset=utf-16"), reason: "UTF-8"},
		"structured, 1.0 is missing": {
			record: rec([]byte(`{"id":"1","source":"/s","type":"t"}`), "content-type", structured), reason: "specversion",
		},
		"assumed structured, no JSON": {
			record: rec([]byte("x")), decoder: decoder{mapping: foreign.Structured}, reason: "decode",
		},
		"assumed structured, a tombstone": {
			record: rec(nil), decoder: decoder{mapping: foreign.Structured}, reason: "end",
		},
		"a Mapping refuses": {
			record: rec(nil), reason: "not mine",
			decoder: decoder{mapping: func(foreign.Message) (leat.Event, error) { return leat.Event{}, errors.New("not mine") }},
		},
		"a Mapping returns nothing": {
			record: rec(nil), reason: "zero Event",
			decoder: decoder{mapping: func(foreign.Message) (leat.Event, error) { return leat.Event{}, nil }},
		},
		"a Mapping returns an event without a source": {
			record: rec(nil), reason: `"source" is missing`,
			decoder: decoder{mapping: func(foreign.Message) (leat.Event, error) { return leat.NewEvent("t", &leat.EventOptions{}) }},
		},
		"a Mapping returns an invalid event": {
			record: rec(nil), reason: "UTF-8",
			decoder: decoder{mapping: func(m foreign.Message) (leat.Event, error) {
				e, err := mapMinimal(m)
				return e.WithSubject("\xff"), err
			}},
		},
		"a Mapping panics": {
			record: rec(nil), reason: "the Mapping panicked: runtime error",
			decoder: decoder{mapping: func(m foreign.Message) (leat.Event, error) { return leat.Event{}, errors.New(string(m.Body[:1])) }},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, key := range [][]byte{nil, {}, []byte("k\xff")} {
				c.record.Key = key
				var d leat.Delivery
				c.decoder.decode(c.record, &d)
				require.NotNil(t, d.Malformed, "read as %v", d.Event)
				assert.True(t, d.Event.IsZero())
				require.ErrorContains(t, d.Malformed.Reason, c.reason)
				checkRaw(t, c.record, d.Malformed)
				if c.decoder.mapping == nil {
					checkMapped(t, c.record, d.Malformed.Reason)
				}
			}
		})
	}
}

// checkRaw checks that m is r, null and empty told apart.
func checkRaw(t testing.TB, r *kgo.Record, m *leat.Malformed) {
	t.Helper()
	assert.Equal(t, r.Key, m.Key)
	assert.Equal(t, r.Value, m.Body)
	require.Len(t, m.Headers, len(r.Headers))
	for i, h := range r.Headers {
		assert.Equal(t, leat.Header{Name: h.Key, Value: h.Value}, m.Headers[i])
	}
}

// TestMapping: a Mapping gets what cannot be read, with the reason, and nothing else.
func TestMapping(t *testing.T) {
	t.Parallel()
	var got []foreign.Message
	c := decoder{mapping: func(m foreign.Message) (leat.Event, error) {
		m.Headers = slices.Clone(m.Headers)
		got = append(got, m)
		return mapMinimal(m)
	}}
	plain := rec([]byte("x"), "b", "1", "a", null, "b", "2", "Content-Type", "text/plain")
	plain.Key, plain.Timestamp = []byte{}, time.Unix(1, 0)
	broken := rec(nil, minimal("ce_id", "2")...)
	structured := rec([]byte(minimalJSON), "content-type", "application/cloudevents+json")
	for _, r := range []*kgo.Record{plain, rec(nil, minimal()...), structured, broken} {
		var d leat.Delivery
		c.decode(r, &d)
		require.Nil(t, d.Malformed)
		assert.Equal(t, r == plain || r == broken, d.Event.Type() == "mapped")
	}
	require.Len(t, got, 2, "only what cannot be read is mapped")
	require.ErrorIs(t, got[0].Err, foreign.ErrPlain)
	require.NotErrorIs(t, got[1].Err, foreign.ErrPlain)
	got[0].Err = nil
	assert.Equal(t, foreign.Message{
		Topic: "topic", ID: "topic/3/4", Position: leat.Position{Partition: 3, Offset: 4}, Time: time.Unix(1, 0), Key: []byte{},
		Body: []byte("x"), ContentType: "text/plain", Headers: []leat.Header{
			{Name: "b", Value: []byte("1")}, {Name: "a"}, {Name: "b", Value: []byte("2")}, {Name: "Content-Type", Value: []byte("text/plain")},
		},
	}, got[0])
}

// TestPlainWithTwoContentTypes: what claims nothing is plain, whatever else is odd about it.
func TestPlainWithTwoContentTypes(t *testing.T) {
	t.Parallel()
	_, err := (&decoder{}).event(rec(nil, "content-type", "a/b", "content-type", "a/c"))
	require.ErrorIs(t, err, foreign.ErrPlain)
	_, err = (&decoder{}).event(rec(nil, "content-type", "a/b", "content-type", "application/cloudevents"))
	require.NotErrorIs(t, err, foreign.ErrPlain)
}

// checkMapped checks that a Mapping gets a record that is refused for a reason, and that the reason
// stays when the Mapping refuses it too.
func checkMapped(t testing.TB, r *kgo.Record, reason error) {
	t.Helper()
	own := errors.New("the Mapping's own")
	var got foreign.Message
	for _, result := range []error{nil, own} {
		c := decoder{mapping: func(m foreign.Message) (leat.Event, error) {
			m.Headers = slices.Clone(m.Headers)
			got = m
			e, _ := mapMinimal(m)
			return e, result
		}}
		var d leat.Delivery
		c.decode(r, &d)
		require.EqualError(t, got.Err, reason.Error())
		checkRaw(t, r, &leat.Malformed{Headers: got.Headers, Key: got.Key, Body: got.Body})
		if result == nil {
			require.Nil(t, d.Malformed)
			assert.Equal(t, "mapped", d.Event.Type())
			continue
		}
		require.NotNil(t, d.Malformed)
		require.ErrorIs(t, d.Malformed.Reason, got.Err)
		require.ErrorIs(t, d.Malformed.Reason, own)
		assert.Equal(t, leat.CodeOf(reason), leat.CodeOf(d.Malformed.Reason))
		checkRaw(t, r, d.Malformed)
	}
}

// TestHostileRecords: what no event can be is malformed, as it came, at a price that follows its
// size.
func TestHostileRecords(t *testing.T) {
	t.Parallel()
	mega := strings.Repeat("x", 1<<20)
	for name, headers := range map[string][]string{
		"empty headers":        slices.Repeat([]string{"", null}, 300_000),
		"empty attributes":     append(minimal(), slices.Repeat([]string{"ce_", ""}, 200_000)...),
		"null attributes":      append(minimal(), slices.Repeat([]string{"CE_A", null}, 200_000)...),
		"a value of 1 MiB":     minimal("ce_x", mega),
		"a name of 1 MiB":      minimal("CE_"+strings.ToUpper(mega), ""),
		"many of 10 KiB":       minimal(slices.Repeat([]string{"ce_x", mega[:10<<10]}, 100)...),
		"a content type":       minimal("content-type", "a/b;"+strings.Repeat(" ;", 1<<19)),
		"a structured one":     minimal("content-type", "application/cloudevents+"+mega),
		"a specversion":        {"ce_specversion", mega},
		"a name of other kind": minimal("ce_"+strings.Repeat("\xff\u212a", 1<<18), "\xff"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rec([]byte("\xff"), headers...)
			var c decoder
			var d leat.Delivery
			c.decode(r, &d)
			require.NotNil(t, d.Malformed)
			assert.Less(t, len(d.Malformed.Reason.Error()), 1<<10, "the reason is not as long as the record")
			assert.Len(t, d.Malformed.Headers, len(r.Headers))
			p := leat.Poisoned{Malformed: d.Malformed, Reason: d.Malformed.Reason, Info: leat.Info{Topic: "t", Group: "g"}}
			e, err := p.AsEvent()
			if err != nil { // what is as large as an event, base64 makes larger
				assert.Equal(t, leat.CodeTooLarge, leat.CodeOf(err))
				return
			}
			require.NoError(t, e.Validate())
		})
	}
	assert.Greater(t, sizeOf(rec(nil, slices.Repeat([]string{"", null}, 300_000)...)), 10<<20, "empty headers count for what they take up")
}

func TestHugeValue(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1<<20 - 100, 1 << 20, 2 << 20} {
		var c decoder
		var d leat.Delivery
		r := rec(make([]byte, n), minimal()...)
		c.decode(r, &d)
		if n < 1<<20 {
			assert.Len(t, d.Event.DataString(), n)
			continue
		}
		require.NotNil(t, d.Malformed)
		assert.Equal(t, leat.CodeTooLarge, leat.CodeOf(d.Malformed.Reason))
		checkRaw(t, r, d.Malformed)
	}
}
