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
	// ID names the message among all of the broker, the same whenever it is delivered: on Kafka
	// topic, partition and offset, as in "orders/0/42", on RabbitMQ the property message_id, which
	// is the publisher's to set. Empty means none.
	ID string
	// Position is where the broker keeps the message. It is the zero Position where the broker
	// names no place, as RabbitMQ.
	Position leat.Position
	// Time is the transport's timestamp, or the zero time.
	Time time.Time
	// Key is the transport's key that orders messages, such as a Kafka record's; nil means none.
	Key []byte
	// Headers are the transport's headers. Kafka's are in their order, duplicates included.
	// RabbitMQ's are sorted by name, and values that are not text are written as text: numbers in
	// decimal, times in RFC 3339, tables and lists in JSON.
	Headers []leat.Header
	// ContentType is the transport's content type: Kafka's header content-type, AMQP's property;
	// empty means none.
	ContentType string
	// Body is the payload; nil means none.
	Body []byte
	// Properties are what else the transport tells, by its own names: on RabbitMQ exchange,
	// routing_key, content_encoding, message_id, correlation_id, reply_to, expiration, type,
	// user_id and app_id. What the message does not have is missing.
	Properties map[string]string
	// Err says why the message is not a CloudEvent. It is [ErrPlain] where the message does not
	// claim to be one.
	Err error
}

// ErrPlain is the reason, by errors.Is, of a message that does not claim to be a CloudEvent: it has
// neither a specversion nor a content type of CloudEvents. A message whose claim the adapter cannot
// see, since its body is compressed or its properties are encoded, has another reason.
var ErrPlain = errors.New("it has neither a specversion nor a content type of CloudEvents")
