package leat

import (
	"errors"
	"slices"
	"strings"

	"github.com/leatgo/leat/internal/attribute"
)

// span is a piece of a draft's text.
type span struct{ start, end int32 }

// draft collects what was read from a transport until it becomes an event. Names and values are put
// into one buffer, so that an event needs one string for its attributes and another for its data;
// an id that is kept somewhere does not keep the data. The arrays let a draft live on the stack.
type draft struct {
	small   [768]byte // with few no larger than what most events need, since both are cleared for each
	large   []byte    // used instead of small once that is full
	n       int       // bytes of text
	core    [coreCount]span
	version span
	seen    uint16 // the context attributes that came, null ones included; specversion is bit coreCount
	few     [12]draftExtension
	many    []draftExtension // used instead of few once that is full
	extLen  int
}

type draftExtension struct {
	name, value span
	kind        attrKind
	null        bool
}

// put appends b to the text.
func (d *draft) put(b []byte) span {
	start := d.n
	d.n += len(b)
	switch {
	case d.n <= len(d.small) && d.large == nil:
		copy(d.small[start:], b)
	case d.large == nil:
		d.large = make([]byte, 0, 2*d.n)
		d.large = append(d.large, d.small[:start]...)
		d.large = append(d.large, b...)
	default:
		d.large = append(d.large, b...)
	}
	return span{int32(start), int32(d.n)}
}

// text returns all that was put.
func (d *draft) text() []byte {
	if d.large != nil {
		return d.large
	}
	return d.small[:d.n]
}

// piece returns what was put into s.
func (d *draft) piece(s span) []byte { return d.text()[s.start:s.end] }

// seal makes the event of what was collected, except for its data.
func (d *draft) seal() (*eventData, error) {
	text := string(d.text())
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
	all := d.extensions()
	slices.SortFunc(all, func(a, b draftExtension) int {
		return strings.Compare(text[a.name.start:a.name.end], text[b.name.start:b.name.end])
	})
	if len(all) > 0 {
		p.ext = make([]extension, 0, len(all))
	}
	last := ""
	for i := range all {
		x := &all[i]
		name, value := text[x.name.start:x.name.end], text[x.value.start:x.value.end]
		if rule, spec := nameRule(name, maxExtensionNameDecoded); rule != "" {
			return &AttributeError{cut(name), rule, spec}
		}
		if name == last {
			return duplicate(cut(name))
		}
		last = name
		if x.null {
			continue
		}
		if len(value) > maxValueDecoded {
			return &AttributeError{cut(name), tooLong(maxValueDecoded), specSize}
		}
		if x.kind == kindString {
			if rule := attribute.TextRule(value); rule != "" {
				return &AttributeError{cut(name), rule, specTypes + ": String"}
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
	if a, ok := errors.AsType[*AttributeError](err); ok && a.Spec == specSize {
		e.Code = CodeTooLarge
	}
	return e
}

// decodeEvent makes an event of any attributes, or says what is wrong with them: see
// [Decoder.Decode].
func decodeEvent(attributes []Header, data []byte) (Event, error) {
	var d draft
	d.n = 1 // so that the span of no value, even of an empty first one, is that of an absent one
	for i := range attributes {
		if err := d.addNamed(attributes[i].Name, attributes[i].Value); err != nil {
			return Event{}, decodeError(nil, err)
		}
	}
	p, err := d.seal()
	if err != nil {
		return Event{}, decodeError(p, err)
	}
	p.data, p.hasData = string(data), data != nil
	return p.decoded()
}

// addNamed puts and takes one attribute. The names of context attributes are not kept.
func (d *draft) addNamed(name string, value []byte) *AttributeError {
	i, isCore := draftIndex(name)
	x := draftExtension{null: value == nil}
	if !isCore {
		x.name = d.put([]byte(name))
	}
	x.value = d.put(value)
	if isCore {
		return d.addCore(i, x)
	}
	return d.addExtension(x)
}

// add takes one attribute whose name and value were put. A null one counts as seen, no more.
func (d *draft) add(x draftExtension) *AttributeError {
	name := d.piece(x.name)
	if i, isCore := draftIndex(string(name)); isCore { // no allocation: the string is only compared
		return d.addCore(i, x)
	}
	return d.addExtension(x)
}

// draftIndex is coreIndex with specversion, which is coreCount.
func draftIndex(name string) (int, bool) {
	if name == specVersionName {
		return coreCount, true
	}
	return coreIndex(name)
}

// draftName is draftIndex the other way.
func draftName(i int) string {
	if i == coreCount {
		return specVersionName
	}
	return coreNames[i]
}

// extensions returns what addExtension has taken.
func (d *draft) extensions() []draftExtension {
	if d.many != nil {
		return d.many[:d.extLen]
	}
	return d.few[:d.extLen]
}

func (d *draft) addExtension(x draftExtension) *AttributeError {
	if err := d.tooLarge(); err != nil {
		return err
	}
	switch {
	case d.extLen == maxAttributesDecoded:
		return &AttributeError{"event", "has more than 80 attributes", specSize}
	case d.many == nil && d.extLen == len(d.few):
		d.many = make([]draftExtension, maxAttributesDecoded)
		copy(d.many, d.few[:])
	}
	d.extLen++
	d.extensions()[d.extLen-1] = x
	return nil
}

func (d *draft) tooLarge() *AttributeError {
	if d.n > maxEventBytes {
		return &AttributeError{"event", "has attributes of more than 1 MiB", specSize}
	}
	return nil
}

func (d *draft) addCore(i int, x draftExtension) *AttributeError {
	if err := d.tooLarge(); err != nil {
		return err
	}
	if d.seen&(1<<i) != 0 {
		return duplicate(draftName(i))
	}
	d.seen |= 1 << i
	switch {
	case x.null:
	case x.kind != kindString:
		return &AttributeError{draftName(i), "is no JSON string", specJSONTypes}
	case i == coreCount:
		d.version = x.value
	default:
		d.core[i] = x.value
	}
	return nil
}

// decoded counts what the limits need and returns the event if it keeps them.
func (d *eventData) decoded() (Event, error) {
	d.seal(maxAttributesDecoded)
	if d.err != nil {
		return Event{}, decodeError(d, limitError(d.attributes, maxAttributesDecoded, d.size))
	}
	return Event{d}, nil
}
