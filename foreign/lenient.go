package foreign

import (
	"errors"
	"fmt"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/mode"
)

// LenientOptions are the options of [Lenient]. Nil and the zero value have the defaults.
type LenientOptions struct {
	// Tombstone is the type of the event that a tombstone becomes: a Kafka record with a key and a
	// null value, such as Debezium writes after each deletion. Empty means "leat.tombstone.v1".
	Tombstone string
}

// Lenient returns a [Mapping] that reads what well-known producers write although it breaks a rule
// of CloudEvents: Spring, Debezium, the SDK for Python, Azure Event Grid, producers of CloudEvents
// 0.3 and others. docs/foreign-events.md has the rules and the producers.
//
// Each event that it returns has the extension leatrepaired, a text of at most 4 KiB. It lists
// every change as "attribute: rule", and what the attribute was where the event does not show it
// any more. A change that does not fit into the list is not made. Publishing the event keeps the
// extension, so that a consumer further down knows as well. An extension leatrepaired that a
// message came with is quoted in the list.
//
// A message that does not claim to be a CloudEvent is read where it is one beyond doubt: a JSON
// object, or an array of one, with specversion, id, source and type; headers of CloudEvents in the
// spelling of another transport; and a tombstone. For what it cannot read, Lenient returns an error
// that wraps m.Err.
func Lenient(o *LenientOptions) Mapping {
	tombstone := tombstoneType
	if o != nil && o.Tombstone != "" {
		tombstone = o.Tombstone
	}
	return func(m Message) (leat.Event, error) {
		if mode.IsCompressed(m.Properties["content_encoding"]) || m.Properties["type"] == amqp10Type {
			return leat.Event{}, refusal(m, nil) // the body is not what was meant
		}
		if isTombstone(m) {
			return tombstoneEvent(m, tombstone)
		}
		e, err := read(m)
		if err != nil {
			return leat.Event{}, refusal(m, err)
		}
		return e, nil
	}
}

// amqp10Type is the AMQP property type of a message whose body RabbitMQ leaves as AMQP 1.0 encodes
// it.
const amqp10Type = "amqp-1.0"

// errNoEvent is why a message is not read that shows no sign of a CloudEvent.
var errNoEvent = errors.New("nothing in the message is a CloudEvent")

// refusal is the error for a message that cannot be read.
func refusal(m Message, err error) error {
	switch {
	case m.Err == nil && err == nil:
		return errNoEvent
	case m.Err == nil:
		return err
	case err == nil || errors.Is(err, errNoEvent) || err.Error() == m.Err.Error():
		return m.Err
	}
	return fmt.Errorf("%w; repairing it leaves: %w", m.Err, err)
}

// read finds the event in a message: in its body where the content type says so, else in its
// headers, else in its body.
func read(m Message) (leat.Event, error) {
	contentType, n, err := contentTypeOf(m)
	if err != nil {
		return leat.Event{}, err
	}
	h := headersOf(m)
	structured := mode.HasPrefix(contentType, mode.CloudEvents)
	switch {
	case h.complete() && mode.IsJSON(contentType) && isData(m.Body):
		return fromHeaders(m, h, contentType, n)
	case structured:
		return fromJSON(m, contentType, n)
	case h.claimed:
		return fromHeaders(m, h, contentType, n)
	case isEvent(m.Body):
		return fromJSON(m, contentType, n)
	}
	return leat.Event{}, errNoEvent
}
