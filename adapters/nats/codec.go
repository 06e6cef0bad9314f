package nats

import (
	"fmt"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/wire"
	"github.com/leatgo/leat/foreign"
	"github.com/nats-io/nats.go"
)

const (
	contentTypeHeader = "Content-Type"
	pinHeader         = "Nats-Pin-Id"
)

// binding is the CloudEvents NATS binding 1.0.3.
func binding() wire.Binding {
	return wire.Binding{
		Prefix: "ce-", ContentType: "content-type", TypeIsAttribute: true, Empty: "leat-data", Percent: true,
	}
}

// encoder makes messages of events. One goroutine uses it, and has sent a message before it makes
// the next.
type encoder struct {
	m       nats.Msg
	values  []string
	headers int // their bytes
	writer  wire.Writer
}

func newEncoder() *encoder {
	return &encoder{m: nats.Msg{Header: nats.Header{}}, writer: wire.Writer{Binding: binding()}}
}

// encode returns the message of an event, in binary mode where its headers are not too large for
// JetStream.
func (c *encoder) encode(e leat.Event, trace *leat.TraceContext, o *Options) (*nats.Msg, error) {
	fits := func() bool { return c.headers+len(c.m.Data)+overheadBytes/2 <= o.MaxMessageBytes }
	if !o.Structured {
		if c.binary(e, trace); c.headers <= mostHeaderBytes && fits() {
			return &c.m, nil
		}
	}
	body, err := e.AppendJSON(nil)
	if err != nil {
		return nil, err
	}
	c.begin(trace)
	c.add(contentTypeHeader, wire.StructuredType)
	if c.m.Data = body; fits() {
		return &c.m, nil
	}
	if c.binary(e, trace); c.headers > mostHeaderBytes || !fits() {
		return nil, &leat.Error{Code: leat.CodeTooLarge, Err: fmt.Errorf(
			"the message has about %d bytes, and MaxMessageBytes is %d", len(body), o.MaxMessageBytes)}
	}
	return &c.m, nil
}

// begin forgets the message before.
func (c *encoder) begin(trace *leat.TraceContext) {
	clear(c.m.Header)
	c.values, c.headers, c.m.Data = c.values[:0], 0, nil
	if trace != nil {
		c.add(wire.TraceParent, trace.Parent)
		if trace.State != "" {
			c.add(wire.TraceState, trace.State)
		}
	}
}

func (c *encoder) add(name, value string) {
	c.values = append(c.values, value)
	n := len(c.values)
	c.m.Header[name] = c.values[n-1 : n : n]
	c.headers += len(name) + len(value) + len(": \r\n")
}

func (c *encoder) binary(e leat.Event, trace *leat.TraceContext) {
	c.begin(trace)
	for name, value := range c.writer.Headers(e) {
		c.add(name, value)
	}
	c.m.Data = e.Data()
}

// decoder turns messages into deliveries. One goroutine uses it.
type decoder struct {
	topic  string
	o      *Options
	reader wire.Reader
}

// decode fills in the event of d, with the message's key where it has none, or why the message is
// none, and the trace context.
func (c *decoder) decode(m *nats.Msg, published time.Time, d *leat.Delivery) {
	c.reader.Begin(binding(), len(m.Header))
	for name, values := range m.Header {
		for _, value := range values {
			c.reader.AddText(name, value)
		}
	}
	e, err := c.reader.Event(m.Data)
	d.Trace = c.reader.Trace()
	c.reader.Reset()
	if err != nil && c.o.Mapping != nil {
		headers := headersOf(m)
		e, err = c.o.Mapping.Event(foreign.Message{
			Topic: c.topic, ID: m.Header.Get(nats.MsgIdHdr), Time: published, Key: c.key(m),
			Headers: headers, ContentType: wire.Find(headers, contentTypeHeader), Body: bodyOf(m),
			Properties: map[string]string{"subject": m.Subject}, Err: err,
		})
	}
	if err != nil {
		d.Malformed = &leat.Malformed{
			Headers: headersOf(m), Key: c.key(m), Body: bodyOf(m), Reason: err,
		}
		return
	}
	if d.Event = e; e.Key() == "" {
		d.Key = string(c.key(m))
	}
}

// key returns the key of a message, nil where it has none.
func (c *decoder) key(m *nats.Msg) []byte {
	values := m.Header[c.o.KeyHeader]
	if c.o.KeyHeader == "" || len(values) != 1 || values[0] == "" {
		return nil
	}
	return []byte(values[0])
}

func bodyOf(m *nats.Msg) []byte {
	if len(m.Data) == 0 {
		return nil
	}
	return m.Data
}

// headersOf returns the headers sorted by name: nats.go has them in a map. The pin differs by
// delivery.
func headersOf(m *nats.Msg) (headers []leat.Header) {
	one := func(value string) []byte { return []byte(value) }
	all := map[string]string{}
	for name, values := range m.Header {
		if name != pinHeader && len(values) > 0 {
			all[name] = values[0]
		}
	}
	for _, h := range wire.Sorted(nil, all, one) {
		headers = append(headers, h)
		for _, value := range m.Header[h.Name][1:] {
			headers = append(headers, leat.Header{Name: h.Name, Value: one(value)})
		}
	}
	return headers
}

// sizeOf is what a message counts against MaxInFlightBytes: no less than what is delivered of it.
func sizeOf(m *nats.Msg, d *leat.Delivery) int {
	size := m.Size() + wire.Excess(len(m.Header))
	if d.Malformed != nil {
		return max(size, d.Malformed.Size())
	}
	return max(size, d.Event.Size())
}
