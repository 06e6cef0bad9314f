package leat

import (
	"bytes"
	"encoding/base64"

	"github.com/leatgo/leat/internal/attribute"
	"github.com/leatgo/leat/internal/jsontext"
)

// dataMember is the member data or data_base64 as it was found.
type dataMember struct {
	raw             []byte // the text of the value, quotes included
	base64, escaped bool
	plain, encoded  bool // which of the two came, null included
}

// data reads the value of the member data or data_base64.
func (r *jsonReader) data(m *dataMember, encoded bool) error {
	name, seen := "data", &m.plain
	if encoded {
		name, seen = "data_base64", &m.encoded
	}
	if *seen {
		return &AttributeError{name, "is there twice", specJSONEnvelope}
	}
	*seen = true
	first := r.pos
	var end int
	var escaped bool
	var f jsontext.Fault
	if r.next() == '"' {
		end, escaped, f = jsontext.SkipString(r.b, first+1)
	} else {
		end, f = jsontext.SkipValue(r.b, first)
	}
	if r.pos = end; f != jsontext.FaultNone {
		return r.fault(f)
	}
	raw := r.b[first:end]
	if encoded && string(raw) == "null" {
		return nil
	}
	if m.raw != nil {
		return &AttributeError{"data_base64", "is there beside data", specJSONDataMember}
	}
	m.raw, m.base64, m.escaped = raw, encoded, escaped
	return nil
}

// decode puts the data into p, whose content type is known now.
func (m *dataMember) decode(p *eventData) error {
	if m.raw == nil {
		return nil
	}
	p.hasData = true
	if m.base64 {
		return m.decodeBase64(p)
	}
	kind := attribute.ContentOf(p.core[attrContentType])
	switch {
	case kind == attribute.JSON:
		p.data, p.validJSON = string(m.raw), true
	case m.raw[0] == '"':
		b, err := m.content("data")
		if err != nil {
			return err
		}
		p.data = string(b)
	case string(m.raw) == "null":
		p.hasData = false
	default:
		p.data = string(m.raw)
	}
	return nil
}

// content returns the text of a member that is a string.
func (m *dataMember) content(name string) ([]byte, error) {
	raw := m.raw[1 : len(m.raw)-1]
	if !m.escaped {
		return raw, nil
	}
	b, ok := jsontext.Unescape(make([]byte, 0, len(raw)), raw)
	if !ok {
		return nil, &AttributeError{name, "has half of a surrogate pair", "RFC 8259 §8.2"}
	}
	return b, nil
}

func (m *dataMember) decodeBase64(p *eventData) error {
	fail := func(rule string) error { return &AttributeError{"data_base64", rule, specJSONDeserialize} }
	if m.raw[0] != '"' {
		return fail("is no string")
	}
	text, err := m.content("data_base64")
	if err != nil {
		return err
	}
	if bytes.ContainsAny(text, "\r\n") { // encoding/base64 would skip them
		return fail("is not base64")
	}
	b := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Strict().Decode(b, text)
	if err != nil {
		return fail("is not base64")
	}
	p.data = string(b[:n])
	return nil
}
