package foreign_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/foreign"
	"github.com/leatgo/leat/internal/foreigncases"
	"github.com/leatgo/leat/internal/mode"
)

// linesOf writes headers as lines of "name=value", so that the fuzzer can move, repeat and cut
// them; null ones are names alone.
func linesOf(headers []leat.Header) []byte {
	var b bytes.Buffer
	for i, h := range headers {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(h.Name)
		if h.Value != nil {
			b.WriteByte('=')
			b.Write(h.Value)
		}
	}
	return b.Bytes()
}

func headersFrom(lines []byte) (headers []leat.Header) {
	if len(lines) == 0 {
		return nil
	}
	for line := range bytes.SplitSeq(lines, []byte("\n")) {
		name, value, ok := bytes.Cut(line, []byte("="))
		if ok && value == nil {
			value = []byte{}
		}
		headers = append(headers, leat.Header{Name: string(name), Value: value})
	}
	return headers
}

// FuzzLenient reads messages of any kind. Lenient never panics, returns events that are valid and
// says in them what it did, and reads what needs no repair as the strict reader does.
func FuzzLenient(f *testing.F) {
	for _, c := range foreigncases.All(f) {
		f.Add(linesOf(c.Headers), c.ContentType, c.Body, c.Key, c.Transport == foreigncases.RabbitMQ, c.Body != nil)
	}
	f.Fuzz(func(t *testing.T, lines []byte, contentType string, body, key []byte, rabbit, hasBody bool) {
		message := func(err error) foreign.Message {
			m := foreign.Message{Topic: "t", Headers: headersFrom(bytes.Clone(lines)), ContentType: contentType, Key: bytes.Clone(key),
				Err: err}
			if hasBody {
				m.Body = append([]byte{}, body...)
			}
			if rabbit {
				m.Properties = map[string]string{"exchange": ""}
			}
			return m
		}
		m := message(errRefused)
		e, err := foreign.Lenient(nil)(m)
		checkUnchanged(t, m, message(errRefused))
		if err != nil {
			checkRefused(t, e, err)
		} else {
			checkEvent(t, e)
		}
		want, refused := strict(message(nil))
		spring := func(h leat.Header) bool { return mode.Lower(h.Name) == "spring_json_header_types" }
		if refused != nil || slices.ContainsFunc(m.Headers, spring) {
			return
		}
		if got, err := foreign.Lenient(nil)(message(nil)); err != nil || !got.Equal(want) {
			t.Fatalf("an event that needs no repair is another: %v\n%v\n%v", err, got, want)
		}
	})
}

func checkUnchanged(t *testing.T, m, was foreign.Message) {
	t.Helper()
	same := func(a, b leat.Header) bool { return a.Name == b.Name && bytes.Equal(a.Value, b.Value) }
	if !bytes.Equal(m.Body, was.Body) || !bytes.Equal(m.Key, was.Key) || !slices.EqualFunc(m.Headers, was.Headers, same) {
		t.Fatal("Lenient changed the message")
	}
}

func checkRefused(t *testing.T, e leat.Event, err error) {
	t.Helper()
	if !e.IsZero() || err.Error()[:len(errRefused.Error())] != errRefused.Error() {
		t.Fatalf("the reason is lost: %v, %v", err, e)
	}
}

// checkEvent checks an event that Lenient has made: it is valid, says what was done, and is read as
// it is in both modes.
func checkEvent(t *testing.T, e leat.Event) {
	t.Helper()
	if err := e.Validate(); err != nil {
		t.Fatal(err)
	}
	if list := leatRepaired(e); list == "" || len(list) > 4<<10 {
		t.Fatalf("leatrepaired has %d bytes", len(list))
	}
	if mode.HasPrefix(e.DataContentType(), mode.CloudEvents) {
		return // in binary mode it would be taken for structured mode
	}
	m := foreign.Message{Body: e.Data()}
	for name, value := range e.Attributes() {
		if name == "datacontenttype" {
			m.ContentType = value
			continue
		}
		m.Headers = append(m.Headers, leat.Header{Name: "ce_" + name, Value: []byte(value)})
	}
	if got, err := foreign.Lenient(nil)(m); err != nil || !got.Equal(e) {
		t.Fatalf("in binary mode it is another: %v\n%v\n%v", err, got, e)
	}
	text, err := e.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	structured := foreign.Message{Body: text, ContentType: "application/cloudevents+json"}
	want, err := leat.ParseEvent(text)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := foreign.Lenient(nil)(structured); err != nil || !got.Equal(want) {
		t.Fatalf("in structured mode it is another: %v\n%v\n%v", err, got, want)
	}
}
