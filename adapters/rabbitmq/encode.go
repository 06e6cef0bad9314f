package rabbitmq

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/wire"
	"github.com/leatgo/leat/internal/rabbit"
	amqp "github.com/rabbitmq/amqp091-go"
)

// wireBinding is how events are written and read. CloudEvents has no binding for AMQP 0-9-1; "ce-"
// is what its binding for AMQP 1.0 would say if ':' were not taken, and what Knative writes. The
// content type is a property. Empty data and no data have the same body.
func wireBinding() wire.Binding {
	return wire.Binding{Prefix: headerPrefix, AnyPrefix: true, Empty: "leat-data"}
}

const headerPrefix = "ce-"

// encoder turns events into messages. It is used by one goroutine at a time; what it returns is
// valid until the next call, which uses the same memory: amqp091-go has written a message when its
// publish returns. The zero encoder has no limits.
type encoder struct {
	structured bool
	frameBytes int // the connection's frame_max, into which headers and properties must fit; 0 means no limit
	bodyBytes  int // the largest body; 0 means no limit

	writer  wire.Writer
	headers amqp.Table // of the last message: values that are the same in the next one stay
	present []string   // headers of this message
	body    []byte
}

const (
	mostKeptBody = 64 << 10 // bytes of an encoder's body that are kept for the next message
	// contentBytes is what a header frame has besides names and values: its own head and end, the
	// class, the size, the flags, the lengths of the table and the properties, the delivery mode,
	// the timestamp, and a correlation id.
	contentBytes = 128
	fieldBytes   = 6 // of a header besides its name and value: a length each and the type
)

// encode returns the message of an event. Its CorrelationId is left for the publisher, who may put
// up to 64 bytes there. An event whose attributes do not fit into the headers of a message is
// written in structured mode, one whose JSON does not fit into a body in binary mode, if its
// attributes do. A trace context that does not fit beside them is left out. The error is an
// [*leat.Error], and certain: nothing was sent.
func (n *encoder) encode(e leat.Event, trace *leat.TraceContext) (amqp.Publishing, error) {
	if e.IsZero() {
		return amqp.Publishing{}, &leat.Error{Op: "encode", Code: leat.CodeInvalid, Err: errors.New("the zero Event is no event")}
	}
	p := amqp.Publishing{DeliveryMode: amqp.Persistent}
	if id := e.ID(); len(id) <= rabbit.LongestName {
		p.MessageId = id
	}
	if t := e.Time(); t.Unix() > 0 {
		p.Timestamp = t
	}
	if cap(n.body) > mostKeptBody {
		n.body = nil
	}
	var err error
	if n.structured || !n.encodeBinary(&p, e, trace) {
		err = n.encodeStructured(&p, e, trace)
	}
	if err == nil && n.structured && n.tooLarge(&p) { // JSON escapes text and has bytes in base64
		p.ContentType, p.Headers = "", nil
		n.encodeBinary(&p, e, trace)
	}
	if err == nil && n.tooLarge(&p) {
		err = &leat.Error{Op: "encode", EventID: e.ID(), Code: leat.CodeTooLarge,
			Err: fmt.Errorf("the message has %d bytes, and MaxMessageBytes is %d", len(p.Body), n.bodyBytes)}
	}
	return p, err
}

func (n *encoder) tooLarge(p *amqp.Publishing) bool {
	return n.bodyBytes > 0 && len(p.Body) > n.bodyBytes
}

// encodeBinary is binary mode. It returns false where the attributes do not fit into a frame.
func (n *encoder) encodeBinary(p *amqp.Publishing, e leat.Event, trace *leat.TraceContext) bool {
	n.begin()
	size := contentBytes + len(p.MessageId)
	for name, value := range n.writer.Headers(e) {
		switch {
		case name != "":
			size += n.put(name, value)
		case len(value) > rabbit.LongestName: // no property can have it
			size += n.put(headerPrefix+"datacontenttype", value)
		default:
			p.ContentType = value
			size += len(value)
		}
	}
	if n.frameBytes > 0 && size > n.frameBytes {
		p.ContentType = ""
		return false
	}
	n.putTrace(trace, size)
	n.forgetOthers()
	n.body = append(n.body[:0], e.DataString()...)
	p.Headers, p.Body = n.headers, n.body
	return true
}

// put sets a header, and returns how many bytes of a frame it takes.
func (n *encoder) put(name, value string) int {
	n.present = append(n.present, name)
	if last, ok := n.headers[name].(string); !ok || last != value {
		n.headers[name] = value // an allocation, for the interface
	}
	return fieldBytes + len(name) + len(value)
}

// encodeStructured is structured mode.
func (n *encoder) encodeStructured(p *amqp.Publishing, e leat.Event, trace *leat.TraceContext) error {
	body, err := e.AppendJSON(n.body[:0])
	if err != nil {
		return err
	}
	n.body = body
	p.ContentType, p.Body = wire.StructuredType, body
	if trace != nil {
		n.begin()
		n.putTrace(trace, contentBytes+len(p.MessageId)+len(wire.StructuredType))
		n.forgetOthers()
		p.Headers = n.headers
	}
	return nil
}

// begin begins a table of headers.
func (n *encoder) begin() {
	if n.headers == nil {
		n.headers, n.writer.Binding = amqp.Table{}, wireBinding()
	}
	n.present = n.present[:0]
}

// putTrace sets the headers of a trace context where a frame that has so many bytes has room for
// them.
func (n *encoder) putTrace(t *leat.TraceContext, size int) {
	if t == nil {
		return
	}
	if size += fieldBytes + len(wire.TraceParent) + len(t.Parent); n.frameBytes > 0 && size > n.frameBytes {
		return
	}
	n.put(wire.TraceParent, t.Parent)
	if size += fieldBytes + len(wire.TraceState) + len(t.State); t.State != "" && (n.frameBytes == 0 || size <= n.frameBytes) {
		n.put(wire.TraceState, t.State)
	}
}

// forgetOthers removes the headers of the last message that this one does not have.
func (n *encoder) forgetOthers() {
	if len(n.headers) > len(n.present) {
		maps.DeleteFunc(n.headers, func(name string, _ any) bool { return !slices.Contains(n.present, name) })
	}
}

// routingKey returns the routing key of an event.
func (o *Options) routingKey(topic string, e leat.Event) (string, error) {
	if o.RoutingKey == nil {
		return cut(e.Type()), nil
	}
	key := o.RoutingKey(topic, e)
	if len(key) > rabbit.LongestName {
		return "", &leat.Error{Op: "encode", Topic: topic, EventID: e.ID(), Code: leat.CodeInvalid,
			Err: fmt.Errorf("RoutingKey returned %d bytes; a routing key has at most %d", len(key), rabbit.LongestName)}
	}
	return key, nil
}

// cut returns as many characters of s as fit into a short string.
func cut(s string) string {
	if len(s) <= rabbit.LongestName {
		return s
	}
	end := rabbit.LongestName
	for end > rabbit.LongestName-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}
