package wire

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/foreign"
	"github.com/leatgo/leat/internal/mode"
)

// Limits of what a [Reader] looks at and keeps.
const (
	mostAttributes = 128      // of a message: more than an event has, so that null ones fit
	headerBytes    = 40       // what a header takes up in memory besides its name and value
	typicalText    = 512      // bytes of text that there is room for at first
	mostText       = 64 << 10 // bytes of text that are kept for the next message
)

// Excess returns what the headers take up that no event can have. A stream counts it against
// MaxInFlightBytes, because empty headers cost next to nothing to send.
func Excess(headers int) int { return headerBytes * max(0, headers-mostAttributes) }

// Reader makes events of messages, one after the other. For each of them call [Reader.Begin], then
// add its headers, then call [Reader.Event]. One goroutine uses a Reader. It uses its memory again,
// and knows the attributes that repeat: use one for all messages of a stream, and do not copy it.
type Reader struct {
	binding Binding
	attrs   []leat.Header
	text    []byte // of values that were no bytes; nil would make an empty one null
	trace   Trace
	decoder leat.Decoder

	contentType []byte // of several, one of CloudEvents; nil for none
	types       int    // how many content types there are, null ones included
	prefix      string // of the attributes
	version     bool   // there is a specversion
	empty       bool   // an empty body is empty data
	err         error  // why the attributes cannot be read
}

// Begin begins a message that has about this many headers.
func (r *Reader) Begin(b Binding, headers int) {
	r.Reset()
	if r.binding != b { // it is nearly always the same
		r.binding = b
	}
	r.attrs = slices.Grow(r.attrs, min(headers, mostAttributes)+1) // and the content type
}

// Reset ends a message, so that a Reader that waits holds on to nothing of it but what a
// [github.com/leatgo/leat.Decoder] keeps.
func (r *Reader) Reset() {
	// Field by field, and only what was set: this runs twice for each message.
	if len(r.attrs) > 0 {
		clear(r.attrs)
		r.attrs = r.attrs[:0]
	}
	if r.text == nil || cap(r.text) > mostText {
		r.text = []byte{}
	}
	r.text = r.text[:0]
	if r.types > 0 {
		r.contentType, r.types = nil, 0
	}
	if r.err != nil {
		r.err = nil
	}
	if r.trace.any {
		r.trace = Trace{}
	}
	r.version, r.empty = false, false
}

// Add looks at a header, whatever its name. A nil value is null. It keeps value until the next
// [Reader.Reset], and does not change it. It reports whether the header is part of an event; those
// of a trace context are not.
func (r *Reader) Add(name string, value []byte) bool {
	if prefix, attribute := r.binding.split(name); prefix != "" {
		r.attribute(prefix, mode.Lower(attribute), value)
		return true
	}
	return r.addOther(name, value)
}

// addOther is Add for a header that is not an attribute.
func (r *Reader) addOther(name string, value []byte) bool {
	switch b := &r.binding; {
	case b.ContentType != "" && mode.Equal(name, b.ContentType):
		r.addType(value)
		return true
	case b.Empty != "" && name == b.Empty && string(value) == Empty:
		r.empty = true
		return true
	}
	r.trace.Add(name, value)
	return false
}

// AddText is [Reader.Add] for transports whose headers are text. Here an empty content type is
// none.
func (r *Reader) AddText(name, value string) bool {
	if prefix, attribute := r.binding.split(name); prefix != "" {
		r.attribute(prefix, mode.Lower(attribute), r.put(value))
		return true
	}
	isType := r.binding.ContentType != "" && mode.Equal(name, r.binding.ContentType)
	switch {
	case isType && value == "":
		return true
	case !isType && len(value) > longestTrace:
		if name != TraceParent && name != TraceState {
			return false // nothing that an event needs, and not worth a copy
		}
		value = value[:longestTrace+1] // Trace refuses it for its length
	}
	return r.addOther(name, r.put(value))
}

// AddValue is [Reader.Add] for transports whose headers have types, see [AppendValue].
func (r *Reader) AddValue(name string, value any) bool {
	switch v := value.(type) {
	case nil:
		return r.Add(name, nil)
	case string:
		return r.AddText(name, v)
	}
	attribute, ok := r.binding.Attribute(name)
	if !ok {
		v, isBytes := value.([]byte)
		return isBytes && r.Add(name, v)
	}
	begin := len(r.text)
	if r.text, ok = AppendValue(r.text, attribute, value); !ok && r.err == nil {
		r.err = fmt.Errorf("the attribute %.40q is %s on the wire, which no CloudEvents type is",
			attribute, kindOf(value))
	}
	return r.Add(name, r.text[begin:len(r.text):len(r.text)])
}

// ContentType takes the content type of a transport that has a field for it. "" is none.
func (r *Reader) ContentType(value string) {
	if value != "" {
		r.addType(r.put(value))
	}
}

func (r *Reader) put(value string) []byte {
	if cap(r.text) == 0 {
		r.text = make([]byte, 0, max(typicalText, len(value)))
	}
	begin := len(r.text)
	r.text = append(r.text, value...)
	return r.text[begin:len(r.text):len(r.text)]
}

func (r *Reader) addType(value []byte) {
	r.types++
	if r.types == 1 || ModeOf(value) != Binary {
		r.contentType = value
	}
}

// attribute takes an attribute. After an error only the version matters.
func (r *Reader) attribute(prefix, name string, value []byte) {
	r.version = r.version || name == versionName && value != nil
	switch {
	case r.err != nil:
		return
	case len(r.attrs) == 0:
		r.prefix = prefix
	case r.prefix != prefix && !r.binding.Mixed:
		r.err = fmt.Errorf("the message has attributes in headers that begin with %s and with %s; "+
			"which are meant is not known", min(prefix, r.prefix), max(prefix, r.prefix))
		return
	case len(r.attrs) == mostAttributes:
		r.err = &leat.Error{Op: "decode", Code: leat.CodeTooLarge, Err: fmt.Errorf(
			"the message has more than %d headers that begin with %s", mostAttributes, prefix)}
		return
	}
	if r.binding.Percent && value != nil {
		if value, r.err = r.unescape(name, value); r.err != nil {
			return
		}
	}
	r.attrs = append(r.attrs, leat.Header{Name: name, Value: value})
}

// Mode returns the mode of the message, or why it cannot be read.
func (r *Reader) Mode() (Mode, error) {
	m := ModeOf(r.contentType)
	switch {
	case m == Binary && !r.version:
		return m, errPlain
	case r.types > 1:
		return m, errors.New("the content-type is there twice")
	case m == Batch:
		return m, errors.New("the message is a batch of events; publish them one by one")
	case m == Structured && !mode.IsJSON(r.contentType):
		return m, errors.New("the message is in structured mode in a format other than JSON")
	case m == Structured:
		return m, nil
	case r.err == nil:
		r.err = r.mergeType()
	}
	return m, r.err
}

// errPlain is why a message is not an event that does not claim to be one.
var errPlain = fmt.Errorf("the message is not a CloudEvent: %w", foreign.ErrPlain)

// mergeType makes the content type the attribute datacontenttype. Some producers, Spring Cloud
// Function among them, write a header for that attribute, which counts if it does not contradict.
func (r *Reader) mergeType() error {
	if r.contentType == nil || r.binding.TypeIsAttribute {
		return nil
	}
	i := slices.IndexFunc(r.attrs, func(h leat.Header) bool { return h.Name == typeName })
	switch {
	case i < 0:
		r.attrs = append(r.attrs, leat.Header{Name: typeName, Value: r.contentType})
	case r.attrs[i].Value == nil:
		r.attrs[i].Value = r.contentType
	case !bytes.Equal(r.attrs[i].Value, r.contentType):
		return errors.New("the content type and the header for datacontenttype contradict each other")
	}
	return nil
}

// Attributes returns what [Reader.Decode] reads, after [Reader.Mode] has returned Binary. The
// caller may append to it, and then clears what it has appended. It is valid until the next
// [Reader.Reset].
func (r *Reader) Attributes() []leat.Header { return r.attrs }

// Data returns the data that a body is in binary mode, nil for none.
func (r *Reader) Data(body []byte) []byte {
	switch {
	case r.binding.Empty == "" || len(body) > 0:
		return body
	case r.empty:
		return []byte{}
	}
	return nil
}

// Event returns the event of the message that has this body, or why it has none. It copies
// everything.
func (r *Reader) Event(body []byte) (leat.Event, error) {
	switch m, err := r.Mode(); {
	case err != nil:
		return leat.Event{}, err
	case m == Structured:
		return leat.ParseEvent(body)
	}
	return r.Decode(r.attrs, r.Data(body))
}

// Decode makes an event of attributes and data, which it copies, with what it knows from earlier
// messages: see [github.com/leatgo/leat.Decoder].
func (r *Reader) Decode(attributes []leat.Header, data []byte) (leat.Event, error) {
	return r.decoder.Decode(attributes, data)
}

// Trace returns the trace context of the message, or nil.
func (r *Reader) Trace() *leat.TraceContext { return r.trace.Context() }

// Delivery returns the delivery of the message: its event or what is malformed, its trace context,
// and the transport's key where the event has none. headers are all that the message has; a
// [leat.Malformed] refers to them and to body.
func (r *Reader) Delivery(headers []leat.Header, key string, body []byte) (d leat.Delivery) {
	var err error
	if d.Event, err = r.Event(body); err != nil {
		d.Malformed = &leat.Malformed{Headers: headers, Body: body, Reason: err}
		if key != "" {
			d.Malformed.Key = []byte(key)
		}
	}
	if d.Event.Key() == "" {
		d.Key = key
	}
	d.Trace = r.Trace()
	return d
}
