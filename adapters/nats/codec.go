package nats

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/foreign"
	"github.com/leatgo/leat/internal/mode"
	"github.com/leatgo/leat/internal/tracing"
	"github.com/nats-io/nats.go"
)

const (
	headerPrefix      = "ce-"
	contentTypeHeader = "Content-Type"
	structuredType    = "application/cloudevents+json"
	// dataHeader keeps the difference between empty data and none, which a payload does not have.
	dataHeader = "leat-data"
	emptyData  = "empty"
	pinHeader  = "Nats-Pin-Id"
)

// encoder makes messages of events. One goroutine uses it, and has sent a message before it makes the next.
type encoder struct {
	m       nats.Msg
	values  []string
	headers int // their bytes
	names   map[string]string
}

func newEncoder() *encoder {
	return &encoder{m: nats.Msg{Header: nats.Header{}}, names: map[string]string{}}
}

// encode returns the message of an event, in binary mode where that is wanted and fits.
func (c *encoder) encode(e leat.Event, trace *leat.TraceContext, o *Options) (*nats.Msg, error) {
	if !o.Structured {
		c.reset()
		c.binary(e)
		if c.trace(trace); c.headers <= mostHeaderBytes && c.headers+len(c.m.Data)+overheadBytes/2 <= o.MaxMessageBytes {
			return &c.m, nil
		}
	}
	c.reset()
	body, err := e.AppendJSON(nil)
	if err != nil {
		return nil, err
	}
	c.add(contentTypeHeader, structuredType)
	c.trace(trace)
	c.m.Data = body
	if size := c.headers + len(body) + overheadBytes/2; size > o.MaxMessageBytes {
		if o.Structured && 2*e.Size()+overheadBytes <= o.MaxMessageBytes { // binary mode may be the smaller one
			again := *o
			again.Structured = false
			return c.encode(e, trace, &again)
		}
		return nil, &leat.Error{Code: leat.CodeTooLarge, Err: fmt.Errorf(
			"the message has about %d bytes, and MaxMessageBytes is %d", size, o.MaxMessageBytes)}
	}
	return &c.m, nil
}

func (c *encoder) reset() {
	clear(c.m.Header)
	c.values, c.headers, c.m.Data = c.values[:0], 0, nil
}

func (c *encoder) add(name, value string) {
	c.values = append(c.values, value)
	n := len(c.values)
	c.m.Header[name] = c.values[n-1 : n : n]
	c.headers += len(name) + len(value) + len(": \r\n")
}

func (c *encoder) trace(t *leat.TraceContext) {
	if t == nil {
		return
	}
	c.add(tracing.Parent, t.Parent)
	if t.State != "" {
		c.add(tracing.State, t.State)
	}
}

func (c *encoder) binary(e leat.Event) {
	for name, value := range e.Attributes() {
		header, ok := c.names[name]
		if !ok {
			header = headerPrefix + name
			if len(c.names) < 1000 { // of extensions, which may be many
				c.names[name] = header
			}
		}
		c.add(header, escape(value))
	}
	if e.HasData() {
		if c.m.Data = e.Data(); len(c.m.Data) == 0 {
			c.add(dataHeader, emptyData)
		}
	}
}

// plain reports whether a byte of a header's value stays as it is (CloudEvents NATS binding 1.0.3, 3.1.3.2).
func plain(c byte) bool { return c > ' ' && c < 0x7f && c != '"' && c != '%' }

const hexDigits = "0123456789ABCDEF"

// escape percent-encodes the value of a header.
func escape(s string) string {
	i := 0
	for i < len(s) && plain(s[i]) {
		i++
	}
	if i == len(s) {
		return s
	}
	b := make([]byte, i, len(s)+16)
	copy(b, s)
	for ; i < len(s); i++ {
		if c := s[i]; plain(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return string(b)
}

// appendUnescaped undoes escape, and the quotes of older producers.
func appendUnescaped(b []byte, s string) ([]byte, error) {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = unquote(s[1 : len(s)-1])
	}
	if strings.IndexByte(s, '%') < 0 {
		return append(b, s...), nil
	}
	begin := len(b)
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) || unhex(s[i+1]) < 0 || unhex(s[i+2]) < 0 {
			return b, errors.New("a percent sign is not followed by two digits")
		}
		b = append(b, byte(unhex(s[i+1])<<4|unhex(s[i+2])))
		i += 2
	}
	if !utf8.Valid(b[begin:]) {
		return b, errors.New("what is percent-encoded is not valid UTF-8")
	}
	return b, nil
}

// unquote takes the backslashes out.
func unquote(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func unhex(c byte) int {
	switch c = mode.LowerByte(c); {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}

// decoder turns messages into deliveries. One goroutine uses it.
type decoder struct {
	topic string
	o     *Options
	attrs []leat.Header // scratch, as text is
	text  []byte
}

// decode fills in the event of d, with the message's key where it has none, or why the message is none, and
// the trace context.
func (c *decoder) decode(m *nats.Msg, published time.Time, d *leat.Delivery) {
	e, err := c.event(m)
	d.Trace = traceOf(m)
	if err != nil && c.o.Mapping != nil {
		e, err = c.o.Mapping.Event(c.message(m, published, err))
	}
	if err != nil {
		d.Malformed = &leat.Malformed{Headers: headersOf(m), Key: c.key(m), Body: bodyOf(m), Reason: err}
		return
	}
	d.Event = e
	if e.Key() == "" {
		d.Key = string(c.key(m))
	}
}

// key returns the key of a message, nil where it has none.
func (c *decoder) key(m *nats.Msg) []byte {
	if c.o.KeyHeader == "" {
		return nil
	}
	if values := m.Header[c.o.KeyHeader]; len(values) == 1 && values[0] != "" {
		return []byte(values[0])
	}
	return nil
}

func traceOf(m *nats.Msg) *leat.TraceContext {
	parents, states := m.Header[tracing.Parent], m.Header[tracing.State]
	if len(parents) != 1 {
		return nil
	}
	state := ""
	if len(states) == 1 {
		state = states[0]
	}
	return leat.NewTraceContext(parents[0], state)
}

func bodyOf(m *nats.Msg) []byte {
	if len(m.Data) == 0 {
		return nil
	}
	return m.Data
}

// headersOf returns the headers sorted by name: nats.go has them in a map. The pin differs by delivery.
func headersOf(m *nats.Msg) []leat.Header {
	var headers []leat.Header
	for _, name := range slices.Sorted(maps.Keys(m.Header)) {
		for _, value := range m.Header[name] {
			if name != pinHeader {
				headers = append(headers, leat.Header{Name: name, Value: []byte(value)})
			}
		}
	}
	return headers
}

// message is a message that could not be read, for a Mapping.
func (c *decoder) message(m *nats.Msg, published time.Time, reason error) foreign.Message {
	return foreign.Message{
		Topic: c.topic, ID: m.Header.Get(nats.MsgIdHdr), Time: published, Key: c.key(m), Headers: headersOf(m),
		ContentType: contentTypeOf(m), Body: bodyOf(m), Properties: map[string]string{"subject": m.Subject}, Err: reason,
	}
}

func contentTypeOf(m *nats.Msg) string {
	for _, name := range []string{contentTypeHeader, "content-type"} {
		if values := m.Header[name]; len(values) > 0 {
			return values[0]
		}
	}
	return ""
}

// errPlain is why a message is not an event that does not claim to be one.
var errPlain = fmt.Errorf("the message is not a CloudEvent: %w", foreign.ErrPlain)

// mostAttributes is how many attributes are looked at: more than an event can have.
const mostAttributes = 128

// event reads a message by its content type: batched, structured, or binary.
func (c *decoder) event(m *nats.Msg) (leat.Event, error) {
	contentType := contentTypeOf(m)
	switch {
	case mode.HasPrefix(contentType, mode.CloudEvents+"-batch"):
		return leat.Event{}, errors.New("the message is a batch of events, which NATS has no mode for; publish them one by one")
	case mode.HasPrefix(contentType, mode.CloudEvents):
		if !mode.IsJSON(contentType) {
			return leat.Event{}, errors.New("the message is in structured mode in a format other than JSON")
		}
		return leat.ParseEvent(m.Data)
	}
	version, err := c.collect(m)
	switch {
	case !version:
		return leat.Event{}, errPlain
	case err != nil:
		return leat.Event{}, err
	}
	data := m.Data
	if len(data) == 0 {
		data = nil
		if values := m.Header[dataHeader]; len(values) == 1 && values[0] == emptyData {
			data = []byte{}
		}
	}
	return leat.DecodeEvent(c.attrs, data)
}

// collect puts the attributes among the headers into attrs. It reports whether there is a specversion, also
// beside an error.
func (c *decoder) collect(m *nats.Msg) (version bool, err error) {
	if c.attrs, c.text = c.attrs[:0], c.text[:0]; cap(c.text) == 0 || cap(c.text) > mostHeaderBytes {
		c.text = make([]byte, 0, 1<<10) // a value that is empty is not nil
	}
	for name, values := range m.Header {
		if !mode.HasPrefix(name, headerPrefix) {
			continue
		}
		attribute := mode.Lower(name[len(headerPrefix):])
		version = version || attribute == "specversion"
		begin, wrong := len(c.text), error(nil)
		switch {
		case err != nil: // only the version matters any more
			continue
		case len(values) != 1:
			wrong = errors.New("it is there more than once")
		case len(c.attrs) == mostAttributes:
			wrong = &leat.Error{Op: "decode", Code: leat.CodeTooLarge, Err: errors.New("there are too many attributes")}
		default:
			c.text, wrong = appendUnescaped(c.text, values[0])
		}
		if wrong != nil {
			err = fmt.Errorf("the header %.40q: %w", name, wrong)
			continue
		}
		c.attrs = append(c.attrs, leat.Header{Name: attribute, Value: c.text[begin:len(c.text):len(c.text)]})
	}
	return version, err
}

// sizeOf is what a message counts against MaxInFlightBytes: no less than what is delivered of it.
func sizeOf(m *nats.Msg, d *leat.Delivery) int {
	if d.Malformed != nil {
		return max(m.Size(), d.Malformed.Size())
	}
	return max(m.Size(), d.Event.Size())
}
