package foreign_test

import (
	"strings"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/foreign"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

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

	for size, fits := range map[int]bool{3 << 10: true, 4 << 10: false} {
		m = spellings()["Kafka"].inHeaders("subject", "", "leatrepaired", strings.Repeat("x", size))
		e, err = foreign.Lenient(nil)(m)
		assert.Equal(t, fits, err == nil, "%v", err)
		assert.Equal(t, fits, strings.Contains(leatRepaired(e), strings.Repeat("x", size)), "a list from elsewhere is whole")
	}
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

// TestOtherSpellingsOnKafka are headers like others where Kafka's own has the event, since the
// adapter does not read them.
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
	m.Headers = append(m.Headers, leat.Header{Name: "content-type", Value: []byte("text/plain")},
		leat.Header{Name: "Content-Type", Value: []byte("TEXT/plain")})
	m.ContentType = "text/plain"
	checkRepaired(t, m, "datacontenttype", "text/plain", "leatrepaired", `datacontenttype: content-type is there twice (was "TEXT/plain")`)
	m.Headers[5].Value = []byte("text/html")
	_, err := foreign.Lenient(nil)(m)
	require.ErrorIs(t, err, errRefused)
	m.Properties = map[string]string{} // on RabbitMQ, they are headers like others
	checkRepaired(t, m, "datacontenttype", "text/plain", "leatrepaired", `message: read although it was refused`)
}
