package leat

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/leatgo/leat/internal/jsontext"
)

// Limits of a JSON text. An event of 1 MiB may need more than that, for escapes and base64.
const (
	maxJSONBytes      = 8 << 20
	maxJSONBatchBytes = 16 << 20
)

// ParseEvent reads one event in the CloudEvents JSON event format 1.0.2; it keeps no part of data.
// The error is an [*Error] with Op "decode": [CodeTooLarge] for more than 1 MiB of event, 8 MiB of
// text or 80 attributes, else [CodeInvalid]. Its cause is an [*AttributeError] or says at which
// byte the JSON is malformed; it quotes nothing of the data.
//
// A member that is null is an attribute that is not set (§2.2). Extensions keep the types Boolean
// and Integer; strings are Strings. With a content type that is JSON, or none, the data is the text
// of the member data, byte for byte, JSON null included; with another one it is the content of the
// string (§3.1.2), or the text of the member where that is no string, and null is no data. A
// missing datacontenttype stays missing. Refused are: members that are there twice, data beside
// data_base64, fractions, objects and arrays as attributes, control characters and surrogate
// halves, nesting of more than 64 levels, and anything after the event.
func ParseEvent(data []byte) (Event, error) {
	r, err := newJSONReader(data, maxJSONBytes)
	if err != nil {
		return Event{}, err
	}
	e, err := r.event()
	if err == nil {
		err = r.end()
	}
	if err != nil {
		return Event{}, err
	}
	return e, nil
}

// UnmarshalJSON replaces *e by what [ParseEvent] reads. JSON null leaves it as it is.
func (e *Event) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	parsed, err := ParseEvent(data)
	if err == nil {
		*e = parsed
	}
	return err
}

// ParseEventBatch reads events in the CloudEvents JSON batch format 1.0.2 (§4), a JSON array of at
// most 16 MiB, each by the rules of [ParseEvent]. One malformed event makes the whole batch an
// error, which says which one it is.
func ParseEventBatch(data []byte) ([]Event, error) {
	r, err := newJSONReader(data, maxJSONBatchBytes)
	if err != nil {
		return nil, err
	}
	events, err := r.batch()
	if err == nil {
		err = r.end()
	}
	if err != nil {
		return nil, err
	}
	return events, nil
}

// batch reads the array that comes next.
func (r *jsonReader) batch() ([]Event, error) {
	if r.next() != '[' {
		return nil, r.fault(jsontext.FaultValue)
	}
	r.pos++
	events := []Event{}
	if r.next() == ']' {
		r.pos++
		return events, nil
	}
	for {
		e, err := r.event()
		if err != nil {
			if e, ok := errors.AsType[*Error](err); ok {
				e.Err = fmt.Errorf("event %d of the batch: %w", len(events), e.Err)
			}
			return nil, err
		}
		events = append(events, e)
		switch r.next() {
		case ',':
			r.pos++
		case ']':
			r.pos++
			return events, nil
		default:
			return nil, r.fault(jsontext.FaultComma)
		}
	}
}

// jsonReader reads events from a text that is known to be UTF-8.
type jsonReader struct {
	b   []byte
	pos int
}

func newJSONReader(b []byte, limit int) (jsonReader, error) {
	if len(b) > limit {
		return jsonReader{}, decodeError(nil, &AttributeError{"event", fmt.Sprintf("is JSON of more than %d bytes", limit), specSize})
	}
	if !utf8.Valid(b) {
		return jsonReader{}, decodeError(nil, &jsontext.SyntaxError{Offset: invalidUTF8(b), Fault: jsontext.FaultUTF8})
	}
	return jsonReader{b: b}, nil
}

func invalidUTF8(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(b)
}

// next skips white space and returns the byte after it, 0 at the end.
func (r *jsonReader) next() byte {
	if r.pos = jsontext.SkipSpace(r.b, r.pos); r.pos < len(r.b) {
		return r.b[r.pos]
	}
	return 0
}

func (r *jsonReader) fault(f jsontext.Fault) error {
	if r.pos >= len(r.b) {
		f = jsontext.FaultEnd
	}
	return decodeError(nil, &jsontext.SyntaxError{Offset: r.pos, Fault: f})
}

func (r *jsonReader) end() error {
	if r.next(); r.pos < len(r.b) {
		return r.fault(jsontext.FaultTrailing)
	}
	return nil
}

// event reads the object that comes next.
func (r *jsonReader) event() (Event, error) {
	var d draft
	var m dataMember
	if r.next() != '{' {
		return Event{}, r.fault(jsontext.FaultValue)
	}
	r.pos++
	if r.next() == '}' {
		r.pos++
	} else if err := r.members(&d, &m); err != nil {
		if a, ok := errors.AsType[*AttributeError](err); ok {
			err = decodeError(nil, a)
		}
		return Event{}, err
	}
	p, err := d.seal()
	if err == nil {
		err = m.decode(p)
	}
	if err != nil {
		return Event{}, decodeError(p, err)
	}
	return p.decoded()
}

// members reads the members of an object up to and including its '}'.
func (r *jsonReader) members(d *draft, m *dataMember) error {
	for {
		if r.next() != '"' {
			return r.fault(jsontext.FaultName)
		}
		name, err := r.string(d)
		if err != nil {
			return err
		}
		pos, f := jsontext.SkipColon(r.b, r.pos)
		if r.pos = pos; f != jsontext.FaultNone {
			return r.fault(f)
		}
		switch string(d.piece(name)) {
		case "data":
			err = r.data(m, false)
		case "data_base64":
			err = r.data(m, true)
		default:
			err = r.attribute(d, name)
		}
		if err != nil {
			return err
		}
		switch r.next() {
		case ',':
			r.pos++
		case '}':
			r.pos++
			return nil
		default:
			return r.fault(jsontext.FaultComma)
		}
	}
}

// string puts the string at pos, without its escapes, into d.
func (r *jsonReader) string(d *draft) (span, error) {
	first := r.pos + 1
	end, escaped, f := jsontext.SkipString(r.b, first)
	if f != jsontext.FaultNone {
		r.pos = end
		return span{}, r.fault(f)
	}
	raw := r.b[first : end-1]
	if escaped {
		var ok bool
		if raw, ok = jsontext.Unescape(make([]byte, 0, len(raw)), raw); !ok {
			return span{}, r.fault(jsontext.FaultSurrogate)
		}
	}
	r.pos = end
	return d.put(raw), nil
}

// attribute reads the value of a member that is an attribute.
func (r *jsonReader) attribute(d *draft, name span) error {
	x := draftExtension{name: name}
	c := r.next()
	switch c {
	case '"':
		value, err := r.string(d)
		if err != nil {
			return err
		}
		x.value = value
	case '{', '[':
		return &AttributeError{cut(string(d.piece(name))), "is an object or array, which no CloudEvents type is", specJSONTypes}
	default:
		if r.pos >= len(r.b) {
			return r.fault(jsontext.FaultEnd)
		}
		end, f := jsontext.SkipScalar(r.b, r.pos)
		raw := r.b[r.pos:end]
		if r.pos = end; f != jsontext.FaultNone {
			return r.fault(f)
		}
		switch c {
		case 'n':
			x.null = true
		case 't', 'f':
			x.kind = kindBoolean
		default:
			x.kind = kindInteger
			var rule string
			if raw, rule = canonicalInteger(raw); rule != "" {
				return &AttributeError{cut(string(d.piece(name))), rule, specJSONTypes}
			}
		}
		x.value = d.put(raw)
	}
	if err := d.add(x); err != nil {
		return err
	}
	return nil
}

// canonicalInteger checks that a JSON number is an Integer and returns its canonical string, which
// differs for -0 only.
func canonicalInteger(raw []byte) (text []byte, rule string) {
	digits := bytes.TrimPrefix(raw, []byte("-"))
	if jsontext.SkipDigits(digits, 0) != len(digits) {
		return nil, "is a number with a fraction or exponent, which no CloudEvents type is"
	}
	n := int64(0)
	for _, c := range digits {
		if n = n*10 + int64(c-'0'); n > 1<<31 {
			break
		}
	}
	if n > 1<<31 || n == 1<<31 && len(digits) == len(raw) {
		return nil, "is outside of the 32 bits of the type Integer"
	}
	if n == 0 {
		return digits, ""
	}
	return raw, ""
}
