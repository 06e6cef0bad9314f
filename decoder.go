package leat

import (
	"hash/maphash"
	"slices"
	"strings"

	"github.com/leatgo/leat/internal/attribute"
)

// Decoder makes events of the attributes of a transport, one event after the other, as those of a
// stream come. The zero Decoder works. One goroutine uses it at a time, and no copy beside it,
// because the copy has the same values.
//
// It keeps attribute values that repeat, such as sources and types, so that they are checked once
// and events share them. That takes about 50 KB at most.
type Decoder struct {
	begun bool
	known *knownValues // nil up to the second event: who reads one event alone needs none
}

// Decode makes an event of the attributes, named without the transport's prefix, with canonical
// strings as their values (CloudEvents binary mode), and of the data. It copies all of it. It is
// what an adapter reads headers with, and the way back from [Event.Attributes]. specversion must be
// among the attributes, "1.0", and datacontenttype is one of them. An attribute with a nil value is
// null and thereby unset, as in the JSON format; an empty one is not. Nil data means no data.
//
// The values become Strings, since headers have no types. Unlike [NewEvent] it takes up to 80
// attributes, extension names of up to 128 bytes, values of up to 64 KiB and names that begin with
// "leat". The error is an [*Error] with Op "decode" and [CodeInvalid] or [CodeTooLarge], whose
// cause is an [*AttributeError].
func (c *Decoder) Decode(attributes []Header, data []byte) (Event, error) {
	switch {
	case c.known != nil:
		if p := c.known.event(attributes); p != nil {
			p.data, p.hasData = string(data), data != nil
			return p.decoded()
		}
	case c.begun:
		c.known = &knownValues{seed: maphash.MakeSeed()}
	}
	c.begun = true
	return decodeEvent(attributes, data)
}

const (
	knownPlaces     = 128
	knownBytes      = 256      // of a value that is kept
	shortAttributes = 32       // of an event that is read the short way
	shortText       = 64 << 10 // bytes of its attributes
)

// What a value is, besides a context attribute.
const (
	isVersion = coreCount + iota // as draftIndex has it
	isKey
	isExtension
)

// knownValues is what a Decoder has learned: valid values that repeat, and names of extensions. A
// value is kept when it comes twice in a row, as the same attribute or at its place in the table.
// Values that do not repeat are not kept.
type knownValues struct {
	seed   maphash.Seed
	places [knownPlaces]recent
	last   [coreCount]recent // of context attributes
	names  []recentName      // of extensions
}

// recent is a value that is known, and the hash of the last one that was not.
type recent struct {
	text string
	hash uint64
}

// recentName is the name of an extension, and its value.
type recentName struct {
	recent

	name string
}

// event makes an event, without its data, of attributes as most events have them. It returns nil
// for others, of which decodeEvent knows what is wrong, if anything is: those with null attributes,
// with many or long ones, and the malformed. They cost up to twice the time.
func (k *knownValues) event(attributes []Header) *eventData {
	if len(attributes) > shortAttributes {
		return nil
	}
	var fresh pieces
	var extensions sortedNames
	p := &eventData{}
	total, seen := 0, 0
	for i := range attributes {
		name, value := attributes[i].Name, attributes[i].Value
		total += len(name) + len(value)
		if value == nil || total > shortText {
			return nil
		}
		is := kindOfName(name)
		if is == isExtension {
			if !extensions.add(k, name, i) {
				return nil
			}
			continue
		}
		if seen&(1<<is) != 0 {
			return nil
		}
		seen |= 1 << is
		switch is {
		case isVersion:
			if string(value) != specVersion {
				return nil
			}
		case attrID, attrTime, isKey: // which differ
			fresh.add(i, is, 0, value)
		default:
			if p.core[is] = k.find(is, &k.last[is], value); p.core[is] == "" {
				fresh.add(i, is, 0, value)
			}
		}
	}
	const required = 1<<isVersion | 1<<attrID | 1<<attrSource | 1<<attrType
	if seen&required != required {
		return nil
	}
	if extensions.n > 0 {
		p.ext = make([]extension, extensions.n)
	}
	for i := range p.ext {
		x := &extensions.all[i]
		known, value := &k.names[x.name], attributes[x.attribute].Value
		p.ext[i].name = known.name
		p.poisoned = p.poisoned || known.name == leatReason
		if p.ext[i].text = k.find(isExtension, &known.recent, value); p.ext[i].text == "" {
			fresh.add(int(x.attribute), isExtension, i, value)
		}
	}
	if !fresh.fill(p, attributes) {
		return nil
	}
	return p
}

// kindOfName returns what the attribute of a name is.
func kindOfName(name string) int {
	if i, isContext := draftIndex(name); isContext {
		return i
	}
	if name == keyName {
		return isKey
	}
	return isExtension
}

// sortedNames are the extensions of an event, in the order of their names: which attribute each is,
// and which of the names that are known. They have no pointers, so that sorting them is quick.
type sortedNames struct {
	n   int
	all [shortAttributes]struct{ attribute, name int32 }
}

// add reports whether the name of an extension is in order, and another one than those before.
func (s *sortedNames) add(k *knownValues, name string, attribute int) bool {
	known := k.name(s.n, name)
	if known < 0 {
		return false
	}
	i := s.n
	for ; i > 0; i-- {
		before := k.names[s.all[i-1].name].name
		if before == name {
			return false
		}
		if before < name {
			break
		}
		s.all[i] = s.all[i-1]
	}
	s.all[i].attribute, s.all[i].name = int32(attribute), int32(known)
	s.n++
	return true
}

// name returns which of the known names a name is, or -1 where decodeEvent has to look at it. i is
// a guess.
func (k *knownValues) name(i int, name string) int {
	if i < len(k.names) && k.names[i].name == name {
		return i
	}
	if i := slices.IndexFunc(k.names, func(x recentName) bool { return x.name == name }); i >= 0 {
		return i
	}
	if len(k.names) == shortAttributes { // this event may use some of them
		clear(k.names)
		k.names = k.names[:0]
		return -1
	}
	if rule, _ := nameRule(name, maxExtensionNameDecoded); rule != "" {
		return -1
	}
	k.names = append(k.names, recentName{name: strings.Clone(name)})
	return len(k.names) - 1
}

// find returns the text of a value that is known, or "". last is what came as the same attribute.
func (k *knownValues) find(is int, last *recent, value []byte) string {
	if string(value) == last.text {
		return last.text
	}
	if len(value) == 0 || len(value) > knownBytes {
		return ""
	}
	// One text as two attributes has two places, because what is valid as one may be wrong as the
	// other, and what is found is not checked.
	hash := maphash.Bytes(k.seed, value) + uint64(is)
	place := &k.places[hash%knownPlaces]
	if place.text != string(value) {
		if place.hash != hash && last.hash != hash {
			place.hash, last.hash = hash, hash
			return ""
		}
		text := string(value)
		if !isValid(is, text) {
			return ""
		}
		place.text = text
	}
	last.text = place.text
	return place.text
}

// isValid reports whether decodeEvent takes a value of no more than shortText, of any attribute but
// the version.
func isValid(is int, v string) bool {
	if is > isVersion {
		return attribute.TextRule(v) == ""
	}
	rule, _ := coreRule(is, v, maxValueDecoded)
	return rule == ""
}

// pieces are the values of an event that are not known. They become one text.
type pieces struct {
	n, end int
	all    [shortAttributes]piece
}

// piece is a value: which attribute has it, what it is, of which extension, and where it ends in
// the text.
type piece struct{ attribute, is, extension, end int32 }

func (f *pieces) add(attribute, is, extension int, value []byte) {
	f.end += len(value)
	f.all[f.n] = piece{int32(attribute), int32(is), int32(extension), int32(f.end)}
	f.n++
}

// fill sets the values, and reports whether they are valid.
func (f *pieces) fill(p *eventData, attributes []Header) bool {
	var text strings.Builder
	text.Grow(f.end)
	for i := range f.all[:f.n] {
		text.Write(attributes[f.all[i].attribute].Value)
	}
	all, begin := text.String(), int32(0)
	for i := range f.all[:f.n] {
		a := &f.all[i]
		v := all[begin:a.end]
		begin = a.end
		if !isValid(int(a.is), v) {
			return false
		}
		switch a.is {
		case isKey:
			p.key, p.hasKey = v, true
		case isExtension:
			p.ext[a.extension].text = v
		default:
			p.core[a.is] = v
		}
	}
	return true
}
