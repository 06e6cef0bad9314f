package foreign_test

import (
	"strings"
	"testing"

	"github.com/leatgo/leat"
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
	structured := func(body string) foreign.Message {
		return foreign.Message{Err: errRefused, ContentType: "application/cloudevents+json", Body: []byte(body)}
	}
	withSource := func(source string) foreign.Message {
		return structured(`{"specversion":"1.0","id":"1","source":"` + source + `","type":"t"}`)
	}
	encoded := func(encoding string) foreign.Message {
		return structured(`{"specversion":"0.3","id":"1","source":"/s","type":"t","data":"?","datacontentencoding":"` + encoding + `"}`)
	}
	beside := func(contentType, body string) foreign.Message {
		m := kafka.inHeaders("content-type", contentType)
		m.Body = []byte(body)
		return m
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
		"JSON after the event":          structured(string(inJSON(`"subject":""`).Body) + "{}"),
		"a batch without an event":      {Err: errRefused, ContentType: "application/cloudevents-batch+json", Body: []byte("[]")},
		"an encoding that 0.3 has not":  encoded("gzip"),
		"an encoding that does not fit": encoded("base64"),
		"a structured body that is cut": beside("application/cloudevents+json", `{"specversion":`),
		"a batch beside headers":        beside("application/cloudevents-batch+json", "[1,2]"),
		"Avro beside headers":           beside("application/cloudevents+avro", "1"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := foreign.Lenient(nil)(m)
			require.ErrorIs(t, err, errRefused)
			assert.True(t, e.IsZero())
			assert.NotContains(t, err.Error(), "\n")
		})
	}
}

// TestPlainMessages are not read unless they are CloudEvents beyond doubt. The error is the reason
// itself, so that First asks the next one.
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
