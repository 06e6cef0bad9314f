package rabbitmq

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/options"
	"github.com/leatgo/leat/adapterkit/wire"
	"github.com/leatgo/leat/foreign"
	"github.com/leatgo/leat/internal/mode"
	amqp "github.com/rabbitmq/amqp091-go"
)

// decoder turns messages into deliveries. It is used by one goroutine.
type decoder struct {
	topic   string
	mapping foreign.Mapping
	keyFrom keyFrom
	reader  wire.Reader
}

// decode fills in the event of d, with the message's key where it has none, or why the message is
// none, and the trace context. d keeps nothing of m but what a Malformed has.
func (c *decoder) decode(m *amqp.Delivery, d *leat.Delivery) {
	e, err := c.event(m)
	d.Trace = c.reader.Trace()
	c.reader.Reset()
	if err != nil && c.mapping != nil {
		e, err = c.mapping.Event(c.message(m, err))
	}
	if err != nil {
		d.Malformed = &leat.Malformed{Headers: headersOf(m), Key: bytesOf(m.RoutingKey), Body: bytesOf(m.Body), Reason: err}
		return
	}
	d.Event = e
	if e.Key() == "" {
		d.Key = string(c.keyFrom.key(m))
	}
}

// event reads a message. What the broker and others add to the headers is no attribute: x-death,
// x-delivery-count and so on.
func (c *decoder) event(m *amqp.Delivery) (leat.Event, error) {
	c.reader.Begin(wireBinding(), len(m.Headers))
	c.reader.ContentType(m.ContentType)
	for name, value := range m.Headers {
		c.reader.AddValue(name, value)
	}
	if err := checkBody(m); err != nil {
		return leat.Event{}, err
	}
	e, err := c.reader.Event(m.Body)
	if _, ok := m.Headers[amqp10Headers]; ok && errors.Is(err, foreign.ErrPlain) {
		err = errors.New("the message came by AMQP 1.0, whose properties this RabbitMQ does not convert; " +
			"publish it in structured mode, or use RabbitMQ 4")
	}
	return e, err
}

const (
	// amqp10Type is the type of a message that came by AMQP 1.0 and is not plain data: RabbitMQ
	// leaves its body as AMQP 1.0 encodes it.
	amqp10Type = "amqp-1.0"
	// amqp10Headers is a header of RabbitMQ 3 with the properties of such a message, which later
	// ones make headers of.
	amqp10Headers = "x-amqp-1.0-app-properties"
)

// checkBody returns why a body is not to be read as it is.
func checkBody(m *amqp.Delivery) error {
	if m.Type == amqp10Type {
		return errors.New("the message came by AMQP 1.0 with something other than one data section, which RabbitMQ does not convert")
	}
	if mode.IsCompressed(m.ContentEncoding) {
		return fmt.Errorf("the message's body is compressed, its content_encoding is %.40q; publish it as it is", m.ContentEncoding)
	}
	return nil
}

// message is a message that could not be read, for a Mapping.
func (c *decoder) message(m *amqp.Delivery, reason error) foreign.Message {
	properties := map[string]string{"exchange": m.Exchange, "routing_key": m.RoutingKey}
	for _, p := range propertiesOf(m) {
		if p.name != "content_type" && p.value != "" {
			properties[p.name] = p.value
		}
	}
	headers := tableHeaders(nil, m.Headers)
	own := wireBinding()
	for i, h := range headers { // bytes in an attribute are the type Binary for a Mapping as well
		bytes, isBytes := m.Headers[h.Name].([]byte)
		if name, ok := own.Attribute(h.Name); ok && isBytes {
			headers[i].Value, _ = wire.AppendValue([]byte{}, name, bytes)
		}
	}
	return foreign.Message{
		Topic: c.topic, ID: m.MessageId, Time: m.Timestamp, Key: c.keyFrom.key(m), Headers: headers, ContentType: m.ContentType,
		Body: bytesOf(m.Body), Properties: properties, Err: reason,
	}
}

// deliveries returns how often a queue has delivered a message, this time included; 0 where it does
// not count, as only quorum queues do. What was not delivered before is delivered once, whatever a
// header says that its publisher wrote.
func deliveries(m *amqp.Delivery, quorum bool) int {
	if !quorum {
		return 0
	}
	if !m.Redelivered {
		return 1
	}
	switch n := m.Headers["x-delivery-count"].(type) {
	case int64:
		return int(max(n, 1)) + 1
	case int32:
		return int(max(n, 1)) + 1
	}
	return 0
}

// headerBytes is what a value that is no text takes up.
const headerBytes = 40

// sizeOf is what a message counts against MaxInFlightBytes: no less than the event in it.
func sizeOf(m *amqp.Delivery) int {
	n := len(m.Body) + len(m.RoutingKey) + len(m.ContentType) + len("datacontenttype") + wire.Excess(len(m.Headers))
	for name, value := range m.Headers {
		n += len(name) + valueSize(value)
	}
	return n
}

func valueSize(value any) int {
	switch v := value.(type) {
	case string:
		return len(v)
	case []byte:
		return base64.StdEncoding.EncodedLen(len(v))
	case amqp.Table, []any: // of which only a Malformed has something, as text
		return len(textOf(v))
	case nil:
		return 0
	}
	return headerBytes // numbers and times, also as text
}

// bytesOf returns s as bytes, nil where it is empty.
func bytesOf[T string | []byte](s T) []byte {
	if len(s) == 0 {
		return nil
	}
	return []byte(s)
}

// keyFrom is [Options].KeyFrom.
type keyFrom string

const (
	keyFromRoutingKey keyFrom = "routing_key"
	keyFromHeader     string  = "header:" // and its name
)

func (f keyFrom) validate() error {
	if name, ok := strings.CutPrefix(string(f), keyFromHeader); f == "" || f == keyFromRoutingKey || ok && name != "" {
		return nil
	}
	return options.Reason("KeyFrom is neither routing_key nor header: with the name of a header")
}

// key returns the key of a message, nil where it has none.
func (f keyFrom) key(m *amqp.Delivery) []byte {
	if f == "" {
		return nil
	}
	if name, ok := strings.CutPrefix(string(f), keyFromHeader); ok {
		return bytesOf(textOf(m.Headers[name]))
	}
	if _, moved := m.Headers[deliveriesHeader]; moved { // its routing key is the queue's name, and it had none before
		return nil
	}
	return bytesOf(m.RoutingKey)
}
