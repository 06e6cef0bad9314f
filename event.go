package leat

import (
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/leatgo/leat/internal/attribute"
)

// Event is an immutable CloudEvents 1.0 event. It is one pointer wide: pass it by value. The zero
// Event is not an event; its accessors return zero values and Validate returns an error.
//
// Nothing changes an Event after it was made: the methods that begin with With return a new one,
// what the caller gave is copied, and what an accessor returns is a copy or a string. Events may be
// shared between goroutines. Two events with the same content are not ==; use Equal.
type Event struct{ p *eventData }

// eventData is what all copies of an Event share. It is never changed once an Event points to it.
type eventData struct {
	core       [coreCount]string // context attributes by their attr index, byte for byte; empty means absent
	key        string            // the extension partitionkey
	ext        []extension       // the other extensions, sorted by name
	data       string
	err        error // why the event is invalid; a missing source is not counted, as the Producer may fill it in
	size       int
	attributes int // how many attributes it has: the four required ones, source included even if missing, and the others
	hasData    bool
	hasKey     bool // an empty partitionkey, which only another producer can have set, is kept as well
	validJSON  bool // data is known to be what the JSON format can carry as it is; false means unknown
	poisoned   bool // it carries the poison queue's extensions and may use its reserve
}

// Limits of an event. Ordinary publishes leave poisonReserveBytes and some attributes free, which
// only poison publishes use.
const (
	maxEventBytes        = 1 << 20
	poisonReserveBytes   = 8 << 10
	maxAttributes        = 64
	maxAttributesDecoded = 80

	poisonReserveAttributes = maxAttributesDecoded - maxAttributes
)

var zeroEvent eventData //nolint:gochecknoglobals // what the zero Event reads; never written

func (e Event) d() *eventData {
	if e.p == nil {
		return &zeroEvent
	}
	return e.p
}

// ID returns the attribute id, which together with the source identifies the event.
func (e Event) ID() string { return e.d().core[attrID] }

// Source returns the attribute source, byte for byte.
func (e Event) Source() string { return e.d().core[attrSource] }

// SpecVersion returns "1.0", the version of CloudEvents; "" for the zero Event.
func (e Event) SpecVersion() string {
	if e.p == nil {
		return ""
	}
	return specVersion
}

// Type returns the attribute type.
func (e Event) Type() string { return e.d().core[attrType] }

// Subject returns the attribute subject, or "".
func (e Event) Subject() string { return e.d().core[attrSubject] }

// DataContentType returns the attribute datacontenttype, or "". Without it, JSON is to be assumed
// (CloudEvents JSON format 1.0.2 §3.1.2).
func (e Event) DataContentType() string { return e.d().core[attrContentType] }

// DataSchema returns the attribute dataschema, or "".
func (e Event) DataSchema() string { return e.d().core[attrSchema] }

// Time returns the attribute time to the nanosecond, or the zero Time where there is none. The leap
// second :60 is the first second of the next minute. TimeString has what was written.
func (e Event) Time() time.Time {
	t, _ := attribute.ParseTime(e.d().core[attrTime])
	return t
}

// TimeString returns the attribute time as it was written, or "".
func (e Event) TimeString() string { return e.d().core[attrTime] }

// Key returns the extension partitionkey, or "". Events with equal keys keep their order.
func (e Event) Key() string { return e.d().key }

// Extension returns the value of an extension, partitionkey included, and whether it is there. The
// value is a bool, int32, string, []byte (a copy), [URI], [URIRef] or [time.Time]. A transport
// keeps the text of a value, not always the type: after JSON, what was neither bool nor int32 is a
// string, and after transports that only know text, everything is.
func (e Event) Extension(name string) (value any, ok bool) {
	text, value, ok := e.extension(name) // small enough to be inlined: then a text costs its reader no allocation
	if text != "" {
		return text, true
	}
	return value, ok
}

// extension returns the value of an extension, as text where it is one that is not empty.
func (e Event) extension(name string) (text string, value any, ok bool) {
	d := e.d()
	if name == keyName {
		if d.hasKey {
			return d.key, "", true
		}
		return "", nil, false
	}
	for i := range d.ext {
		x := &d.ext[i]
		if x.name != name {
			continue
		}
		if x.kind == kindString {
			return x.text, "", true
		}
		return "", x.value(), true
	}
	return "", nil, false
}

// Extensions returns the extensions, partitionkey included, sorted by name, with values as
// Extension returns them.
func (e Event) Extensions() iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		for x := range e.d().extensions {
			if !yield(x.name, x.value()) {
				return
			}
		}
	}
}

// extensions calls yield for each extension in the order of their names, until it returns false.
func (d *eventData) extensions(yield func(x extension) bool) {
	keyLeft := d.hasKey
	for i := range d.ext {
		if keyLeft && d.ext[i].name > keyName {
			keyLeft = false
			if !yield(extension{name: keyName, text: d.key}) {
				return
			}
		}
		if !yield(d.ext[i]) {
			return
		}
	}
	if keyLeft {
		yield(extension{name: keyName, text: d.key})
	}
}

// Attributes returns all attributes that are set, specversion first, extensions last and sorted,
// each with the canonical string form of its value (CloudEvents 1.0.2, Type System). It is what an
// adapter writes into headers; [Decoder] is the way back.
func (e Event) Attributes() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		d := e.d()
		if e.p == nil || !yield(specVersionName, specVersion) {
			return
		}
		for i, v := range &d.core {
			if v != "" && !yield(coreNames[i], v) {
				return
			}
		}
		for x := range d.extensions {
			if !yield(x.name, x.text) {
				return
			}
		}
	}
}

// HasData reports whether the event has data, which may be empty.
func (e Event) HasData() bool { return e.d().hasData }

// Data returns a copy of the data: nil when there is none, empty but not nil when it is empty.
func (e Event) Data() []byte {
	d := e.d()
	if !d.hasData {
		return nil
	}
	b := make([]byte, len(d.data))
	copy(b, d.data)
	return b
}

// DataString returns the bytes of the data as a string, without a copy; "" when there is none.
func (e Event) DataString() string { return e.d().data }

// Size returns the bytes of all attribute names and values and of the data. It does not depend on a
// transport and costs nothing.
func (e Event) Size() int { return e.d().size }

// IsZero reports whether e is the zero Event, which is not an event.
func (e Event) IsZero() bool { return e.p == nil }

// Validate returns nil for an event that can be published, else an [*Error] with [CodeInvalid] or
// [CodeTooLarge] whose cause is an [*AttributeError]: for the zero Event, for an event without a
// source, and for the first invalid value that a With method got.
func (e Event) Validate() error {
	d := e.d()
	switch {
	case e.p == nil:
		return eventError(d, CodeInvalid, &AttributeError{"event", "is the zero Event; make one with NewEvent or EventType.New", specRequired})
	case d.err != nil:
		return d.err
	case d.core[attrSource] == "":
		return eventError(d, CodeInvalid, &AttributeError{"source", "is missing", coreSpecs[attrSource]})
	}
	return nil
}

// Equal reports whether e and o have the same attributes, compared by their canonical strings, and
// the same data. An extension with the int32 5 and one with the string "5" are equal, since some
// transports cannot tell them apart. Times are compared as written.
func (e Event) Equal(o Event) bool {
	a, b := e.d(), o.d()
	if a == b {
		return true
	}
	if e.IsZero() != o.IsZero() || a.core != b.core || a.key != b.key || a.hasKey != b.hasKey ||
		a.data != b.data || a.hasData != b.hasData {
		return false
	}
	return slices.EqualFunc(a.ext, b.ext, func(x, y extension) bool { return x.name == y.name && x.text == y.text })
}

// String returns one line with type, id, source and size, safe to log: names are quoted and cut,
// and there is no data in it.
func (e Event) String() string {
	if e.IsZero() {
		return "no event"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "event %s id %s source %s (%d bytes)", quote(e.Type()), quote(e.ID()), quote(e.Source()), e.Size())
	return b.String()
}

// LogValue returns what String does as a group for [log/slog].
func (e Event) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", cut(e.ID())), slog.String("source", cut(e.Source())), slog.String("type", cut(e.Type())),
		slog.Int("size", e.Size()))
}

func cut(s string) string {
	const limit = 128
	if len(s) > limit {
		return s[:limit] + "..."
	}
	return s
}
