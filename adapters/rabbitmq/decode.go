package rabbitmq

import (
	"time"

	"github.com/leatgo/leat"
	amqp "github.com/rabbitmq/amqp091-go"
)

// Message is a message that is no CloudEvent, for a Mapping.
type Message struct {
	// Topic is that of the subscription. Exchange and RoutingKey are what it was published with.
	Topic, Exchange, RoutingKey string
	// Headers are sorted by name. Values that are no text are written as text: numbers in decimal, times in RFC 3339, and tables and
	// lists in JSON.
	Headers []leat.Header
	// The properties, where it has them.
	ContentType, ContentEncoding, MessageID, CorrelationID, Type, AppID string
	// Timestamp is the zero time where it has none.
	Timestamp time.Time
	// Body is nil where it is empty.
	Body []byte
}

// decoder turns messages into deliveries. It is used by one goroutine.
type decoder struct {
	topic   string
	assume  Assume
	mapping func(Message) (leat.Event, error)
}

// decode fills in the event of d, or why the message is none. d keeps nothing of m but what a Malformed has.
func (c *decoder) decode(m *amqp.Delivery, d *leat.Delivery) {}

// deliveries returns how often the queue has delivered a message, this time included; 0 where the queue does not count.
func deliveries(m *amqp.Delivery, quorum bool) int { return 0 }

// sizeOf is what a message counts against MaxInFlightBytes: no less than the event in it.
func sizeOf(m *amqp.Delivery) int { return len(m.Body) }
