package leat

import (
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/leatgo/leat/internal/attribute"
	"github.com/leatgo/leat/internal/jsontext"
)

// derive returns a copy of e changed by f. A copy of an event that came with more attributes than are allowed here keeps them.
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

// WithID returns e with another id. Like all With methods it returns an event that Validate refuses when the value is invalid, so
// that calls can be chained and checked once; publishing such an event fails.
func (e Event) WithID(id string) Event { return e.withCore(attrID, id) }

// WithSource returns e with another source, a URI-reference; "" removes it.
func (e Event) WithSource(source string) Event { return e.withCore(attrSource, source) }

// WithType returns e with another type.
func (e Event) WithType(eventType string) Event { return e.withCore(attrType, eventType) }

// WithSubject returns e with another subject; "" removes it.
func (e Event) WithSubject(subject string) Event { return e.withCore(attrSubject, subject) }

// WithDataSchema returns e with another dataschema, an absolute URI without a fragment; "" removes it.
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

// WithExtension returns e with an extension set or, by a nil value, removed. Names and types are those of [EventOptions].Extensions.
func (e Event) WithExtension(name string, value any) Event {
	return e.derive(func(d *eventData) {
		if name != keyName {
			d.ext = append(make([]extension, 0, len(d.ext)+1), d.ext...)
		}
		d.setExtension(name, value)
	})
}

// WithData returns e with a copy of data and its media type; "" removes the datacontenttype, nil data the data.
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

// Decode reads the JSON data of e into v, a pointer, as [JSONCodec] does; it is the inverse of [Event.WithJSON]. The error is an outcome
// of [Reject] around an [*Error] with Op "decode" and [CodeInvalid], like that of [EventType.Decode]: for an event without data, with
// data that is not JSON or does not fit into v, which may be changed in part then. It quotes nothing of the data. A v that is not a
// pointer, or a nil one, is the caller's mistake: that error has [CodeInvalid] too and rejects nothing.
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
