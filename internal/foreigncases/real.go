package foreigncases

import (
	"embed"
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/leatgo/leat"
)

//go:embed testdata
var testdata embed.FS

// message is one of testdata: a Kafka record or an AMQP message. Header values of Kafka, keys and
// bodies are in base64, null is null.
type message struct {
	Name        string          `json:"name"`
	Headers     json.RawMessage `json:"headers"`
	ContentType string          `json:"content_type"`
	Key         []byte          `json:"key"`
	Value       []byte          `json:"value"`
	Body        []byte          `json:"body"`
}

// written returns what libraries wrote: the CloudEvents SDK for Java 4.0.1, spring-kafka 3.2.4,
// spring-amqp 3.1.6, Debezium 3.2.0's converter for events of PostgreSQL, and the CloudEvents SDK
// for Python 1.13.
func written(t testing.TB) []Case {
	var all []Case
	for _, file := range []struct {
		name, transport string
		known           []Case
	}{
		{"java.json", Kafka, java()},
		{"debezium.json", Kafka, debezium()},
		{"python.json", Kafka, python()},
		{"springamqp.json", RabbitMQ, spring()},
	} {
		found := read(t, file.name)
		for _, c := range file.known {
			m, ok := found[c.Name]
			if !ok {
				t.Fatal("testdata has no " + c.Name)
			}
			c.Transport, c.ContentType, c.Key, c.Body = file.transport, m.ContentType, m.Key, m.Value
			c.Headers = m.headers(t, file.transport)
			if file.transport == RabbitMQ {
				c.Body = m.Body
			}
			all = append(all, c)
			delete(found, c.Name)
		}
		if len(found) > 0 {
			t.Fatal("no case for", slices.Collect(maps.Keys(found)))
		}
	}
	return all
}

func read(t testing.TB, name string) map[string]message {
	t.Helper()
	text, err := testdata.ReadFile("testdata/" + name)
	must(t, err)
	var list []message
	must(t, json.Unmarshal(text, &list))
	found := make(map[string]message, len(list))
	for _, m := range list {
		found[m.Name] = m
	}
	return found
}

// headers returns the headers as the adapters do: Kafka's in their order, RabbitMQ's by name with
// numbers as text.
func (m message) headers(t testing.TB, transport string) []leat.Header {
	t.Helper()
	var headers []leat.Header
	if transport == RabbitMQ {
		var table map[string]json.RawMessage
		must(t, json.Unmarshal(m.Headers, &table))
		for _, name := range slices.Sorted(maps.Keys(table)) {
			text := table[name]
			var unquoted string
			if json.Unmarshal(text, &unquoted) == nil {
				text = []byte(unquoted)
			}
			headers = append(headers, leat.Header{Name: name, Value: text})
		}
		return headers
	}
	var list [][2]json.RawMessage
	must(t, json.Unmarshal(m.Headers, &list))
	for _, pair := range list {
		var h leat.Header
		must(t, json.Unmarshal(pair[0], &h.Name))
		must(t, json.Unmarshal(pair[1], &h.Value))
		headers = append(headers, h)
	}
	return headers
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
