package watermill

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
	"github.com/leatgo/leat/adapterkit/wire"
	"github.com/leatgo/leat/foreign"
	"github.com/leatgo/leat/internal/attribute"
)

// Codec turns Watermill's messages into events and events into messages. The zero value works; it
// is safe for concurrent use.
//
// A message that is a CloudEvent has the attributes as metadata "ce_…" and the data as its payload
// (binary mode), or the whole event as JSON in its payload and says so by the metadata content-type
// (structured mode). Both are always read; attributes are also found behind "ce-", "cloudEvents:"
// and "cloudEvents_". Every other message becomes an event by the rules of [Codec.Event].
type Codec struct {
	// Structured writes events in structured mode. It is for Pub/Subs that take few metadata, or
	// none.
	Structured bool
	// Prefix is what the names of attributes begin with among the metadata that are written. ""
	// means "ce_", as in CloudEvents' Kafka binding; "ce-" is that of AMQP brokers.
	Prefix string
	// Source is the attribute source of events that are made of messages that are no CloudEvents.
	// "" means "/watermill/" and the topic.
	Source string
	// Key returns the key, by which the event is ordered, of a message that carries none. Nil, or
	// "", means none.
	Key func(topic string, m *message.Message) string
	// Strict refuses messages that are no CloudEvents, instead of making events of them.
	Strict bool
}

// contentTypeName is the metadata with the content type.
const contentTypeName = "content-type"

// largestMessage bounds what is read of a message. An event of 1 MiB may need more than that: its
// id is there twice, and JSON has bytes in base64 and escapes text.
const largestMessage = 8 << 20

// binding is how events are written and read. Watermill knows no difference between an empty
// payload and none.
func (c Codec) binding() wire.Binding {
	return wire.Binding{
		Prefix: cmp.Or(c.Prefix, "ce_"), AnyPrefix: true, Mixed: true, ContentType: contentTypeName, Empty: "leatdata",
	}
}

// Event returns the event of a message that came from a topic, or is on its way there.
//
// Of a message that is a CloudEvent, it is that event. Further metadata are kept in the extension
// [EscapeName]. Of every other message, unless Strict is set: the UUID becomes the id, the topic
// the type, the metadata content-type the datacontenttype if it is a media type, the payload the
// data, and Codec.Source and Codec.Key give source and key. A metadata becomes an extension of its
// name where CloudEvents allows the name (1 to 20 of a-z and 0-9, no attribute's name, not
// beginning with "leat") and the value (text of 1 to 4,096 bytes); the first 40 in the order of
// their names. The others are escaped in [EscapeName]. So nothing is dropped, and [Codec.Restore]
// returns the message as it was.
//
// The error is an [*leat.Error] with Op "decode": [leat.CodeInvalid] for a nil message, a message
// without a UUID that is no CloudEvent, and what breaks a rule of CloudEvents; [leat.CodeTooLarge]
// for an event of more than 1 MiB, a message of more than 8 MiB, or more than 64 KiB of escaped
// metadata.
func (c Codec) Event(topic string, m *message.Message) (leat.Event, error) {
	if m == nil {
		return leat.Event{}, fault.Errorf("decode", topic, leat.CodeInvalid, "the message is nil")
	}
	e, _, err := c.read(topic, m, false)
	return e, err
}

// read reads a message, and its trace context, which is no part of the event of one that came.
func (c Codec) read(topic string, m *message.Message, came bool) (leat.Event, *leat.TraceContext, error) {
	var r wire.Reader
	e, err := c.event(topic, m, came, &r)
	if err == nil {
		return e, r.Trace(), nil
	}
	failed := &leat.Error{Op: "decode", Topic: topic, EventID: m.UUID, Code: leat.CodeInvalid, Err: err}
	if inner, ok := errors.AsType[*leat.Error](err); ok {
		failed.Code, failed.Err = inner.Code, inner.Err
	}
	return leat.Event{}, r.Trace(), failed
}

func (c Codec) event(topic string, m *message.Message, came bool, r *wire.Reader) (leat.Event, error) {
	if size := sizeOf(m); size > largestMessage {
		return leat.Event{}, fault.Errorf("", "", leat.CodeTooLarge, "the message has %d bytes; at most %d are allowed", size, largestMessage)
	}
	r.Begin(c.binding(), len(m.Metadata)+2) // with room for what complete adds
	rest := message.Metadata{}
	for name, value := range m.Metadata {
		if !r.AddText(headerOf(name), value) {
			rest[name] = value
		}
	}
	if came && r.Trace() != nil {
		delete(rest, wire.TraceParent)
		delete(rest, wire.TraceState)
	}
	switch kind, err := r.Mode(); {
	case !c.Strict && errors.Is(err, foreign.ErrPlain):
		return c.foreign(topic, m)
	case err != nil:
		return leat.Event{}, err
	case kind == wire.Structured:
		return c.structured(topic, m, rest)
	}
	return c.complete(topic, m, escapeExtra, r.Attributes(), rest, r.Data(m.Payload))
}

// sizeOf counts what the message holds.
func sizeOf(m *message.Message) int {
	size := len(m.UUID) + len(m.Payload)
	for name, value := range m.Metadata {
		size += len(name) + len(value)
	}
	return size
}

// structured reads a message whose payload is the event.
func (c Codec) structured(topic string, m *message.Message, rest message.Metadata) (leat.Event, error) {
	e, err := leat.ParseEvent(m.Payload)
	if err != nil {
		return e, err
	}
	key := e.Key() != "" || c.Key == nil
	if key && len(rest) == 0 && (m.UUID == "" || m.UUID == e.ID()) {
		return e, nil
	}
	var attributes []leat.Header
	for name, value := range e.Attributes() {
		attributes = append(attributes, leat.Header{Name: name, Value: []byte(value)})
	}
	return c.complete(topic, m, escapeExtra, attributes, rest, e.Data())
}

// complete makes the event of attributes, with the key and the metadata that are none of
// CloudEvents.
func (c Codec) complete(
	topic string, m *message.Message, kind string, attributes []leat.Header, rest message.Metadata, data []byte,
) (leat.Event, error) {
	find := func(name string) int {
		return slices.IndexFunc(attributes, func(h leat.Header) bool { return h.Name == name })
	}
	if id := find("id"); id >= 0 && m.UUID != "" && m.UUID != string(attributes[id].Value) {
		rest[uuidName] = m.UUID
	}
	if len(rest) > 0 || kind == escapeForeign {
		at := find(EscapeName)
		if at >= 0 {
			before, known, err := unescape(string(attributes[at].Value))
			if err != nil {
				return leat.Event{}, err
			}
			for name, value := range known {
				if _, ok := rest[name]; !ok {
					rest[name] = value
				}
			}
			kind = before
		} else {
			at = len(attributes)
			attributes = append(attributes, leat.Header{Name: EscapeName})
		}
		attributes[at].Value = []byte(escape(kind, rest))
	}
	if c.Key != nil && find("partitionkey") < 0 {
		if key := c.Key(topic, m); key != "" {
			attributes = append(attributes, leat.Header{Name: "partitionkey", Value: []byte(key)})
		}
	}
	return new(leat.Decoder).Decode(attributes, data)
}

// foreign makes an event of a message that is none.
func (c Codec) foreign(topic string, m *message.Message) (leat.Event, error) {
	if m.UUID == "" {
		return leat.Event{}, fmt.Errorf("the message has no UUID, which becomes the event's id; make messages with watermill.NewUUID(): %w",
			foreign.ErrPlain)
	}
	attributes := make([]leat.Header, 0, 6+len(m.Metadata))
	add := func(name, value string) {
		attributes = append(attributes, leat.Header{Name: name, Value: []byte(value)})
	}
	add("specversion", "1.0")
	add("id", m.UUID)
	if c.Source != "" {
		add("source", c.Source)
	} else {
		add("source", "/watermill/"+url.PathEscape(topic))
	}
	add("type", topic)
	rest, extensions := message.Metadata{}, 0
	for _, name := range wire.Names(m.Metadata) {
		switch value := m.Metadata[name]; {
		case name == contentTypeName && isMediaType(value):
			add("datacontenttype", value)
		case extensions < mostExtensions && isExtension(name, value):
			add(name, value)
			extensions++
		default:
			rest[name] = value
		}
	}
	var data []byte
	if len(m.Payload) > 0 {
		data = m.Payload
	}
	return c.complete(topic, m, escapeForeign, attributes, rest, data)
}

// isMediaType reports whether a value of content-type can be a datacontenttype. What cannot is
// escaped.
func isMediaType(value string) bool {
	return len(value) <= longestMediaType && wire.ModeOf(value) == wire.Binary && attribute.MediaTypeRule(value) == "" && isText(value)
}

// Message returns the message of an event, in the mode of the Codec: its UUID is the event's id.
// [Codec.Event] returns an equal event, whatever the topic. The error is an [*leat.Error] with
// [leat.CodeInvalid] for the zero Event.
func (c Codec) Message(e leat.Event) (*message.Message, error) {
	if e.IsZero() {
		return nil, fault.Errorf("encode", "", leat.CodeInvalid, "the zero Event is no event")
	}
	w := wire.Writer{Binding: c.binding()}
	if c.Structured {
		text, err := e.AppendJSON(nil)
		if err != nil {
			return nil, err
		}
		m := message.NewMessage(e.ID(), text)
		m.Metadata[contentTypeName] = wire.StructuredType
		if key := e.Key(); key != "" { // for a Marshaler; it counts for nothing when the message is read
			m.Metadata[w.Name("partitionkey")] = key
		}
		return m, nil
	}
	m := message.NewMessage(e.ID(), e.Data())
	maps.Insert(m.Metadata, w.Headers(e))
	return m, nil
}

// Restore returns the message that [Codec.Event] made an event of, with its UUID, its metadata and
// its payload. Metadata that are extensions of events of other origins are returned as
// [Codec.Message] writes them. The key, the type and the source that the Codec gave to a message
// that is no CloudEvent are no part of it.
func (c Codec) Restore(e leat.Event) (*message.Message, error) {
	escaped, _ := e.Extension(EscapeName)
	text, _ := escaped.(string)
	kind, metadata, err := unescape(text)
	if text == "" || err != nil {
		return c.Message(e)
	}
	if kind == escapeForeign && e.Subject() == "" && e.TimeString() == "" && e.DataSchema() == "" {
		m := message.NewMessage(e.ID(), e.Data())
		for name, value := range e.Attributes() {
			switch {
			case name == "datacontenttype":
				m.Metadata[contentTypeName] = value
			case !reserved(name) || strings.HasPrefix(name, "leat"):
				m.Metadata[name] = value
			}
		}
		maps.Copy(m.Metadata, metadata)
		return m, nil
	}
	if kind == escapeForeign { // somebody has made more of it
		return c.Message(e)
	}
	m, err := c.Message(e.WithExtension(EscapeName, nil))
	if err != nil {
		return nil, err
	}
	if uuid, ok := metadata[uuidName]; ok {
		m.UUID = uuid
		delete(metadata, uuidName)
	}
	maps.Copy(m.Metadata, metadata)
	return m, nil
}

// Mapping is a [foreign.Mapping] that reads the messages of services with plain Watermill, for an
// adapter that reads their broker without Watermill: adapters/kafka those of watermill-kafka's
// default marshaler, adapters/rabbitmq those of watermill-amqp's. The UUID is the header
// "_watermill_message_uuid", the metadata are the other headers. The error is that of
// [Codec.Event]. A header that is there twice is [leat.CodeInvalid]. A message that claims to be a
// CloudEvent, and is not one, stays refused.
func (c Codec) Mapping(in foreign.Message) (leat.Event, error) {
	if !errors.Is(in.Err, foreign.ErrPlain) {
		return leat.Event{}, in.Err
	}
	m := message.NewMessage("", in.Body)
	for _, h := range in.Headers {
		if h.Name == uuidName {
			m.UUID = string(h.Value)
			continue
		}
		if _, twice := m.Metadata[h.Name]; twice {
			return leat.Event{}, &leat.Error{Op: "decode", Topic: in.Topic, EventID: m.UUID, Code: leat.CodeInvalid,
				Err: fmt.Errorf("the header %.40q is there twice", h.Name)}
		}
		m.Metadata[h.Name] = string(h.Value)
	}
	return c.Event(in.Topic, m)
}

// malformed returns the delivery of a message that is no event.
func (c Codec) malformed(m *message.Message, reason error) *leat.Malformed {
	bad := &leat.Malformed{Body: m.Payload, Reason: reason}
	if m.UUID != "" {
		bad.Headers = append(bad.Headers, leat.Header{Name: uuidName, Value: []byte(m.UUID)})
	}
	b := c.binding()
	for _, h := range headersOf(m) {
		bad.Headers = append(bad.Headers, h)
		if name, _ := b.Attribute(h.Name); name == "partitionkey" {
			bad.Key = h.Value
		}
	}
	return bad
}

// headersOf returns the metadata of a message, sorted by name.
func headersOf(m *message.Message) []leat.Header {
	return wire.Sorted(nil, m.Metadata, func(value string) []byte { return []byte(value) })
}

// foreignMessage returns a message that the Codec refuses, for a Mapping.
func foreignMessage(topic, key string, m *message.Message, reason error) foreign.Message {
	in := foreign.Message{
		Topic: topic, ID: m.UUID, Position: leat.Position{ID: m.UUID}, Headers: headersOf(m), Body: m.Payload, Err: reason,
	}
	in.ContentType = wire.Find(in.Headers, contentTypeName)
	if key != "" {
		in.Key = []byte(key)
	}
	return in
}
