package kafka

import (
	"bytes"
	"errors"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/wire"
	"github.com/leatgo/leat/internal/view"
	"github.com/twmb/franz-go/pkg/kgo"
)

// binding is the CloudEvents Kafka binding.
func binding() wire.Binding { return wire.Binding{Prefix: "ce_", ContentType: contentTypeHeader} }

const (
	contentTypeHeader = "content-type"
	keyHeader         = "ce_partitionkey"
)

// encoder turns the events of one publish into records. It keeps their headers, and the bytes that
// are not those of the events, in one piece each, whatever the number of events.
type encoder struct {
	structured bool // in structured mode, else in binary mode
	keyed      bool // the event's key becomes the record's
	copies     bool // records share nothing with their events; else they refer to their bytes
	most       int  // bytes that a record may have to be in structured mode; 0 means any number

	text    []byte // what is copied, or made of the events
	headers []kgo.RecordHeader
	writer  wire.Writer
	trace   *leat.TraceContext // of the publish, which every record gets
	further func(e leat.Event) ([]leat.Header, error)
}

// What an encoder has room for at first; more costs an allocation.
const (
	typicalHeaders = 9   // of a record on its own
	typicalSyntax  = 128 // bytes that JSON adds to those of an event
)

// EncodeRecord returns the record that [Broker.Publish] makes of an event, with the event's Key as
// its key, without a topic and without the headers of [Options].WriteHeaders: in binary mode,
// unless the event's data is an event itself, by its content type. It is for those who produce with
// a client of their own, in a transaction for instance. The record shares nothing with the event.
// The error is an [*leat.Error] with [leat.CodeInvalid] for the zero Event; what else makes an
// event unfit to be published is found by [leat.Event.Validate].
func EncodeRecord(e leat.Event) (*kgo.Record, error) {
	if e.IsZero() {
		return nil, &leat.Error{Op: "encode", Code: leat.CodeInvalid, Err: errors.New("the zero Event is no event")}
	}
	both := &struct {
		record  kgo.Record
		headers [typicalHeaders]kgo.RecordHeader
	}{}
	n := encoder{keyed: true, copies: true, text: make([]byte, 0, e.Size()), headers: both.headers[:0]}
	if err := n.encode(&both.record, e); err != nil {
		return nil, err
	}
	return &both.record, nil
}

// begin makes room for the events, in the memory of earlier ones where that is enough.
func (n *encoder) begin(events []leat.Event, structured, keyed bool, trace *leat.TraceContext) {
	n.structured, n.keyed, n.trace = structured, keyed, trace
	size, headers := 0, 0
	if trace != nil {
		headers = 2 * len(events)
	}
	switch {
	case structured:
		for _, e := range events { // what is no text needs a third more for base64
			size += e.Size() + typicalSyntax + len(e.DataString())/3
		}
		headers += len(events)
	case len(events) > 0: // the events of one publish are mostly alike
		for range events[0].Attributes() {
			headers += len(events)
		}
		if n.further != nil { // most often one
			headers += len(events)
		}
	}
	if cap(n.text) < size {
		n.text = make([]byte, 0, size)
	}
	if cap(n.headers) < headers {
		n.headers = make([]kgo.RecordHeader, 0, headers)
	}
}

// addTrace appends the headers of the trace context.
func (n *encoder) addTrace() {
	if n.trace == nil {
		return
	}
	n.headers = append(n.headers, kgo.RecordHeader{Key: wire.TraceParent, Value: n.put(n.trace.Parent)})
	if n.trace.State != "" {
		n.headers = append(n.headers, kgo.RecordHeader{Key: wire.TraceState, Value: n.put(n.trace.State)})
	}
}

// reset forgets what was encoded, and keeps its memory. Nothing that was encoded may be in use any
// more.
func (n *encoder) reset() {
	clear(n.headers)
	n.text, n.headers, n.trace = n.text[:0], n.headers[:0], nil
}

// encode fills in r's key, headers and value. An event that is too large in structured mode, since
// JSON escapes its text or has its bytes in base64, is written in binary mode, which adds next to
// nothing.
func (n *encoder) encode(r *kgo.Record, e leat.Event) error {
	if n.structured || wire.ModeOf(e.DataContentType()) != wire.Binary { // that of its data, by which the record would be read
		if fits, err := n.encodeStructured(r, e); fits || err != nil {
			return err
		}
	}
	var further []leat.Header
	if n.further != nil {
		var err error
		if further, err = furtherHeaders(n.further, e); err != nil {
			return err
		}
	}
	n.encodeBinary(r, e, further)
	return nil
}

// put returns the bytes of s. What was returned before stays as it is when the text outgrows its
// place.
//
// Without copies they are those of the event. The client reads a record's key, headers and value
// when it writes a request, and changes none of them in place. Where hooks see the records
// (mayEdit), and in EncodeRecord, they are copies. A copy instead costs publishes 8 to 27 % of
// their processor time (see parcel), and the memory of each event that waits once more.
func (n *encoder) put(s string) []byte {
	if !n.copies || s == "" {
		return view.Bytes(s) // not nil, which is a null value
	}
	begin := len(n.text)
	n.text = append(n.text, s...)
	return n.text[begin:len(n.text):len(n.text)]
}

// encodeBinary is binary mode (CloudEvents Kafka binding §3.2). No data is a null value, empty data
// an empty one.
func (n *encoder) encodeBinary(r *kgo.Record, e leat.Event, further []leat.Header) {
	if e.HasData() {
		r.Value = n.put(e.DataString())
	}
	begin := len(n.headers)
	n.writer.Binding = binding()
	for name, value := range n.writer.Headers(e) {
		h := kgo.RecordHeader{Key: name, Value: n.put(value)}
		n.headers = append(n.headers, h)
		if name == keyHeader && n.keyed && value != "" {
			r.Key = h.Value
		}
	}
	for _, h := range further {
		if n.copies {
			h.Value = bytes.Clone(h.Value)
		}
		n.headers = append(n.headers, kgo.RecordHeader{Key: h.Name, Value: h.Value})
	}
	n.addTrace()
	r.Headers = n.headers[begin:len(n.headers):len(n.headers)]
}

// encodeStructured is structured mode (§3.3). It reports whether the record is small enough, and
// leaves it as it is otherwise.
func (n *encoder) encodeStructured(r *kgo.Record, e leat.Event) (fits bool, err error) {
	begin := len(n.text)
	text, err := e.AppendJSON(n.text)
	if err != nil {
		return false, err
	}
	n.text = text
	if n.most > 0 && len(text)-begin+len(e.Key())+recordOverheadBytes > n.most {
		n.text = text[:begin]
		return false, nil
	}
	r.Value = text[begin:len(text):len(text)]
	if key := e.Key(); key != "" && n.keyed {
		r.Key = n.put(key)
	}
	at := len(n.headers)
	n.headers = append(n.headers, kgo.RecordHeader{Key: contentTypeHeader, Value: n.put(wire.StructuredType)})
	n.addTrace()
	r.Headers = n.headers[at:len(n.headers):len(n.headers)]
	return true, nil
}
