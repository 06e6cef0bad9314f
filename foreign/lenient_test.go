package foreign_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/foreign"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestWhatCannotBeRead stays malformed, with the reader's reason.
func TestWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	kafka, rabbit := spellings()["Kafka"], spellings()["Knative"]
	many := make([]string, 0, 200)
	for range 100 {
		many = append(many, "a"+strings.Repeat("b", len(many)), "x")
	}
	compressed := rabbit.inHeaders("subject", "")
	compressed.Properties["content_encoding"] = "gzip:UTF-8"
	amqp10 := rabbit.inHeaders("subject", "")
	amqp10.Properties["type"] = "amqp-1.0"
	withSource := func(source string) foreign.Message {
		return foreign.Message{Err: errRefused, ContentType: "application/cloudevents+json",
			Body: []byte(`{"specversion":"1.0","id":"1","source":"` + source + `","type":"t"}`)}
	}
	for name, m := range map[string]foreign.Message{
		"half of one in the source":     withSource(`/a\ud800 b`),
		"a source that is not UTF-8":    withSource("/a\xff b"),
		"nothing":                       {Err: errRefused},
		"a compressed body":             compressed,
		"a body that AMQP 1.0 encodes":  amqp10,
		"too many attributes":           kafka.inHeaders(many...),
		"a value that is not UTF-8":     kafka.inHeaders("ext", "\xff"),
		"a control character":           kafka.inHeaders("ext", "a\nb"),
		"a name of other letters":       kafka.inHeaders("größe", "x"),
		"a name that is too long":       kafka.inHeaders(strings.Repeat("a-", 129), "x"),
		"a reserved name":               kafka.inHeaders("leat-reason", "x"),
		"a reserved name, capital":      inJSON(`"leatReason":"x"`),
		"the name data":                 kafka.inHeaders("data", "x"),
		"two values for one name":       kafka.inHeaders("my-ext", "x", "myext", "y"),
		"two ids":                       kafka.inHeaders("id", "2"),
		"no media type":                 kafka.inHeaders("content-type", "json"),
		"an empty id":                   inJSON(`"id":""`),
		"an object as the source":       inJSON(`"Source":{}`),
		"an object as the subject":      inJSON(`"subject":{}`),
		"half of a surrogate pair":      inJSON(`"subject":"\ud800","time":5000000000`),
		"half of one in an object":      inJSON(`"o":{"a":1},"subject":"\udfff"`),
		"two kinds for one name":        inJSON(`"ext":5,"ext":"5"`),
		"data twice":                    inJSON(`"data":1,"data":1`),
		"data in two ways":              inJSON(`"data":1,"data_base64":"AA=="`),
		"data that is not base64":       inJSON(`"data_base64":"?"`),
		"dataschema and schemaurl":      inJSON(`"dataschema":"/a","schemaurl":"/b"`),
		"JSON that is not UTF-8":        inJSON("\"a\":\"\xff\""),
		"JSON after the event":          {Err: errRefused, ContentType: "application/cloudevents+json", Body: append(inJSON(`"subject":""`).Body, "{}"...)},
		"a batch without an event":      {Err: errRefused, ContentType: "application/cloudevents-batch+json", Body: []byte("[]")},
		"an encoding that 0.3 has not":  {Err: errRefused, ContentType: "application/cloudevents+json", Body: []byte(`{"specversion":"0.3","id":"1","source":"/s","type":"t","datacontentencoding":"gzip"}`)},
		"an encoding that does not fit": {Err: errRefused, ContentType: "application/cloudevents+json", Body: []byte(`{"specversion":"0.3","id":"1","source":"/s","type":"t","datacontentencoding":"base64","data":"?"}`)},
		"a structured body that is cut": {Err: errRefused, ContentType: "application/cloudevents+json", Body: []byte(`{"specversion":`), Headers: kafka.inHeaders().Headers},
		"a batch beside headers":        {Err: errRefused, ContentType: "application/cloudevents-batch+json", Body: []byte(`[1,2]`), Headers: kafka.inHeaders().Headers},
		"Avro beside headers":           {Err: errRefused, ContentType: "application/cloudevents+avro", Body: []byte(`1`), Headers: kafka.inHeaders().Headers},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := foreign.Lenient(nil)(m)
			require.ErrorIs(t, err, errRefused)
			assert.True(t, e.IsZero())
			assert.NotContains(t, err.Error(), "\n")
		})
	}
}

// TestPlainMessages are not read unless they are CloudEvents beyond doubt. The error is the reason itself, so that First asks the next one.
func TestPlainMessages(t *testing.T) {
	t.Parallel()
	event := `{"specversion":"1.0","id":"1","source":"/s","type":"t","data":1}`
	for body, want := range map[string]bool{
		event: true, " " + event + "\n": true, "\ufeff" + event: true, "[" + event + "]": true,
		"[" + event + "," + event + "]":                                false,
		`{"specversion":null,"id":"1","source":"/s","type":"t"}`:       false,
		`{"SpecVersion":"1.0","Id":"1","Source":"/s","Type":"t"}`:      false,
		`{"id":"1","source":"/s","type":"t"}`:                          false,
		`{"event":` + event + `}`:                                      false,
		event + event:                                                  false,
		`{"specversion":"1.0","id":"1","source":"/s","type":"t"`:       false,
		`{"specversio\u006e":"1.0","id":"1","source":"/s","type":"t"}`: false,
		`"text"`:                  false,
		"":                        false,
		strings.Repeat("[", 1000): false,
		`{"specversion":"1.0","id":"1","source":"/s","type":"t","a":1}`: true,
	} {
		for _, contentType := range []string{"", "application/json", "text/plain", "application/octet-stream"} {
			m := foreign.Message{Err: foreign.ErrPlain, Body: []byte(body), ContentType: contentType}
			e, err := foreign.Lenient(nil)(m)
			assert.Equal(t, want, err == nil, "%s as %q: %v", body, contentType, err)
			if want {
				assert.Contains(t, leatRepaired(e), "message: an event in JSON with")
			} else {
				assert.Equal(t, foreign.ErrPlain, err, "by itself")
			}
		}
	}
	incomplete := foreign.Message{Err: foreign.ErrPlain, Headers: []leat.Header{{Name: "ce-specversion", Value: []byte("1.0")}}}
	_, err := foreign.Lenient(nil)(incomplete)
	assert.Equal(t, foreign.ErrPlain, err)
}

// TestTombstones are Kafka records with a key and a null value.
func TestTombstones(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.FixedZone("", 3600))
	m := foreign.Message{Topic: "shop orders", Position: leat.Position{Partition: 2, Offset: 7}, Time: at, Key: []byte(`{"pk":1}`), Err: foreign.ErrPlain}
	e, err := foreign.Lenient(nil)(m)
	require.NoError(t, err)
	assert.Equal(t, "leat.tombstone.v1", e.Type())
	assert.Equal(t, "2/7", e.ID())
	assert.Equal(t, "/leat/shop%20orders", e.Source())
	assert.Equal(t, "2026-01-02T02:04:05.006Z", e.TimeString())
	assert.Equal(t, `{"pk":1}`, e.Key())
	assert.False(t, e.HasData())
	assert.Equal(t, "message: a tombstone: a key without a value", leatRepaired(e))

	m.Key = []byte("\x00\x01")
	e, err = foreign.Lenient(&foreign.LenientOptions{Tombstone: "com.example.deleted"})(m)
	require.NoError(t, err)
	assert.Equal(t, "com.example.deleted", e.Type())
	assert.Empty(t, e.Key())
	assert.Equal(t, `message: a tombstone: a key without a value; partitionkey: left out, as the key is not a text (was "\x00\x01")`, leatRepaired(e))

	for name, change := range map[string]func(m *foreign.Message){
		"no key":         func(m *foreign.Message) { m.Key = nil },
		"an empty value": func(m *foreign.Message) { m.Body = []byte{} },
		"an attribute":   func(m *foreign.Message) { m.Headers = []leat.Header{{Name: "ce_id", Value: []byte("1")}} },
		"RabbitMQ":       func(m *foreign.Message) { m.Properties = map[string]string{} },
		"a claim":        func(m *foreign.Message) { m.Err = errRefused },
	} {
		not := m
		change(&not)
		_, err := foreign.Lenient(nil)(not)
		assert.ErrorIs(t, err, not.Err, name)
	}
}

// TestTheListIsWhole or there is no event: no change is made that it does not name.
func TestTheListIsWhole(t *testing.T) {
	t.Parallel()
	e, err := foreign.Lenient(nil)(inJSON(`"dataschema":"#","Source":"/s","subject":""` + strings.Repeat(" ", 9000)))
	require.NoError(t, err)
	assert.LessOrEqual(t, len(leatRepaired(e)), 4<<10)
	m := spellings()["Kafka"].inHeaders()
	m.Headers[2].Value = []byte("/ " + strings.Repeat("a", 4<<10))
	_, err = foreign.Lenient(nil)(m)
	require.ErrorIs(t, err, errRefused)
	assert.ErrorContains(t, err, "more than a list of 4 KiB can name")

	long := errors.New(strings.Repeat("because ", 1000))
	m = spellings()["Kafka"].inHeaders("leatrepaired", strings.Repeat("x", 5000))
	m.Err = long
	e, err = foreign.Lenient(nil)(m)
	require.NoError(t, err)
	assert.LessOrEqual(t, len(leatRepaired(e)), 1<<10, "reasons and lists from elsewhere are cut")
}

// TestWhatIsInOrderStays: without a reason and a fault there is nothing to say.
func TestWhatIsInOrderStays(t *testing.T) {
	t.Parallel()
	m := spellings()["Kafka"].inHeaders("leatrepaired", "elsewhere", "subject", "s")
	m.Err = nil
	e, err := foreign.Lenient(nil)(m)
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"leatrepaired": "elsewhere", "subject": "s"}, attributesOf(e))
	_, err = foreign.Lenient(nil)(foreign.Message{})
	assert.ErrorContains(t, err, "nothing in the message is a CloudEvent")
}

// TestEmptyDataOfRabbitMQ is told from none by a header of the adapter's.
func TestEmptyDataOfRabbitMQ(t *testing.T) {
	t.Parallel()
	m := spellings()["Knative"].inHeaders("subject", "")
	m.Body = nil
	e, err := foreign.Lenient(nil)(m)
	require.NoError(t, err)
	assert.False(t, e.HasData())
	m.Headers = append(m.Headers, leat.Header{Name: "leat-data", Value: []byte("empty")})
	e, err = foreign.Lenient(nil)(m)
	require.NoError(t, err)
	assert.True(t, e.HasData())
}

// TestStructuredContentTypeBesideHeaders: the headers are the event where the body cannot be one.
func TestStructuredContentTypeBesideHeaders(t *testing.T) {
	t.Parallel()
	for body, data := range map[string]bool{
		`{"a":1}`: true, "": true, " ": true, "text": true, "5": true, "\x00\x01": true, "{}": true,
		`[{"a":1}]`: false, `{"a":1`: false, `{"a":1}{}`: false, `{"specversion":"1.0"}`: false, `{"SpecVersion":"1.0"}`: false,
	} {
		m := spellings()["Knative"].inHeaders("content-type", "application/cloudevents+json; charset=utf-8")
		m.Body = []byte(body)
		e, err := foreign.Lenient(nil)(m)
		assert.Equal(t, data, err == nil, body)
		if data {
			assert.Equal(t, body, e.DataString())
			assert.Empty(t, e.DataContentType())
		}
	}
}

// TestOtherSpellingsOnKafka are headers like others where Kafka's own has the event, since the adapter does not read them.
func TestOtherSpellingsOnKafka(t *testing.T) {
	t.Parallel()
	m := spellings()["Kafka"].inHeaders("subject", "")
	m.Headers = append(m.Headers, leat.Header{Name: "cloudEvents:id", Value: []byte("2")}, leat.Header{Name: "ce-ext", Value: []byte("x")},
		leat.Header{Name: "leat-data", Value: []byte("empty")})
	m.Body = nil
	e := checkRepaired(t, m, "leatrepaired", "subject: empty, removed")
	assert.False(t, e.HasData())
}

// TestQuotesAroundWhatIsNotUTF8 stay, so that no byte is replaced.
func TestQuotesAroundWhatIsNotUTF8(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{"\"/a\xff\"": "%22/a%FF%22", `"/\ud800"`: "%22/%5Cud800%22"} {
		m := spellings()["Kafka"].inHeaders()
		m.Headers[2].Value = []byte(source)
		e, err := foreign.Lenient(nil)(m)
		require.NoError(t, err)
		assert.Equal(t, want, e.Source())
	}
}

// TestForwarding keeps the list, since the next consumer has to know as well.
func TestForwarding(t *testing.T) {
	t.Parallel()
	e, err := foreign.Lenient(nil)(spellings()["Kafka"].inHeaders("subject", "", "time", "1732788930.5"))
	require.NoError(t, err)
	b := memory.New(nil)
	t.Cleanup(func() { _ = b.Close() })
	sub := leat.Subscription{Topic: "next", Group: "g"}
	require.NoError(t, leat.Declare(t.Context(), b, sub))
	s, err := b.Subscribe(t.Context(), sub)
	require.NoError(t, err)
	require.NoError(t, leat.NewProducer(b, nil).Publish(t.Context(), sub.Topic, e))
	var d [1]leat.Delivery
	_, err = s.Receive(t.Context(), d[:])
	require.NoError(t, err)
	assert.True(t, d[0].Event.Equal(e))
	assert.NotEmpty(t, leatRepaired(d[0].Event))
	require.NoError(t, s.Close(t.Context()))
}

// TestSpringJavaTypes tell which values have JSON quotes.
func TestSpringJavaTypes(t *testing.T) {
	t.Parallel()
	m := spellings()["Kafka"].inHeaders("subject", `"x"`, "when", `"y"`, "other", `"z"`)
	m.Headers = append(m.Headers, leat.Header{Name: "spring_json_header_types",
		Value: []byte(`{"ce_subject":"java.lang.String","ce_When":"java.time.Instant"}`)})
	checkRepaired(t, m, "subject", `"x"`, "when", "y", "other", `"z"`, "leatrepaired", `when: JSON quotes removed (was "\"y\"")`)
	m.Headers[0].Value = []byte(`"1.0"`) // then all are quoted
	checkRepaired(t, m, "subject", "x", "when", "y", "other", "z", "leatrepaired", `specversion: JSON quotes removed (was "\"1.0\""); `+
		`subject: JSON quotes removed (was "\"x\""); when: JSON quotes removed (was "\"y\""); other: JSON quotes removed (was "\"z\"")`)
}

// TestSeveralContentTypes of a Kafka record must say the same.
func TestSeveralContentTypes(t *testing.T) {
	t.Parallel()
	m := spellings()["Kafka"].inHeaders()
	m.Headers = append(m.Headers, leat.Header{Name: "content-type", Value: []byte("text/plain")}, leat.Header{Name: "Content-Type", Value: []byte("TEXT/plain")})
	m.ContentType = "text/plain"
	checkRepaired(t, m, "datacontenttype", "text/plain", "leatrepaired", `datacontenttype: content-type is there twice (was "TEXT/plain")`)
	m.Headers[5].Value = []byte("text/html")
	_, err := foreign.Lenient(nil)(m)
	require.ErrorIs(t, err, errRefused)
	m.Properties = map[string]string{} // on RabbitMQ, they are headers like others
	checkRepaired(t, m, "datacontenttype", "text/plain", "leatrepaired", `message: read although it was refused (was "the reader's reason")`)
}
