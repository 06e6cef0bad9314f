package amqp

import (
	"encoding/base64"
	"errors"
	"fmt"
	"unicode/utf8"

	wmamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/wire"
	"github.com/leatgo/leat/adapters/watermill"
	"github.com/leatgo/leat/internal/rabbit"
	native "github.com/rabbitmq/amqp091-go"
)

// Marshaler turns messages into those of AMQP and back as watermill-amqp's DefaultMarshaler does,
// so that services with either understand each other, and besides: the metadata content-type is the
// property content_type, too, and the UUID the message_id, so that adapters/rabbitmq reads them;
// headers that are no text become text: numbers in decimal, times in RFC 3339, tables and lists in
// JSON, bytes that are no UTF-8 in base64, null as "". The marks that the broker and watermill-amqp
// put on a redelivery (x-delivery-count, x-acquired-count, _watermill_amqp_redelivered) are left
// out. Of the properties only content_type and message_id are read.
type Marshaler struct{}

var _ wmamqp.Marshaler = Marshaler{}

const (
	contentTypeName = "content-type"
	// emptyName and emptyHeader mark empty data: the Codec's way, and that of adapters/rabbitmq.
	emptyName, emptyHeader = "leatdata", "leat-data"

	// frameBytes is RabbitMQ's frame_max by default, into which the headers must fit: for a larger
	// frame it ends the connection.
	frameBytes   = 128 << 10
	contentBytes = 128 // of a header frame, besides names and values
	fieldBytes   = 6   // of a header, likewise
)

// Marshal returns the message of AMQP. A CloudEvent whose attributes do not fit into the 128 KiB of
// a frame is written in structured mode. The error is an [*leat.Error] with [leat.CodeTooLarge] for
// other metadata that do not fit, or with names of more than 255 bytes.
func (Marshaler) Marshal(m *message.Message) (native.Publishing, error) {
	return marshal(m, frameBytes)
}

// marshal returns a message whose headers fit into a frame.
func marshal(m *message.Message, frame int) (native.Publishing, error) {
	p, err := wmamqp.DefaultMarshaler{}.Marshal(m)
	if err != nil {
		return p, err
	}
	if contentType := m.Metadata[contentTypeName]; len(contentType) <= rabbit.LongestName {
		p.ContentType = contentType
	}
	if len(m.UUID) <= rabbit.LongestName {
		p.MessageId = m.UUID
	}
	if m.Metadata[emptyName] == wire.Empty {
		p.Headers[emptyHeader] = wire.Empty
	}
	size := contentBytes + len(p.ContentType) + len(p.MessageId)
	for name, value := range p.Headers {
		text, _ := value.(string)
		size += fieldBytes + len(name) + len(text)
		if len(name) > rabbit.LongestName {
			return p, tooLarge(m, fmt.Errorf("the metadata %.40q and so on has a name of %d bytes; at most %d are allowed",
				name, len(name), rabbit.LongestName))
		}
	}
	if frame > 0 && size > frame {
		if fits, ok := structured(m); ok {
			return marshal(fits, frame)
		}
		return p, tooLarge(m, fmt.Errorf("the metadata take %d bytes, and the broker's frame_max is %d; set Codec.Structured", size, frame))
	}
	return p, nil
}

// structured returns a message with metadata that are a CloudEvent as one in structured mode. It
// reports false for what is none, or is in that mode already.
func structured(m *message.Message) (*message.Message, bool) {
	if wire.ModeOf(m.Metadata[contentTypeName]) != wire.Binary {
		return nil, false
	}
	bare := m.Copy()
	delete(bare.Metadata, wire.TraceParent)
	delete(bare.Metadata, wire.TraceState)
	e, err := watermill.Codec{Strict: true}.Event("", bare)
	if err != nil {
		return nil, false
	}
	out, err := watermill.Codec{Structured: true}.Message(e)
	if err != nil {
		return nil, false
	}
	for _, name := range []string{wire.TraceParent, wire.TraceState} {
		if value, ok := m.Metadata[name]; ok {
			out.Metadata[name] = value
		}
	}
	return out, true
}

func tooLarge(m *message.Message, err error) error {
	return &leat.Error{Op: "encode", EventID: m.UUID, Code: leat.CodeTooLarge, Err: err}
}

// Unmarshal returns the message of a delivery. The error says that there is no delivery:
// watermill-amqp reads one like that when the consumer was canceled. No delivery of the broker is
// an error: it would be given back, and delivered again for ever.
func (Marshaler) Unmarshal(d native.Delivery) (*message.Message, error) {
	if d.Acknowledger == nil {
		return nil, errors.New("the broker has canceled the consumer")
	}
	m := message.NewMessage(d.MessageId, d.Body)
	binding := wire.Binding{Prefix: "ce-", AnyPrefix: true} // whatever the Codec reads
	for _, name := range wire.Names(d.Headers) {
		value := d.Headers[name]
		switch name {
		case "x-delivery-count", "x-acquired-count", wmamqp.MetadataRedeliveredKey:
		case wmamqp.DefaultMessageUUIDHeaderKey:
			m.UUID = textOf(value)
		case emptyHeader:
			m.Metadata[emptyName] = textOf(value)
		default:
			if _, ok := binding.Attribute(name); !ok || value != nil { // an attribute that is null is unset
				m.Metadata[name] = textOf(value)
			}
		}
	}
	if d.ContentType != "" {
		own, given := m.Metadata[contentTypeName]
		switch {
		case !given:
			m.Metadata[contentTypeName] = d.ContentType
		case own != d.ContentType:
			m.Metadata[contentTypeName+" (2)"] = d.ContentType
		}
	}
	return m, nil
}

// textOf returns the value of a header as text.
func textOf(value any) string {
	switch v := value.(type) {
	case []byte:
		if !utf8.Valid(v) {
			return base64.StdEncoding.EncodeToString(v)
		}
	case native.Decimal:
		return fmt.Sprintf("%de-%d", v.Value, v.Scale)
	}
	return string(wire.Text(value))
}
