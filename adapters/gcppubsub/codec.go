package gcppubsub

import (
	"strings"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/wire"
	"github.com/leatgo/leat/foreign"
	"github.com/leatgo/leat/internal/googlepubsub"
	"google.golang.org/protobuf/encoding/protowire"
)

const (
	contentType = "content-type"
	prefix      = "ce-" // of the attributes of an event
	// traceAttributes is how many attributes a trace context has.
	traceAttributes = 2
	// mostEventBytes is the largest event of Leat. JSON may double it; a message has up to 10 MB.
	mostEventBytes = 1 << 20
)

// binding is the draft of the CloudEvents binding for Pub/Sub. A reader finds the content type in
// any case, and as ce-datacontenttype.
func binding() wire.Binding {
	return wire.Binding{Prefix: prefix, AnyPrefix: true, ContentType: contentType, Empty: googlepubsub.Empty}
}

// encoder makes messages of events. One goroutine uses it.
type encoder struct {
	writer  wire.Writer
	message []byte // a PubsubMessage without its ordering key
	count   int    // of its attributes
}

func newEncoder() *encoder { return &encoder{writer: wire.Writer{Binding: binding()}} }

// Fields of a PublishRequest, of a PubsubMessage and of an entry of its attributes.
const (
	messagesField  = 2
	dataField      = 1
	attributeField = 2
	keyField       = 5
	nameField      = 1
	valueField     = 2
)

// encode makes the message of an event, in binary mode where its attributes are within Pub/Sub's
// limits. trace may be nil. The bytes are those of a field of a PublishRequest: the generated types
// have a map for the attributes, which costs as much as all else.
func (c *encoder) encode(e leat.Event, key string, trace *leat.TraceContext, structured bool) (raw []byte, err error) {
	c.message, c.count = c.message[:0], 0
	if structured || !c.binary(e) {
		if err := c.structured(e); err != nil {
			return nil, err
		}
	}
	if trace != nil && c.count <= googlepubsub.MostAttributes-traceAttributes {
		c.attribute(wire.TraceParent, trace.Parent)
		if trace.State != "" {
			c.attribute(wire.TraceState, trace.State)
		}
	}
	size := len(c.message)
	if key != "" {
		size += protowire.SizeTag(keyField) + protowire.SizeBytes(len(key))
	}
	raw = make([]byte, 0, protowire.SizeTag(messagesField)+protowire.SizeBytes(size))
	raw = protowire.AppendVarint(protowire.AppendTag(raw, messagesField, protowire.BytesType), uint64(size))
	raw = append(raw, c.message...)
	if key != "" {
		raw = protowire.AppendString(protowire.AppendTag(raw, keyField, protowire.BytesType), key)
	}
	return raw, nil
}

// structured writes an event as JSON. Its attributes are there too where they fit, since the filter
// of a subscription cannot look into the data. Without a specversion no reader takes the message
// for one in binary mode.
func (c *encoder) structured(e leat.Event) error {
	body, err := e.AppendJSON(make([]byte, 0, e.Size()+e.Size()/8+256))
	if err != nil {
		return err
	}
	c.message, c.count = c.message[:0], 0
	c.message = protowire.AppendBytes(protowire.AppendTag(c.message, dataField, protowire.BytesType), body)
	c.attribute(contentType, wire.StructuredType)
	for name, value := range c.writer.Headers(e) {
		if strings.HasPrefix(name, prefix) && name != prefix+"specversion" && fits(name, value) &&
			c.count < googlepubsub.MostAttributes-traceAttributes {
			c.attribute(name, value)
		}
	}
	return nil
}

// fits reports whether Pub/Sub takes an attribute.
func fits(name, value string) bool {
	return len(name) <= googlepubsub.MostNameBytes && len(value) <= googlepubsub.MostValueBytes
}

// binary writes an event in binary mode, and reports whether it fits.
func (c *encoder) binary(e leat.Event) bool {
	for name, value := range c.writer.Headers(e) {
		if !fits(name, value) || c.count == googlepubsub.MostAttributes {
			return false
		}
		c.attribute(name, value)
	}
	c.message = protowire.AppendString(protowire.AppendTag(c.message, dataField, protowire.BytesType), e.DataString())
	return true
}

func (c *encoder) attribute(name, value string) {
	size := protowire.SizeTag(nameField) + protowire.SizeBytes(len(name)) + protowire.SizeTag(valueField) + protowire.SizeBytes(len(value))
	c.message = protowire.AppendVarint(protowire.AppendTag(c.message, attributeField, protowire.BytesType), uint64(size))
	c.message = protowire.AppendString(protowire.AppendTag(c.message, nameField, protowire.BytesType), name)
	c.message = protowire.AppendString(protowire.AppendTag(c.message, valueField, protowire.BytesType), value)
	c.count++
}

// decoder makes deliveries of messages. One goroutine uses it.
type decoder struct {
	topic   string
	mapping foreign.Mapping
	reader  wire.Reader
	message message
	names   map[string]string // of attributes
}

// decode makes the delivery of a message, without its lease, and returns the size that counts
// against MaxInFlightBytes. It keeps nothing of the response.
func (c *decoder) decode(m *message, d *leat.Delivery) (size int) {
	d.Position, d.Deliveries = leat.Position{ID: m.id}, m.attempt
	c.reader.Begin(binding(), len(m.headers))
	for _, h := range m.headers {
		if !m.skips(h) {
			c.reader.Add(h.Name, h.Value)
		}
	}
	e, err := c.reader.Event(m.data)
	d.Trace = c.reader.Trace()
	c.reader.Reset()
	size = m.size + wire.Excess(len(m.headers))
	if err != nil {
		headers, key, body := m.kept()
		if c.mapping != nil {
			e, err = c.mapping.Event(foreign.Message{
				Topic: c.topic, ID: m.id, Position: d.Position, Time: m.time(), Key: key, Headers: headers,
				ContentType: wire.Find(headers, contentType), Body: body, Err: err,
			})
		}
		if err != nil {
			d.Malformed = &leat.Malformed{Headers: headers, Key: key, Body: body, Reason: err}
			return max(size, d.Malformed.Size())
		}
	}
	if d.Event = e; e.Key() == "" {
		d.Key = string(m.key)
	}
	return max(size, e.Size())
}
