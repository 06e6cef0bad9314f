package googlecloud

import (
	"cmp"
	"fmt"

	"cloud.google.com/go/pubsub/v2"
	wmgoogle "github.com/ThreeDotsLabs/watermill-googlecloud/v2/pkg/googlecloud"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/wire"
	"github.com/leatgo/leat/adapters/watermill"
	"github.com/leatgo/leat/internal/googlepubsub"
)

// Marshaler turns messages into those of Pub/Sub and back as watermill-googlecloud's
// DefaultMarshalerUnmarshaler does, so that services with either understand each other, and
// besides: the attribute partitionkey is the ordering key, or its SHA-256 in hexadecimal digits
// where it has more than 1,024 bytes; what Pub/Sub adds to a message is not among the metadata of
// its event.
type Marshaler struct {
	// Prefix is that of the Codec. "" means "ce-".
	Prefix string
}

var _ wmgoogle.MarshalerUnmarshaler = Marshaler{}

const (
	contentTypeName = "content-type"
	// emptyName and emptyAttribute mark empty data: the Codec's way, and that of
	// adapters/gcppubsub.
	emptyName, emptyAttribute = "leatdata", googlepubsub.Empty
	// idName and keyName carry the id that Pub/Sub gave to a message, and its ordering key, from
	// Unmarshal to the stream, which takes them out. A Subscriber of Watermill hands on nothing
	// else. They are no UTF-8, so they cannot be the name of an attribute.
	idName, keyName = "\xffid", "\xffkey"
)

// Marshal returns the message of Pub/Sub. A CloudEvent with attributes that pass Pub/Sub's limits
// (100 attributes, names of 256 and values of 1,024 bytes) is written in structured mode. The error
// is an [*leat.Error] with [leat.CodeTooLarge] for other metadata that pass the limits.
func (r Marshaler) Marshal(topic string, m *message.Message) (*pubsub.Message, error) {
	out := &pubsub.Message{Data: m.Payload, OrderingKey: r.orderingKey(m)}
	if out.Attributes = attributes(m, m.UUID); check(out.Attributes) == nil {
		return out, nil
	}
	fits, ok := r.structured(m)
	if ok {
		out.Data, out.Attributes = fits.Payload, attributes(fits, "") // the event has the id
		ok = check(out.Attributes) == nil
	}
	if !ok {
		return nil, &leat.Error{Op: "encode", Topic: topic, Code: leat.CodeTooLarge, Err: check(attributes(m, m.UUID))}
	}
	return out, nil
}

// attributes returns the attributes of a message, with the UUID where there is one.
func attributes(m *message.Message, uuid string) map[string]string {
	out := make(map[string]string, len(m.Metadata)+1)
	for name, value := range m.Metadata {
		if name == emptyName && value == wire.Empty {
			name = emptyAttribute
		}
		out[name] = value
	}
	if uuid != "" {
		out[wmgoogle.UUIDHeaderKey] = uuid
	}
	return out
}

// check returns which limit attributes pass, or nil.
func check(attributes map[string]string) error {
	if len(attributes) > googlepubsub.MostAttributes {
		return fmt.Errorf("the message has %d attributes; Pub/Sub allows %d", len(attributes), googlepubsub.MostAttributes)
	}
	for _, name := range wire.Names(attributes) {
		if len(name) > googlepubsub.MostNameBytes || len(attributes[name]) > googlepubsub.MostValueBytes {
			return fmt.Errorf("the attribute %.40q has %d bytes in its name and %d in its value; Pub/Sub allows %d and %d",
				name, len(name), len(attributes[name]), googlepubsub.MostNameBytes, googlepubsub.MostValueBytes)
		}
	}
	return nil
}

func (r Marshaler) orderingKey(m *message.Message) string {
	return googlepubsub.OrderingKey(m.Metadata[cmp.Or(r.Prefix, "ce-")+"partitionkey"])
}

// structured returns a message with metadata that are a CloudEvent as one in structured mode, with
// its key in the event alone. It reports false for what is none, or has more metadata.
func (r Marshaler) structured(m *message.Message) (*message.Message, bool) {
	out := m.Copy()
	if wire.ModeOf(m.Metadata[contentTypeName]) == wire.Binary {
		bare := m.Copy()
		delete(bare.Metadata, wire.TraceParent)
		delete(bare.Metadata, wire.TraceState)
		e, err := watermill.Codec{Strict: true}.Event("", bare)
		if err != nil {
			return nil, false
		}
		if out, err = (watermill.Codec{Structured: true}).Message(e); err != nil {
			return nil, false
		}
		for _, name := range []string{wire.TraceParent, wire.TraceState} {
			if value, ok := m.Metadata[name]; ok {
				out.Metadata[name] = value
			}
		}
	}
	for _, prefix := range []string{"ce_", cmp.Or(r.Prefix, "ce-")} { // of the Codec here, and of the one that made m
		delete(out.Metadata, prefix+"partitionkey")
	}
	for name := range out.Metadata {
		if name != contentTypeName && name != wire.TraceParent && name != wire.TraceState {
			return nil, false // nothing is dropped
		}
	}
	return out, true
}

// Unmarshal returns the message of one of Pub/Sub. The error is always nil: one would be given back
// and delivered again for ever.
func (Marshaler) Unmarshal(in *pubsub.Message) (*message.Message, error) {
	m := message.NewMessage(in.Attributes[wmgoogle.UUIDHeaderKey], in.Data)
	for name, value := range in.Attributes {
		switch name {
		case wmgoogle.UUIDHeaderKey:
		case emptyAttribute:
			m.Metadata[emptyName] = value
		default:
			m.Metadata[name] = value
		}
	}
	m.Metadata[idName], m.Metadata[keyName] = in.ID, in.OrderingKey
	return m, nil
}

// takePosition takes the id that Pub/Sub gave to a message out of it.
func takePosition(m *message.Message) leat.Position {
	return leat.Position{ID: take(m, idName)}
}

// takeKey takes the ordering key out of a message.
func takeKey(m *message.Message) string { return take(m, keyName) }

func take(m *message.Message, name string) string {
	value := m.Metadata[name]
	delete(m.Metadata, name)
	return value
}
