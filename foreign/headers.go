package foreign

import (
	"slices"
	"strings"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/mode"
)

// prefixes are the spellings of an attribute's header: that of Kafka, that of HTTP and Knative,
// that of Spring and the SDKs for Java and Go, and that of the SDKs for Python and C#, the last two
// for AMQP.
func prefixes() [4]string { return [...]string{"ce_", "ce-", "cloudevents:", "cloudevents_"} }

// dataHeader is how the RabbitMQ adapter tells empty data from none.
const (
	dataHeader = "leat-data"
	emptyData  = "empty"
)

// headers are the attributes among a message's headers. Null ones are left out.
type headers struct {
	found   []header
	claimed bool              // they say that the message is a CloudEvent
	spring  map[string]string // the Java types of the headers, by name in lower case
	empty   bool              // an empty body is empty data
}

type header struct {
	prefix      int // of prefixes
	name, value string
}

// headersOf finds the attributes among the headers of a message.
func headersOf(m Message) headers {
	var h headers
	for i := range m.Headers {
		h.take(&m.Headers[i])
	}
	h.claimed = h.has(attrVersion)
	if m.Properties == nil { // it is Kafka's, whose adapter takes headers of the other spellings for no attributes
		own := h.of(0)
		if own.has(attrVersion) {
			h.found = own.found
		}
		h.claimed = own.has(attrVersion) || h.complete()
	}
	return h
}

func (h *headers) take(x *leat.Header) {
	if x.Value == nil {
		return
	}
	name := mode.Lower(x.Name)
	switch name {
	case springTypesHeader:
		h.spring = springTypes(x.Value)
	case dataHeader:
		h.empty = string(x.Value) == emptyData
	}
	for i, prefix := range prefixes() {
		if after, ok := strings.CutPrefix(name, prefix); ok {
			h.found = append(h.found, header{i, after, string(x.Value)})
			return
		}
	}
}

// of returns the attributes of one spelling.
func (h headers) of(prefix int) headers {
	own := slices.DeleteFunc(slices.Clone(h.found), func(x header) bool { return x.prefix != prefix })
	return headers{found: own}
}

func (h headers) has(name string) bool {
	return slices.ContainsFunc(h.found, func(x header) bool { return x.name == name })
}

// complete reports whether the attributes are there that each event has.
func (h headers) complete() bool {
	return h.has(attrVersion) && h.has(attrID) && h.has(attrSource) && h.has(attrType)
}

// fromHeaders reads a message in binary mode.
func fromHeaders(m Message, h headers, contentType string, n notes) (leat.Event, error) {
	r := &repair{notes: n, body: m.Body}
	if m.Body == nil && h.empty && m.Properties != nil {
		r.body = []byte{}
	}
	unquote(r, h)
	for _, x := range h.found {
		r.add(x.name, x.value)
	}
	noteSpellings(r, m, h)
	if err := mendContentType(r, contentType); err != nil {
		return leat.Event{}, err
	}
	return r.event(m.Err)
}

// noteSpellings notes spellings that the adapters do not take for attributes: those of AMQP and
// HTTP on Kafka, and more than one.
func noteSpellings(r *repair, m Message, h headers) {
	var spellings []string
	for i, prefix := range prefixes() {
		if len(h.of(i).found) > 0 {
			spellings = append(spellings, prefix)
		}
	}
	switch {
	case len(spellings) > 1:
		r.notes.kept(noteMessage, "headers that begin with "+strings.Join(spellings, " and "))
	case m.Properties == nil && spellings[0] != prefixes()[0]:
		r.notes.kept(noteMessage, "headers that begin with "+spellings[0])
	}
}
