package foreign

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/mode"
)

// member is one of a JSON object.
type member struct {
	name string
	raw  json.RawMessage
}

const byteOrderMark = "\ufeff"

// members reads a JSON object whose members are an event's, in their order, duplicates included. A
// batch of one is its event. n says what was around the object.
func members(body []byte) (found []member, n notes, err error) {
	if rest, ok := bytes.CutPrefix(body, []byte(byteOrderMark)); ok {
		n.kept(noteMessage, "byte order mark removed")
		body = rest
	}
	body = bytes.TrimSpace(body)
	if bytes.HasPrefix(body, []byte("[")) {
		var batch []json.RawMessage
		if json.Unmarshal(body, &batch) != nil {
			return nil, nil, errNoEvent
		}
		if len(batch) != 1 {
			return nil, nil, fmt.Errorf("the message is a batch of %d events, and only a batch of one is one event", len(batch))
		}
		n.kept(noteMessage, "batch of one")
		body = batch[0]
	}
	found, err = object(body)
	return found, n, err
}

// object reads a JSON object. What is wrong with JSON is in the message's own reason: encoding/json
// would quote the data.
func object(body []byte) ([]member, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errNoEvent
	}
	var found []member
	for d.More() {
		t, err := d.Token()
		var x member
		x.name, _ = t.(string)
		if err != nil || d.Decode(&x.raw) != nil {
			return nil, errNoEvent
		}
		found = append(found, x)
	}
	if _, err := d.Token(); err != nil {
		return nil, errNoEvent
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errNoEvent
	}
	return found, nil
}

// isEvent reports whether a body is a CloudEvent in JSON beyond doubt.
func isEvent(body []byte) bool {
	if !bytes.Contains(body, []byte(`"`+attrVersion+`"`)) {
		return false // most plain messages, at little cost
	}
	found, _, err := members(body)
	if err != nil {
		return false
	}
	need := map[string]bool{attrVersion: true, attrID: true, attrSource: true, attrType: true}
	for _, x := range found {
		if string(x.raw) != "null" {
			delete(need, x.name)
		}
	}
	return len(need) == 0
}

// isData reports whether a body that is said to be an event is none: an object without a version,
// or neither an object nor an array. One that is cut off is not data.
func isData(body []byte) bool {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte(byteOrderMark)))
	if len(body) == 0 || body[0] != '{' {
		return len(body) == 0 || body[0] != '['
	}
	found, err := object(body)
	return err == nil && !slices.ContainsFunc(found, func(x member) bool { return mendName(x.name) == attrVersion })
}

// fromJSON reads a message in structured mode.
func fromJSON(m Message, contentType string, n notes) (leat.Event, error) {
	found, around, err := members(m.Body)
	if err != nil {
		return leat.Event{}, err
	}
	r := &repair{structured: true, notes: append(n, around...)}
	switch {
	case contentType == "":
		r.notes.kept(noteMessage, "an event in JSON without a content type")
	case !mode.IsJSON(contentType) && (!mode.HasPrefix(contentType, mode.CloudEvents) || len(around) == 0):
		r.notes.add(noteMessage, "an event in JSON with another content type", contentType)
	}
	for _, x := range found {
		if err := r.take(x); err != nil {
			return leat.Event{}, err
		}
	}
	return r.event(m.Err)
}

// take takes a member. One that is null is not set, except that data may be null.
func (r *repair) take(x member) error {
	name := x.name
	if lower := mode.Lower(name); lower != name && (lower == memberData || lower == "database64" || lower == memberBase64) {
		if lower != memberData {
			lower = memberBase64
		}
		r.notes.kept(lower, "renamed from "+name)
		name = lower
	}
	switch {
	case name == memberData:
		return once(&r.data, x)
	case string(x.raw) == "null":
		return nil
	case name == memberBase64:
		return once(&r.base64, x)
	}
	a := attribute{name: name, raw: x.raw, text: string(x.raw)}
	switch x.raw[0] {
	case '"':
		if !wholeText(x.raw) {
			return attributeError(name, "has half of a surrogate pair")
		}
		_ = json.Unmarshal(x.raw, &a.text) // which wholeText has done
	case '{', '[':
		a.kind = kindCompound
	case 't', 'f':
		a.kind = kindBoolean
	default:
		a.kind = kindNumber
	}
	r.attributes = append(r.attributes, a)
	return nil
}

func once(dst *[]byte, x member) error {
	if *dst != nil {
		return attributeError(x.name, "is there twice")
	}
	*dst = x.raw
	return nil
}

// json writes the event in the JSON format.
func (r *repair) json() []byte {
	b := []byte{'{'}
	put := func(name string, raw []byte) {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(append(append(b, textJSON(name)...), ':'), raw...)
	}
	for _, a := range r.attributes {
		raw := a.raw
		if raw == nil {
			raw = textJSON(a.text)
		}
		put(a.name, raw)
	}
	if r.data != nil {
		put(memberData, r.data)
	}
	if r.base64 != nil {
		put(memberBase64, r.base64)
	}
	return append(b, '}')
}

func textJSON(text string) []byte {
	b, _ := json.Marshal(text) //nolint:errchkjson // of a string it cannot fail
	return b
}
