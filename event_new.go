package leat

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/leatgo/leat/internal/attribute"
	"github.com/leatgo/leat/internal/jsontext"
	"github.com/leatgo/leat/internal/uuid"
)

// EventOptions are the optional parts of a new [Event]. Attribute values have at most 4 KiB and are
// kept byte for byte; an event has at most 64 attributes and 1 MiB.
type EventOptions struct {
	// ID is unique for the source; equal source and id mean the same event. Empty means a new
	// UUIDv7 (RFC 9562).
	ID string
	// Source is the context in which the event happened, a URI-reference (RFC 3986 §4.1) such as
	// "/shop/checkout". Empty means that the [Producer] fills in its own.
	Source string
	// Subject is what the event is about within the source. Empty means none.
	Subject string
	// Time is when it happened; the zero Time means now, in UTC.
	Time time.Time
	// DataContentType is the media type (RFC 2046) of Data. Empty means none, which consumers of
	// the JSON format take as application/json; nothing is guessed from Data.
	DataContentType string
	// DataSchema is an absolute URI without a fragment (RFC 3986 §4.3). Empty means none.
	DataSchema string
	// Key is the extension partitionkey: events with equal keys keep their order. Empty means none.
	Key string
	// Extensions are further attributes. Names are 1 to 20 of a-z and 0-9 and do not begin with
	// "leat". Values are bool, an integer of at most 32 bits, string, []byte, [URI], [URIRef] or
	// [time.Time]; a nil value is none.
	Extensions map[string]any
	// Data is the payload. Nil means no data, which differs from empty data.
	Data []byte
}

// NewEvent returns an event of the given type, such as "com.example.order.placed.v1". A nil o means
// the defaults. The error is an [*Error] with [CodeInvalid] or [CodeTooLarge] whose cause is an
// [*AttributeError]. An event without a source is accepted here, but published only by a [Producer]
// that has one.
func NewEvent(eventType string, o *EventOptions) (Event, error) {
	if o == nil {
		o = &EventOptions{}
	}
	e := newEvent(eventType, o, nil)
	if e.p.err != nil {
		return Event{}, e.p.err
	}
	return e, nil
}

// newEvent returns the event, with the first error in it. dataErr, if not nil, is why there is no
// data.
func newEvent(eventType string, o *EventOptions, dataErr error) Event {
	d := &eventData{data: string(o.Data), hasData: o.Data != nil}
	d.core = [coreCount]string{
		attrID: o.ID, attrSource: o.Source, attrType: eventType,
		attrContentType: o.DataContentType, attrSchema: o.DataSchema, attrSubject: o.Subject,
	}
	d.fillIDAndTime(o.Time)
	if dataErr != nil {
		d.err = eventError(d, CodeInvalid, dataErr)
	}
	for i := range d.core {
		if i == attrTime || d.core[i] == "" && i != attrType {
			continue
		}
		if rule, spec := coreRule(i, d.core[i], maxValueBytes); rule != "" {
			d.fail(&AttributeError{coreNames[i], rule, spec})
		}
	}
	if o.Key != "" {
		d.setKey(o.Key)
	}
	if len(o.Extensions) > 0 {
		d.ext = make([]extension, 0, len(o.Extensions))
		for name, value := range o.Extensions {
			if name == keyName && o.Key != "" && value != o.Key {
				d.fail(&AttributeError{keyName, "is given twice, by Key and in Extensions", specPartitioning})
			}
			d.setExtension(name, value)
		}
	}
	d.seal(maxAttributes)
	return Event{d}
}

// fillIDAndTime sets the time, and the id if there is none; both share one string.
func (d *eventData) fillIDAndTime(t time.Time) {
	var buf [uuid.Len + len("2006-01-02T15:04:05.000000000+00:00")]byte
	b, n := buf[:0], 0
	now := t
	if d.core[attrID] == "" || t.IsZero() {
		now = time.Now().UTC()
	}
	if d.core[attrID] == "" {
		b, n = uuid.Append(b, now), uuid.Len
	}
	if t.IsZero() {
		t = now
	}
	b, ok := attribute.AppendTime(b, t)
	if !ok {
		d.fail(&AttributeError{"time", "has a year that RFC 3339 cannot write", coreSpecs[attrTime]})
	}
	s := string(b)
	if n > 0 {
		d.core[attrID] = s[:n]
	}
	d.core[attrTime] = s[n:]
}

// setKey sets partitionkey, without the allocation that setExtension needs for its any.
func (d *eventData) setKey(key string) {
	if len(key) > maxValueBytes {
		d.fail(&AttributeError{keyName, tooLong(maxValueBytes), specSize})
	} else if rule := attribute.TextRule(key); rule != "" {
		d.fail(&AttributeError{keyName, rule, specTypes + ": String"})
	}
	d.key, d.hasKey = key, true
}

// setExtension sets or, with a nil value, removes an extension of a d that no Event points to yet.
// d.ext is not shared.
func (d *eventData) setExtension(name string, value any) {
	i, found := slices.BinarySearchFunc(d.ext, name, func(x extension, name string) int { return cmp.Compare(x.name, name) })
	if value == nil && !strings.HasPrefix(name, reservedPrefix) {
		if name == keyName {
			d.key, d.hasKey = "", false
		} else if found {
			d.ext = slices.Delete(d.ext, i, i+1)
		}
		return
	}
	x, err := newExtension(name, value)
	switch {
	case err != nil:
		d.fail(err)
	case name == keyName:
		d.key, d.hasKey = x.text, true
	case found:
		d.ext[i] = x
	default:
		d.ext = slices.Insert(d.ext, i, x)
	}
}

// fail notes the first error of d.
func (d *eventData) fail(err *AttributeError) {
	if d.err == nil {
		d.err = eventError(d, CodeInvalid, err)
	}
}

func eventError(d *eventData, code Code, err error) error {
	return &Error{Op: opEvent, EventID: d.core[attrID], Code: code, Err: err}
}

// seal counts what Size and the limits need, once everything else of d is set.
func (d *eventData) seal(attributesLimit int) {
	n, size := 2, len(specVersionName)+len(specVersion)+len(d.data) // specversion and source
	for i, v := range &d.core {
		if v != "" {
			size += len(coreNames[i]) + len(v)
			if i != attrSource {
				n++
			}
		}
	}
	if d.hasKey {
		n++
		size += len(keyName) + len(d.key)
	}
	for i := range d.ext {
		n++
		size += len(d.ext[i].name) + len(d.ext[i].text)
	}
	d.attributes, d.size = n, size
	if d.err == nil {
		if err := limitError(n, attributesLimit, size); err != nil {
			d.err = eventError(d, CodeTooLarge, err)
		}
	}
}

func limitError(attributes, attributesLimit, size int) error {
	if attributes > attributesLimit {
		return &AttributeError{"event", fmt.Sprintf("has %d attributes; at most %d are allowed", attributes, attributesLimit), specSize}
	}
	if size > maxEventBytes {
		return &AttributeError{"event", fmt.Sprintf("has %d bytes; at most %d are allowed", size, maxEventBytes), specSize}
	}
	return nil
}

// derive returns a copy of e changed by f. A copy of an event that came with more attributes than
// are allowed here keeps them.
func (e Event) derive(f func(d *eventData)) Event {
	d := *e.d()
	limit := max(maxAttributes, d.attributes)
	if e.p == nil {
		d.err = e.Validate()
	}
	f(&d)
	d.seal(limit)
	return Event{&d}
}

// withCore returns a copy of e with one context attribute set or, by "", removed.
func (e Event) withCore(i int, v string) Event {
	return e.derive(func(d *eventData) {
		if v != "" || i == attrID || i == attrType {
			if rule, spec := coreRule(i, v, maxValueBytes); rule != "" {
				d.fail(&AttributeError{coreNames[i], rule, spec})
				return
			}
		}
		d.core[i] = v
	})
}

// WithID returns e with another id. Like all With methods it returns an event that Validate refuses
// when the value is invalid, so that calls can be chained and checked once; publishing such an
// event fails.
func (e Event) WithID(id string) Event { return e.withCore(attrID, id) }

// WithSource returns e with another source, a URI-reference; "" removes it.
func (e Event) WithSource(source string) Event { return e.withCore(attrSource, source) }

// WithType returns e with another type.
func (e Event) WithType(eventType string) Event { return e.withCore(attrType, eventType) }

// WithSubject returns e with another subject; "" removes it.
func (e Event) WithSubject(subject string) Event { return e.withCore(attrSubject, subject) }

// WithDataSchema returns e with another dataschema, an absolute URI without a fragment; "" removes
// it.
func (e Event) WithDataSchema(uri string) Event { return e.withCore(attrSchema, uri) }

// WithTime returns e with another time, in the zone of t; the zero Time removes it.
func (e Event) WithTime(t time.Time) Event {
	return e.derive(func(d *eventData) {
		if t.IsZero() {
			d.core[attrTime] = ""
			return
		}
		b, ok := attribute.AppendTime(nil, t)
		if !ok {
			d.fail(&AttributeError{"time", "has a year that RFC 3339 cannot write", coreSpecs[attrTime]})
			return
		}
		d.core[attrTime] = string(b)
	})
}

// WithKey returns e with another partitionkey; "" removes it.
func (e Event) WithKey(key string) Event {
	if key == "" {
		return e.WithExtension(keyName, nil)
	}
	return e.derive(func(d *eventData) { d.setKey(key) })
}

// WithExtension returns e with an extension set or, by a nil value, removed. Names and types are
// those of [EventOptions].Extensions.
func (e Event) WithExtension(name string, value any) Event {
	return e.derive(func(d *eventData) {
		if name != keyName {
			d.ext = append(make([]extension, 0, len(d.ext)+1), d.ext...)
		}
		d.setExtension(name, value)
	})
}

// WithData returns e with a copy of data and its media type; "" removes the datacontenttype, nil
// data the data.
func (e Event) WithData(contentType string, data []byte) Event {
	return e.withData(contentType, string(data), data != nil)
}

// WithText returns e with text as its data, and text/plain; charset=utf-8.
func (e Event) WithText(text string) Event { return e.withData(attribute.TextType, text, true) }

// WithJSON returns e with v as its data, written by [encoding/json], and application/json.
func (e Event) WithJSON(v any) Event {
	b, err := json.Marshal(v)
	if err != nil {
		return e.derive(func(d *eventData) {
			if d.err == nil {
				d.err = eventError(d, CodeInvalid, fmt.Errorf("data of type %T: %w", v, encodeFault(err)))
			}
		})
	}
	return e.derive(func(d *eventData) {
		d.core[attrContentType], d.data, d.hasData = attribute.JSONType, string(b), true
		d.validJSON = jsontext.MarshaledIsValid(d.data)
	})
}

// Decode reads the JSON data of e into v, a pointer, as [JSONCodec] does; it is the inverse of
// [Event.WithJSON]. The error is an outcome of [Reject] around an [*Error] with Op "decode" and
// [CodeInvalid], like that of [EventType.Decode]: for an event without data, with data that is not
// JSON or does not fit into v, which may be changed in part then. It quotes nothing of the data. A
// v that is not a pointer, or a nil one, is the caller's mistake: that error has [CodeInvalid] too
// and rejects nothing.
func (e Event) Decode(v any) error {
	invalid := func(err error) *Error { return &Error{Op: "decode", EventID: e.ID(), Code: CodeInvalid, Err: err} }
	if p := reflect.ValueOf(v); p.Kind() != reflect.Pointer || p.IsNil() {
		return invalid(fmt.Errorf("Decode needs a pointer to read into, not %T", v))
	}
	if err := decodeData(e, JSONCodec{}, v); err != nil {
		return Reject(invalid(err))
	}
	return nil
}

func (e Event) withData(contentType, data string, hasData bool) Event {
	return e.derive(func(d *eventData) {
		if contentType != "" {
			if rule, spec := coreRule(attrContentType, contentType, maxValueBytes); rule != "" {
				d.fail(&AttributeError{coreNames[attrContentType], rule, spec})
				return
			}
		}
		d.core[attrContentType], d.data, d.hasData = contentType, data, hasData
		d.validJSON = false
	})
}
