package foreign

import (
	"fmt"
	"slices"

	"github.com/leatgo/leat"
)

// The attributes that rules are about.
const (
	attrVersion     = "specversion"
	attrID          = "id"
	attrSource      = "source"
	attrType        = "type"
	attrTime        = "time"
	attrContentType = "datacontenttype"
	attrSchema      = "dataschema"
	attrSubject     = "subject"
	attrSchemaURL   = "schemaurl"           // of CloudEvents 0.3
	attrEncoding    = "datacontentencoding" // of CloudEvents 0.3
	memberData      = "data"
	memberBase64    = "data_base64"
)

// isCore reports whether an attribute is one of those that CloudEvents 1.0 defines.
func isCore(name string) bool {
	switch name {
	case attrVersion, attrID, attrSource, attrType, attrTime, attrContentType, attrSchema, attrSubject:
		return true
	}
	return false
}

// kind is what the value of an attribute is in JSON. A header is text.
type kind uint8

const (
	kindText kind = iota
	kindBoolean
	kindNumber
	kindCompound // an object or an array
)

// attribute is one that a message has. Null ones, which are unset, are left out.
type attribute struct {
	name string
	text string // the content of a text, else the JSON
	kind kind
	raw  []byte // the JSON of the value as it came, nil in headers and once it is changed
}

// repair is an event while it is repaired: attributes that the rules change, the data and what was
// changed.
type repair struct {
	attributes []attribute
	notes      notes
	structured bool
	version03  bool // it was an event of CloudEvents 0.3

	body         []byte // the data of a message whose attributes are headers; nil means none
	data, base64 []byte // the JSON of the members of the same names; nil means that there is none
}

// rule changes what is wrong in one respect. An error means that the message cannot be repaired.
type rule func(r *repair) error

// rules are those about attributes, in the order in which they need each other.
func rules() []rule {
	return []rule{mendNames, mendVersion, mend03, mendScalars, dropEmpty, mendTime, mendSource, mendSchema}
}

// get returns an attribute, or nil.
func (r *repair) get(name string) *attribute {
	i := slices.IndexFunc(r.attributes, func(a attribute) bool { return a.name == name })
	if i < 0 {
		return nil
	}
	return &r.attributes[i]
}

// add adds an attribute that was a header.
func (r *repair) add(name, text string) {
	r.attributes = append(r.attributes, attribute{name: name, text: text})
}

// remove removes an attribute and returns its text.
func (r *repair) remove(name string) string {
	text := ""
	r.attributes = slices.DeleteFunc(r.attributes, func(a attribute) bool {
		if a.name == name {
			text = a.text
		}
		return a.name == name
	})
	return text
}

// set gives an attribute another text.
func (a *attribute) set(text string) { a.text, a.kind, a.raw = text, kindText, nil }

// event applies the rules and makes the event. reason is why the message was refused, or nil.
func (r *repair) event(reason error) (leat.Event, error) {
	for _, mend := range rules() {
		if err := mend(r); err != nil {
			return leat.Event{}, err
		}
	}
	if len(r.notes) == 0 && reason != nil {
		r.notes.kept(noteMessage, "read although it was refused") // such as a number in a header of AMQP, which is text by now
	}
	return r.finish()
}

// finish makes the event of what the rules have left, with the list of what they changed.
func (r *repair) finish() (leat.Event, error) {
	if len(r.notes) > 0 {
		text, err := r.notes.text(r.get(repairedName))
		if err != nil {
			return leat.Event{}, err
		}
		r.remove(repairedName)
		r.add(repairedName, text)
	}
	if r.structured {
		return leat.ParseEvent(r.json())
	}
	return r.decode()
}

// decode makes the event of a message whose attributes are headers.
func (r *repair) decode() (leat.Event, error) {
	headers := make([]leat.Header, len(r.attributes))
	for i, a := range r.attributes {
		headers[i] = leat.Header{Name: a.name, Value: []byte(a.text)}
	}
	return new(leat.Decoder).Decode(headers, r.body)
}

// attributeError says what is wrong with an attribute, without its value.
func attributeError(name, rule string) error {
	const most = 128
	if len(name) > most {
		name = name[:most] + "..."
	}
	return fmt.Errorf("attribute %q %s", name, rule)
}
