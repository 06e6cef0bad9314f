package eventtest

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/leatgo/leat"
)

// shape is a kind of largest event, which some transport writes in more bytes than the event has.
type shape struct {
	name        string
	contentType string
	data        string // repeated
	quoted      bool   // the data is a JSON string of that
	attribute   string // repeated, the value of each further attribute
	attributes  int    // how many, with the key
	each        int    // bytes of a value
}

// shapes of the largest event. Data may become base64 or be escaped in JSON; attributes may be
// percent-encoded, escaped, or written twice, as the key is that is also one of the transport.
func largestShapes() []shape {
	const made, read = 4 << 10, 64 << 10 // the largest value of an attribute that Leat makes, and that it reads
	return []shape{
		{name: "bytes", contentType: "application/octet-stream", data: "\xff"},
		{name: "bytes without a content type", data: "\xff"},
		{name: "text of quotes", contentType: "text/plain", data: `"`},
		{name: "text of line ends", contentType: "text/plain; charset=utf-8", data: "\n"},
		{name: "text of control characters", contentType: "text/plain", data: "\x01"},
		{name: "JSON with escapes", contentType: "application/json", data: `\u0000`, quoted: true},
		{name: "JSON with U+FFFE", contentType: "application/json", data: "\ufffe", quoted: true},
		{name: "bytes that claim to be JSON", contentType: "application/json", data: "\xff"},
		{name: "bytes that claim to be an event", contentType: "application/cloudevents+json", data: "\xff"},
		{name: "text that claims to be an event", contentType: "application/cloudevents+xml", data: `"`},
		{name: "attributes of umlauts", contentType: "application/octet-stream", data: "\xff", attribute: "ü", attributes: 55, each: made},
		{name: "attributes of percent signs", contentType: "text/plain", data: `"`, attribute: "%", attributes: 55, each: made},
		{name: "long attributes of quotes", contentType: "text/plain", data: `"`, attribute: `"`, attributes: 70, each: read},
		{name: "long attributes of spaces", data: "\xff", attribute: " ", attributes: 70, each: read},
		{name: "many attributes", data: "\xff", attribute: "\\", attributes: 70, each: 8},
	}
}

// fill returns n bytes of a text, again and again.
func fill(text string, n int) string {
	s := strings.Repeat(text, n/len(text))
	return s + strings.Repeat("x", n-len(s))
}

// event returns the event of a shape that has exactly size bytes.
func (s shape) event(r *run, b leat.Broker, size int) leat.Event {
	headers := []leat.Header{
		{Name: "specversion", Value: []byte("1.0")}, {Name: "id", Value: []byte(s.name)}, {Name: "source", Value: []byte("/eventtest")},
		{Name: "type", Value: []byte("test.largest.v1")},
	}
	if s.contentType != "" {
		headers = append(headers, leat.Header{Name: "datacontenttype", Value: []byte(s.contentType)})
	}
	const longestName = len("partitionkey")
	room := size - 200 // for what is there already, and quotes
	most := cmp.Or(b.Limits().MaxAttributes, leatMaxAttributes) - len(headers)
	for i := range min(s.attributes, most) {
		each := min(s.each, room-longestName)
		if each <= 0 {
			break
		}
		name := fmt.Sprint("x", i)
		if i == 0 {
			name = "partitionkey"
		}
		headers = append(headers, leat.Header{Name: name, Value: []byte(fill(s.attribute, each))})
		room -= each + len(name)
	}
	bare, err := new(leat.Decoder).Decode(headers, nil)
	r.must(err, "making an event")
	data := size - bare.Size()
	if s.quoted {
		return bare.WithData(s.contentType, []byte(`"`+fill(s.data, data-2)+`"`))
	}
	return bare.WithData(s.contentType, []byte(fill(s.data, data)))
}

// leatMaxAttributes is Leat's own limit of the attributes of an event.
const leatMaxAttributes = 80

func checkLargestEventAnyBytes(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	ctx := leat.ContextWithTrace(r.ctx, longestTrace())
	for _, s := range largestShapes() {
		e := s.event(r, b, maxEvent(b))
		if err := e.Validate(); err != nil || e.Size() != maxEvent(b) {
			r.failf("%s: an event of %d bytes: %v", s.name, e.Size(), err)
		}
		if err := r.publish(ctx, b, topic, e)[0]; err != nil {
			r.notef("%s: an event of exactly MaxEventBytes was not taken: %v", s.name, err)
			continue
		}
		d := rd.take(1)[0]
		switch {
		case d.Malformed != nil:
			r.notef("%s: it came as malformed: %v", s.name, d.Malformed.Reason)
		case !d.Event.Equal(e):
			r.notef("%s: published %.200s\ndelivered %.200s", s.name, spellOut(e), spellOut(d.Event))
		}
		rd.settle(acked(), d)
	}
}
