package foreigncases

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/leatgo/leat"
)

//go:embed testdata
var testdata embed.FS

// message is one of testdata: a Kafka record or an AMQP message. Header values of Kafka, keys and bodies are in base64, null is null.
type message struct {
	Name        string          `json:"name"`
	Headers     json.RawMessage `json:"headers"`
	ContentType string          `json:"content_type"`
	Key         []byte          `json:"key"`
	Value       []byte          `json:"value"`
	Body        []byte          `json:"body"`
}

// real returns what libraries wrote: the CloudEvents SDK for Java 4.0.1, spring-kafka 3.2.4, spring-amqp 3.1.6, Debezium 3.2.0's
// converter for events of PostgreSQL, and the CloudEvents SDK for Python 1.13.
func real() []Case {
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
		found := read(file.name)
		for _, c := range file.known {
			m, ok := found[c.Name]
			if !ok {
				panic("testdata has no " + c.Name)
			}
			c.Transport, c.ContentType, c.Key, c.Body = file.transport, m.ContentType, m.Key, m.Value
			c.Headers = m.headers(file.transport)
			if file.transport == RabbitMQ {
				c.Body = m.Body
			}
			all = append(all, c)
			delete(found, c.Name)
		}
		if len(found) > 0 {
			panic(fmt.Sprint("no case for ", slices.Collect(maps.Keys(found))))
		}
	}
	return all
}

func read(name string) map[string]message {
	text, err := testdata.ReadFile("testdata/" + name)
	if err != nil {
		panic(err)
	}
	var list []message
	if err := json.Unmarshal(text, &list); err != nil {
		panic(err)
	}
	found := make(map[string]message, len(list))
	for _, m := range list {
		found[m.Name] = m
	}
	return found
}

// headers returns the headers as the adapters do: Kafka's in their order, RabbitMQ's by name with numbers as text.
func (m message) headers(transport string) []leat.Header {
	var headers []leat.Header
	if transport == RabbitMQ {
		var table map[string]any
		must(json.Unmarshal(m.Headers, &table))
		for _, name := range slices.Sorted(maps.Keys(table)) {
			text, isText := table[name].(string)
			if !isText {
				text = strconv.FormatFloat(table[name].(float64), 'f', -1, 64)
			}
			headers = append(headers, leat.Header{Name: name, Value: []byte(text)})
		}
		return headers
	}
	var list [][2]json.RawMessage
	must(json.Unmarshal(m.Headers, &list))
	for _, pair := range list {
		var h leat.Header
		must(json.Unmarshal(pair[0], &h.Name))
		must(json.Unmarshal(pair[1], &h.Value))
		headers = append(headers, h)
	}
	return headers
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
