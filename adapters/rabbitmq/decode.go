package rabbitmq

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/foreign"
	"github.com/leatgo/leat/internal/mode"
	"github.com/leatgo/leat/internal/tracing"
	amqp "github.com/rabbitmq/amqp091-go"
)

// decoder turns messages into deliveries. It is used by one goroutine.
type decoder struct {
	topic   string
	mapping foreign.Mapping
	keyFrom keyFrom
	attrs   []leat.Header // scratch, as text is
	text    []byte
}

const (
	typicalText  = 512      // bytes that a decoder has for the attributes of a message at first
	mostKeptText = 64 << 10 // bytes that it keeps for the next message
)

// decode fills in the event of d, with the message's key where it has none, or why the message is none, and the trace context. d keeps
// nothing of m but what a Malformed has.
func (c *decoder) decode(m *amqp.Delivery, d *leat.Delivery) {
	e, err := c.event(m)
	d.Trace = traceOf(m)
	if cap(c.text) > mostKeptText {
		clear(c.attrs[:cap(c.attrs)])
		c.text = nil
	}
	if err != nil && c.mapping != nil {
		e, err = c.mapping.Event(c.message(m, err))
	}
	if err != nil {
		d.Malformed = &leat.Malformed{Headers: headersOf(m), Key: bytesOf(m.RoutingKey), Body: bodyOf(m), Reason: err}
		return
	}
	d.Event = e
	if e.Key() == "" {
		d.Key = string(c.keyFrom.key(m))
	}
}

// traceOf returns the trace context of a message. AMQP tables have one value for each name, and tell capitals from small letters.
func traceOf(m *amqp.Delivery) *leat.TraceContext {
	parent, ok := m.Headers[tracing.Parent]
	if !ok {
		return nil
	}
	return leat.NewTraceContext(shortText(parent), shortText(m.Headers[tracing.State]))
}

// shortText returns a value that is text or bytes, unless it is longer than any that is taken.
func shortText(value any) string {
	const most = 1 << 10
	switch v := value.(type) {
	case string:
		return v
	case []byte:
		if len(v) <= most {
			return string(v)
		}
	}
	return ""
}

// event reads a message by its content type, and by nothing else: batched, structured, or binary.
func (c *decoder) event(m *amqp.Delivery) (leat.Event, error) {
	if err := checkBody(m); err != nil {
		return leat.Event{}, err
	}
	switch {
	case mode.HasPrefix(m.ContentType, mode.CloudEvents+"-batch"):
		return leat.Event{}, errors.New("the message is a batch of events, which RabbitMQ has no mode for; publish them one by one")
	case mode.HasPrefix(m.ContentType, mode.CloudEvents):
		if !mode.IsJSON(m.ContentType) {
			return leat.Event{}, errors.New("the message is in structured mode in a format other than JSON")
		}
		return leat.ParseEvent(m.Body)
	}
	version, err := c.collect(m)
	if version {
		if err != nil {
			return leat.Event{}, err
		}
		return c.binary(m)
	}
	if _, ok := m.Headers[amqp10Headers]; ok {
		return leat.Event{}, errors.New("the message came by AMQP 1.0, whose properties this RabbitMQ does not convert; " +
			"publish it in structured mode, or use RabbitMQ 4")
	}
	return leat.Event{}, errPlain
}

// errPlain is why a message is not an event that does not claim to be one.
var errPlain = fmt.Errorf("the message is not a CloudEvent: %w", foreign.ErrPlain)

const (
	// amqp10Type is the type of a message that came by AMQP 1.0 and is not plain data: RabbitMQ leaves its body as AMQP 1.0 encodes it.
	amqp10Type = "amqp-1.0"
	// amqp10Headers is a header of RabbitMQ 3 with the properties of such a message, which later ones make headers of.
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
	for i := range headers { // bytes in an attribute are the type Binary for a Mapping as well
		h := &headers[i]
		prefix, bytes := prefixOf(h.Name), m.Headers[h.Name]
		if _, ok := bytes.([]byte); ok && prefix >= 0 {
			h.Value, _ = appendAttribute([]byte{}, mode.Lower(h.Name[len(prefixes()[prefix]):]), bytes)
		}
	}
	return foreign.Message{
		Topic: c.topic, ID: m.MessageId, Time: m.Timestamp, Key: c.keyFrom.key(m), Headers: headers, ContentType: m.ContentType,
		Body: bodyOf(m), Properties: properties, Err: reason,
	}
}

// mostAttributes is how many attributes are looked at: more than an event can have, nulls included.
const mostAttributes = 128

// prefixes are the spellings of an attribute's header, in lower case: ours and Knative's, that of Spring and the CloudEvents SDKs for
// Java and Go, that of the SDKs for Python and C#, and Kafka's.
func prefixes() [4]string { return [...]string{headerPrefix, "cloudevents:", "cloudevents_", "ce_"} }

// prefixOf returns which of the prefixes a header has, or -1. Names are compared without case, since some producers write them their
// own way.
func prefixOf(name string) int {
	if name == "" || mode.LowerByte(name[0]) != 'c' {
		return -1
	}
	for i, prefix := range prefixes() {
		if mode.HasPrefix(name, prefix) {
			return i
		}
	}
	return -1
}

// collect puts the attributes among the headers into attrs. What the broker and others add is no attribute: x-death, x-delivery-count
// and so on. It reports whether there is a specversion, also beside an error.
func (c *decoder) collect(m *amqp.Delivery) (version bool, err error) {
	if c.text == nil { // an empty piece of it must not be nil, which is null
		c.text = make([]byte, 0, typicalText)
	}
	c.attrs, c.text = c.attrs[:0], c.text[:0]
	spelling := -1
	for header, value := range m.Headers {
		i := prefixOf(header)
		if i < 0 {
			continue
		}
		name := mode.Lower(header[len(prefixes()[i]):])
		version = version || name == versionName && value != nil
		switch {
		case err != nil: // only the version matters any more
		case spelling >= 0 && spelling != i:
			err = fmt.Errorf("the message has attributes in headers that begin with %s and with %s; which are meant is not known",
				prefixes()[min(i, spelling)], prefixes()[max(i, spelling)])
		case len(c.attrs) == mostAttributes:
			err = &leat.Error{Op: "decode", Code: leat.CodeTooLarge,
				Err: fmt.Errorf("the message has more than %d headers that begin with %s", mostAttributes, prefixes()[i])}
		default:
			spelling = i
			err = c.add(name, value)
		}
	}
	return version, err
}

// add adds an attribute. One without a value is null, which is unset.
func (c *decoder) add(name string, value any) error {
	if value == nil {
		c.attrs = append(c.attrs, leat.Header{Name: name})
		return nil
	}
	begin := len(c.text)
	text, ok := appendAttribute(c.text, name, value)
	if !ok {
		return fmt.Errorf("the attribute %.40q is %s on the wire, which no CloudEvents type is", name, typeName(value))
	}
	c.text = text
	c.attrs = append(c.attrs, leat.Header{Name: name, Value: text[begin:len(text):len(text)]})
	return nil
}

// appendAttribute appends the canonical string of an attribute's value (CloudEvents 1.0.2, Type System).
func appendAttribute(dst []byte, name string, value any) ([]byte, bool) {
	switch v := value.(type) {
	case string:
		return append(dst, v...), true
	case []byte: // the type Binary, but for attributes that cannot be: there, a producer wrote its text so
		if isText(name) {
			return append(dst, v...), true
		}
		return base64.StdEncoding.AppendEncode(dst, v), true
	case float32, float64, amqp.Decimal, amqp.Table, []any:
		return dst, false
	}
	return appendScalar(dst, value)
}

// isText reports whether an attribute is a string of some kind.
func isText(name string) bool {
	switch name {
	case versionName, contentTypeName, "id", "source", "type", "time", "subject", "dataschema", "partitionkey", "traceparent", "tracestate":
		return true
	}
	return false
}

// binary reads a message in binary mode, whose attributes were collected.
func (c *decoder) binary(m *amqp.Delivery) (leat.Event, error) {
	if err := c.addContentType(m.ContentType); err != nil {
		return leat.Event{}, err
	}
	data := m.Body
	if len(data) == 0 {
		data = nil
		if mark, ok := m.Headers[dataHeader].(string); ok && mark == emptyData {
			data = []byte{}
		}
	}
	return leat.DecodeEvent(c.attrs, data)
}

// addContentType makes the property content_type the attribute datacontenttype. Some producers write a header for that in its place or
// beside it, as we do for a long one; it counts where it does not contradict.
func (c *decoder) addContentType(contentType string) error {
	if contentType == "" {
		return nil
	}
	begin := len(c.text)
	c.text = append(c.text, contentType...)
	value := c.text[begin:]
	i := slices.IndexFunc(c.attrs, func(a leat.Header) bool { return a.Name == contentTypeName })
	switch {
	case i < 0:
		c.attrs = append(c.attrs, leat.Header{Name: contentTypeName, Value: value})
	case c.attrs[i].Value == nil:
		c.attrs[i].Value = value
	case string(c.attrs[i].Value) != contentType:
		return errors.New("the property content_type and the header for datacontenttype contradict each other")
	}
	return nil
}

// deliveries returns how often a queue has delivered a message, this time included; 0 where it does not count, as only quorum queues do.
// What was not delivered before is delivered once, whatever a header says that its publisher wrote.
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

// headerBytes is what a header takes up beside its name and value.
const headerBytes = 40

// sizeOf is what a message counts against MaxInFlightBytes: no less than the event in it. Headers that no event can have count for what
// they take up, since empty ones are nearly free to send.
func sizeOf(m *amqp.Delivery) int {
	n := len(m.Body) + len(m.RoutingKey) + len(m.ContentType) + len(contentTypeName) + headerBytes*max(0, len(m.Headers)-mostAttributes)
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
	case amqp.Table:
		n := headerBytes
		for name, inner := range v {
			n += headerBytes + len(name) + valueSize(inner)
		}
		return n
	case []any:
		n := headerBytes
		for _, inner := range v {
			n += headerBytes + valueSize(inner)
		}
		return n
	case nil:
		return 0
	}
	return headerBytes // numbers and times, also as text
}

// bodyOf returns the body, nil where it is empty.
func bodyOf(m *amqp.Delivery) []byte {
	if len(m.Body) == 0 {
		return nil
	}
	return m.Body
}

// bytesOf returns s as bytes, nil where it is empty.
func bytesOf(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}
