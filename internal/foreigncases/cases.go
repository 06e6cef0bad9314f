// Package foreigncases has messages that other producers write: real output of their libraries, and
// shapes that are known from their documentation. The tests of the adapters and the page about
// foreign events are made of them.
package foreigncases

import (
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/foreign"
)

// The transports.
const (
	Kafka    = "Kafka"
	RabbitMQ = "RabbitMQ"
)

// Outcome is what becomes of a message.
type Outcome string

// The outcomes.
const (
	Reads   Outcome = "reads"
	Lenient Outcome = "reads with Lenient" // and is malformed without
	Refuses Outcome = "refuses"            // with Lenient as well
)

// Case is a message of a producer.
type Case struct {
	// Producer and Shape name it in the page. Real output of a library has Name, by which testdata
	// has it.
	Producer, Shape, Name string
	Transport             string
	Want                  Outcome

	Headers []leat.Header // with content-type on Kafka
	// ContentType is a property on RabbitMQ.
	ContentType string
	// Encoding is the property content_encoding of RabbitMQ.
	Encoding  string
	Key, Body []byte
}

// String names the case in a test.
func (c Case) String() string { return c.Transport + ", " + c.Producer + ": " + c.Shape }

// Message is the case as an adapter gives it to a Mapping.
func (c Case) Message(reason error) foreign.Message {
	m := foreign.Message{Topic: "orders", Headers: c.Headers, ContentType: c.ContentType, Key: c.Key, Body: c.Body, Err: reason}
	if c.Transport == Kafka {
		m.Position = leat.Position{Partition: 1, Offset: 42}
		return m
	}
	m.Properties = map[string]string{"exchange": "", "routing_key": "orders"}
	if c.Encoding != "" {
		m.Properties["content_encoding"] = c.Encoding
	}
	return m
}

// All returns all cases, by producer.
func All(t testing.TB) []Case {
	t.Helper()
	var all []Case
	for _, part := range [][]Case{written(t), producers(), times(), shapes(), refused()} {
		all = append(all, part...)
	}
	return all
}
