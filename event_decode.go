package leat

import (
	"iter"
	"slices"
	"strings"
)

// span is a piece of a draft's text.
type span struct{ start, end int }

// draft collects what was read from a transport until it becomes an event. Names and values are put into one buffer, so that an event
// needs one string for its attributes and another for its data; an id that is kept somewhere does not keep the data.
type draft struct {
	text    []byte
	core    [coreCount]span
	seen    uint16 // the context attributes that came, null ones included, and specversion as bit coreCount
	version span
	ext     []draftExtension
}

type draftExtension struct {
	name, value span
	kind        attrKind
	null        bool
}

// seenAgain notes that the context attribute i came and reports whether it came before.
func (d *draft) seenAgain(i int) bool {
	again := d.seen&(1<<i) != 0
	d.seen |= 1 << i
	return again
}

// seal makes the event of what was collected, except for its data.
func (d *draft) seal() (*eventData, error) {
	text := string(d.text)
	p := &eventData{}
	for i, s := range d.core {
		p.core[i] = text[s.start:s.end]
	}
	if err := d.checkVersion(text[d.version.start:d.version.end]); err != nil {
		return p, err
	}
	for i := range p.core {
		v := p.core[i]
		if v == "" {
			if i <= attrType && d.core[i] == (span{}) {
				return p, &AttributeError{coreNames[i], "is missing", coreSpecs[i]}
			}
			if d.core[i] == (span{}) {
				continue
			}
		}
		if rule, spec := coreRule(i, v, maxValueDecoded); rule != "" {
			return p, &AttributeError{coreNames[i], rule, spec}
		}
	}
	return p, d.sealExtensions(p, text)
}

func (d *draft) checkVersion(v string) error {
	switch {
	case v == specVersion:
		return nil
	case d.version == (span{}):
		return &AttributeError{specVersionName, "is missing", specRequired + ": specversion"}
	}
	return &AttributeError{specVersionName, `is not "1.0"`, specRequired + ": specversion"}
}

// sealExtensions checks the extensions and puts them into p.
func (d *draft) sealExtensions(p *eventData, text string) error {
	slices.SortFunc(d.ext, func(a, b draftExtension) int {
		return strings.Compare(text[a.name.start:a.name.end], text[b.name.start:b.name.end])
	})
	if len(d.ext) > 0 {
		p.ext = make([]extension, 0, len(d.ext))
	}
	last := ""
	for i := range d.ext {
		x := &d.ext[i]
		name, value := text[x.name.start:x.name.end], text[x.value.start:x.value.end]
		if rule, spec := nameRule(name, maxExtensionNameDecoded); rule != "" {
			return &AttributeError{name, rule, spec}
		}
		if name == last {
			return duplicate(name)
		}
		last = name
		if x.null {
			continue
		}
		if len(value) > maxValueDecoded {
			return &AttributeError{name, tooLong(maxValueDecoded), specSize}
		}
		if x.kind == kindString {
			if rule := textRule(value); rule != "" {
				return &AttributeError{name, rule, specTypes + ": String"}
			}
		}
		if name == keyName {
			p.key, p.hasKey = value, true
			continue
		}
		p.poisoned = p.poisoned || name == leatReason
		p.ext = append(p.ext, extension{name: name, text: value, kind: x.kind})
	}
	return nil
}

func duplicate(name string) *AttributeError {
	return &AttributeError{name, "is there twice", specNames}
}

// decodeError wraps what is wrong with what was read. p may be nil.
func decodeError(p *eventData, err error) error {
	e := &Error{Op: "decode", Code: CodeInvalid, Err: err}
	if p != nil {
		e.EventID = p.core[attrID]
	}
	if a, ok := err.(*AttributeError); ok && a.Spec == specSize {
		e.Code = CodeTooLarge
	}
	return e
}

// DecodeEvent makes an event of the attributes of a transport, which name them without a prefix and carry their values as canonical
// strings (CloudEvents binary mode), and of the data, of which it takes a copy. It is what an adapter reads headers with, and the way
// back from [Event.Attributes]. specversion must be among the attributes, "1.0"; datacontenttype is one of them. Nil data means
// no data.
//
// The values become Strings, since headers have no types. Unlike [NewEvent] it takes up to 80 attributes, extension names of up to 128
// bytes, values of up to 64 KiB and names that begin with "leat". The error is an [*Error] with Op "decode".
func DecodeEvent[V ~string | ~[]byte](attributes iter.Seq2[string, V], data []byte) (Event, error) {
	var text [1 << 10]byte
	var ext [16]draftExtension
	d := draft{text: text[:0], ext: ext[:0]}
	var fail *AttributeError
	for name, value := range attributes {
		start := len(d.text)
		d.text = append(d.text, name...)
		nameEnd := len(d.text)
		d.text = append(d.text, value...)
		if fail = d.add(span{start, nameEnd}, span{nameEnd, len(d.text)}); fail != nil {
			break
		}
	}
	if fail != nil {
		return Event{}, decodeError(nil, fail)
	}
	p, err := d.seal()
	if err != nil {
		return Event{}, decodeError(p, err)
	}
	p.data, p.hasData = string(data), data != nil
	return p.decoded()
}

// add takes one attribute whose name and value are in d.text.
func (d *draft) add(name, value span) *AttributeError {
	if len(d.text) > maxEventBytes {
		return &AttributeError{"event", "has attributes of more than " + "1 MiB", specSize}
	}
	text := string(d.text[name.start:name.end])
	if i, ok := coreIndex(text); ok {
		if d.seenAgain(i) {
			return duplicate(text)
		}
		d.core[i] = value
		return nil
	}
	if text == specVersionName {
		if d.seenAgain(coreCount) {
			return duplicate(text)
		}
		d.version = value
		return nil
	}
	if len(d.ext) == maxAttributesDecoded {
		return tooManyAttributes()
	}
	d.ext = append(d.ext, draftExtension{name: name, value: value})
	return nil
}

func tooManyAttributes() *AttributeError {
	return &AttributeError{"event", "has more than 80 attributes", specSize}
}

// decoded counts what the limits need and returns the event if it keeps them.
func (d *eventData) decoded() (Event, error) {
	d.seal(maxAttributesDecoded)
	if d.err != nil {
		return Event{}, decodeError(d, limitError(d.attributes, maxAttributesDecoded, d.size))
	}
	return Event{d}, nil
}
