package kafka

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

var newEvent = brokertest.Event

// newEncoder returns an encoder with room for the events.
func newEncoder(events []leat.Event, structured, keyed bool) encoder {
	var n encoder
	n.begin(events, structured, keyed, nil)
	return n
}

// header is a record's header as a test writes it down.
type header struct{ name, value string }

func headersIn(r *kgo.Record) (headers []header) {
	for _, h := range r.Headers {
		headers = append(headers, header{h.Key, string(h.Value)})
	}
	return headers
}

func encodeOne(t testing.TB, e leat.Event, structured, keyed bool) *kgo.Record {
	t.Helper()
	r := &kgo.Record{}
	n := newEncoder([]leat.Event{e}, structured, keyed)
	require.NoError(t, n.encode(r, e))
	return r
}

// TestBinaryMode holds records against the Kafka protocol binding 1.0.2, §3.1 and §3.2.
func TestBinaryMode(t *testing.T) {
	t.Parallel()
	required := []header{
		{"ce_specversion", "1.0"}, {"ce_id", "1"}, {"ce_source", "/s"}, {"ce_type", "t"}, {"ce_time", "2026-01-02T03:04:05.000000006Z"},
	}
	for name, c := range map[string]struct {
		options leat.EventOptions
		headers []header // after the required ones
		key     string
		value   []byte
	}{
		"no data is a tombstone":           {options: leat.EventOptions{}, value: nil},
		"empty data is an empty value":     {options: leat.EventOptions{Data: []byte{}}, value: []byte{}},
		"data is the value, byte for byte": {options: leat.EventOptions{Data: []byte("\x00\xff {}\n")}, value: []byte("\x00\xff {}\n")},
		"datacontenttype is the header content-type": {
			options: leat.EventOptions{DataContentType: `Application/X+JSON; a="b c"`, Data: []byte("{}")},
			headers: []header{{"content-type", `Application/X+JSON; a="b c"`}}, value: []byte("{}"),
		},
		"all types, as canonical strings": {
			options: leat.EventOptions{
				Subject: "s", DataSchema: "urn:x",
				Extensions: map[string]any{
					"abool": true, "bint": int32(-2147483648), "cbinary": []byte{0xff, 0}, "duri": leat.URI("HTTP://A/%7e"),
					"euriref": leat.URIRef("../a?b"), "ftime": time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600)), "gstring": "x", "hempty": "",
				},
			},
			headers: []header{
				{"ce_dataschema", "urn:x"}, {"ce_subject", "s"},
				{"ce_abool", "true"}, {"ce_bint", "-2147483648"}, {"ce_cbinary", "/wA="}, {"ce_duri", "HTTP://A/%7e"}, {"ce_euriref", "../a?b"},
				{"ce_ftime", "2026-01-02T03:04:05+01:00"}, {"ce_gstring", "x"}, {"ce_hempty", ""},
			},
		},
		"any Unicode, without percent-encoding": {
			options: leat.EventOptions{Subject: "Köln %20 \"日本\" 🚀\u200f,;"},
			headers: []header{{"ce_subject", "Köln %20 \"日本\" 🚀\u200f,;"}},
		},
		"the key is the record's and stays in the event": {
			options: leat.EventOptions{Key: "ключ"}, headers: []header{{"ce_partitionkey", "ключ"}}, key: "ключ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEvent(t, c.options)
			r := encodeOne(t, e, false, true)
			assert.Equal(t, append(slices.Clip(required), c.headers...), headersIn(r))
			assert.Equal(t, c.value, r.Value, "nil and empty are two things")
			assert.Equal(t, c.key, string(r.Key))
			assert.Equal(t, c.key == "", r.Key == nil, "an event without a key has a null key")

			copied := newEncoder([]leat.Event{e}, false, true)
			copied.copies = true
			var own kgo.Record
			require.NoError(t, copied.encode(&own, e))
			assert.Equal(t, *r, own, "a record that shares nothing with its event")

			unkeyed := encodeOne(t, e, false, false)
			assert.Nil(t, unkeyed.Key, "NoRecordKey")
			assert.Equal(t, headersIn(r), headersIn(unkeyed), "and the attribute stays")
		})
	}
}

// TestStructuredMode holds records against §3.3.
func TestStructuredMode(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		options leat.EventOptions
		value   string
	}{
		"no data is no tombstone": {leat.EventOptions{}, ""},
		"JSON":                    {leat.EventOptions{Key: "k", DataContentType: "application/json", Data: []byte(`{"a":1}`)}, `"data":{"a":1}`},
		"text":                    {leat.EventOptions{DataContentType: "text/plain", Data: []byte("ü")}, `"data":"ü"`},
		"binary":                  {leat.EventOptions{Key: "k", DataContentType: "a/b", Data: []byte{0xff}}, `"data_base64":"/w=="`},
		"typed extension":         {leat.EventOptions{Extensions: map[string]any{"a": true, "b": 7}}, `"a":true,"b":7`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEvent(t, c.options)
			r := encodeOne(t, e, true, true)
			assert.Equal(t, []header{{"content-type", "application/cloudevents+json; charset=UTF-8"}}, headersIn(r))
			assert.True(t, json.Valid(r.Value))
			assert.Contains(t, string(r.Value), c.value)
			assert.Equal(t, e.Key(), string(r.Key))
			assert.Equal(t, e.Key() == "", r.Key == nil)
			assert.Nil(t, encodeOne(t, e, true, false).Key, "NoRecordKey")
		})
	}
	r := &kgo.Record{}
	invalid := newEvent(t, leat.EventOptions{}).WithSource("")
	n := newEncoder([]leat.Event{invalid}, true, true)
	err := n.encode(r, invalid)
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
}

// TestEventAsData: in binary mode, by its content type, the record would be read as the event in
// its data (§3.1).
func TestEventAsData(t *testing.T) {
	t.Parallel()
	for _, contentType := range []string{"application/cloudevents+json", "Application/CloudEvents-batch+json; charset=utf-8"} {
		e := newEvent(t, leat.EventOptions{
			ID: "outer", Key: "k", DataContentType: contentType, Data: []byte(`{"specversion":"1.0","id":"inner","source":"/s","type":"t"}`),
		})
		exported, err := EncodeRecord(e)
		require.NoError(t, err)
		many := newEncoder([]leat.Event{newEvent(t, leat.EventOptions{}), e}, false, true)
		var first, second kgo.Record
		require.NoError(t, many.encode(&first, newEvent(t, leat.EventOptions{})))
		require.NoError(t, many.encode(&second, e))
		for _, r := range []*kgo.Record{exported, &second} {
			var d leat.Delivery
			new(decoder).decode(r, &d)
			require.Nil(t, d.Malformed)
			assert.True(t, e.Equal(d.Event), "got %v", d.Event)
			assert.Equal(t, "k", string(r.Key))
		}
	}
}

// TestOneEncoderForManyEvents: records stay as they are when the encoder's pieces outgrow their
// places, and share no room to grow into.
func TestOneEncoderForManyEvents(t *testing.T) {
	t.Parallel()
	for _, structured := range []bool{false, true} {
		few := []leat.Event{newEvent(t, leat.EventOptions{})}
		var many []leat.Event
		extensions := map[string]any{}
		for i := range 40 {
			extensions["ext"+string(rune('a'+i%26))+string(rune('a'+i/26))] = i
			many = append(many, newEvent(t, leat.EventOptions{Key: "k", Extensions: extensions, Data: []byte{byte(i)}}))
		}
		n := newEncoder(few, structured, true) // too small for all that follows
		records := make([]kgo.Record, len(many))
		for i, e := range many {
			require.NoError(t, n.encode(&records[i], e))
		}
		for i := range records {
			r := &records[i]
			assert.Len(t, r.Headers, cap(r.Headers))
			assert.Len(t, r.Value, cap(r.Value))
			for j := range r.Headers {
				if !structured {
					assert.Len(t, r.Headers[j].Value, cap(r.Headers[j].Value))
				}
			}
			var c decoder
			e, err := c.event(r)
			require.NoError(t, err)
			assert.True(t, e.Equal(many[i]), "event %d", i)
		}
	}
}

// TestPartitionIsThatOfTheJavaClient compares the partitioner with murmur2 of
// org.apache.kafka.common.utils, whose own test has these values.
func TestPartitionIsThatOfTheJavaClient(t *testing.T) {
	t.Parallel()
	b, err := New(&Options{Hosts: []string{"127.0.0.1:1"}})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.Close()) })
	p := b.Client().OptValue(kgo.RecordPartitioner).(kgo.Partitioner).ForTopic("t")
	pick := p.(kgo.TopicBackupPartitioner)
	for key, hash := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536, "a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971, "abc": 479470107,
	} {
		for _, partitions := range []int{1, 7, 12, 1 << 30} {
			r := encodeOne(t, newEvent(t, leat.EventOptions{Key: key}), false, true)
			want := int(hash&0x7fffffff) % partitions // BuiltInPartitioner.partitionForKey
			assert.Equal(t, want, pick.PartitionByBackup(r, partitions, nil), "key %q, %d partitions", key, partitions)
			assert.True(t, p.RequiresConsistency(r), "a key keeps its partition while that cannot be written to")
		}
	}
}
