package foreign

import (
	"errors"
	"time"

	"github.com/leatgo/leat"
)

// Message is a message that an adapter cannot read as a CloudEvent, for a [Mapping].
type Message struct {
	// Topic is that of the subscription.
	Topic string
	// Position is where the broker keeps the message. It is the zero Position where the broker names no place, as RabbitMQ.
	Position leat.Position
	// Time is the transport's timestamp, or the zero time.
	Time time.Time
	// Key is the transport's key that orders messages, such as a Kafka record's; nil means none.
	Key []byte
	// Headers are the transport's headers, as in [leat.Malformed].
	Headers []leat.Header
	// ContentType is the transport's content type: Kafka's header content-type, AMQP's property; empty means none.
	ContentType string
	// Body is the payload; nil means none.
	Body []byte
	// Properties are what else the transport tells, by its own names: on RabbitMQ exchange, routing_key, content_encoding, message_id,
	// correlation_id, type and app_id. What the message does not have is missing.
	Properties map[string]string
	// Err says why the message is not a CloudEvent. It is [ErrPlain] where the message does not claim to be one.
	Err error
}

// ErrPlain is the reason, by errors.Is, of a message that does not claim to be a CloudEvent: it has neither a specversion nor a content
// type of CloudEvents.
var ErrPlain = errors.New("the message has neither a specversion nor a content type of CloudEvents")

// Mapping makes an event of a message that is not a CloudEvent. An adapter calls it before it gives a message up as malformed, whatever
// the reason is. An error, a panic or an event that is not valid makes the message malformed. A Mapping must not keep or change the
// slices and the map of m. It is called by one goroutine of each stream, so by several at once.
type Mapping func(m Message) (leat.Event, error)
