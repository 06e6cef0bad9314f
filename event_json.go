package leat

import (
	"bytes"
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"github.com/leatgo/leat/internal/attribute"
	"github.com/leatgo/leat/internal/jsontext"
)

// AppendJSON appends e in the CloudEvents JSON event format 1.0.2 to dst. Decoding it gives an
// event that is Equal to e, its data byte for byte; no data, empty data and JSON null stay three
// different things.
//
// Data goes into the member data as it is where the content type is JSON or absent and the data is
// valid JSON without white space around it, and as a string where the content type is text and the
// data is valid UTF-8 without noncharacters and without control characters other than tab and line
// ends. JSON with U+FFFE or U+FFFF in it, not escaped, and all else goes into data_base64 (§3.1.1).
// So the text has only characters that XML 1.0 allows, which some transports ask for. The error is
// that of Validate, and dst is returned unchanged.
func (e Event) AppendJSON(dst []byte) ([]byte, error) {
	if err := e.Validate(); err != nil {
		return dst, err
	}
	return e.p.appendJSON(dst), nil
}

// MarshalJSON returns e as AppendJSON writes it. Note that [encoding/json.Marshal] compacts what it
// returns and escapes HTML in it, data included; AppendJSON keeps the bytes.
func (e Event) MarshalJSON() ([]byte, error) {
	if err := e.Validate(); err != nil {
		return nil, err
	}
	return e.p.appendJSON(make([]byte, 0, e.p.jsonSize())), nil
}

// AppendJSONBatch appends events in the CloudEvents JSON batch format 1.0.2 (§4) to dst: a JSON
// array, empty for no events. The error is that of the first invalid event, and dst is returned
// unchanged.
func AppendJSONBatch(dst []byte, events []Event) ([]byte, error) {
	for _, e := range events {
		if err := e.Validate(); err != nil {
			return dst, err
		}
	}
	dst = append(dst, '[')
	for i, e := range events {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = e.p.appendJSON(dst)
	}
	return append(dst, ']'), nil
}

// jsonSize estimates the size of the JSON format, enough for everything that needs few escapes.
func (d *eventData) jsonSize() int {
	return d.size + 6*d.attributes + len(d.data)/3 + 32
}

// coreMembers are the beginnings of the members, each after the one before.
var coreMembers = [coreCount]string{
	attrID: `","id":"`, attrSource: `","source":"`, attrType: `","type":"`, attrTime: `","time":"`,
	attrContentType: `","datacontenttype":"`, attrSchema: `","dataschema":"`, attrSubject: `","subject":"`,
}

func (d *eventData) appendJSON(dst []byte) []byte {
	dst = append(dst, `{"specversion":"1.0`...)
	for i := range d.core {
		if v := d.core[i]; v != "" {
			dst = append(dst, coreMembers[i]...)
			dst = jsontext.AppendEscaped(dst, v)
		}
	}
	if d.hasKey {
		dst = append(dst, `","partitionkey":"`...)
		dst = jsontext.AppendEscaped(dst, d.key)
	}
	dst = append(dst, '"')
	for i := range d.ext {
		x := &d.ext[i]
		dst = append(dst, ',', '"')
		dst = append(dst, x.name...)
		if x.kind == kindBoolean || x.kind == kindInteger {
			dst = append(dst, '"', ':')
			dst = append(dst, x.text...)
			continue
		}
		dst = append(dst, '"', ':', '"')
		dst = jsontext.AppendEscaped(dst, x.text)
		dst = append(dst, '"')
	}
	if d.hasData {
		dst = d.appendData(dst)
	}
	return append(dst, '}')
}

// appendData appends the member that holds the data.
func (d *eventData) appendData(dst []byte) []byte {
	switch attribute.ContentOf(d.core[attrContentType]) {
	case attribute.JSON:
		if (d.validJSON || jsontext.Carries(d.data)) && !leavesXML(d.data) {
			dst = append(dst, `,"data":`...)
			return append(dst, d.data...)
		}
	case attribute.Text:
		if isPlainText(d.data) {
			dst = append(dst, `,"data":"`...)
			dst = jsontext.AppendEscaped(dst, d.data)
			return append(dst, '"')
		}
	}
	dst = append(dst, `,"data_base64":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, []byte(d.data))
	return append(dst, '"')
}

// leavesXML reports whether valid JSON has a character that XML 1.0 does not allow (§2.2), not even
// escaped: U+FFFE or U+FFFF. SQS refuses a message with one. The others that XML does not allow are
// control characters, which stand in JSON only as escapes.
func leavesXML(json string) bool {
	for {
		at := strings.IndexByte(json, 0xef) // their first byte of three
		if at < 0 || at+2 >= len(json) {
			return false
		}
		if json[at+1] == 0xbf && json[at+2] >= 0xbe {
			return true
		}
		json = json[at+1:]
	}
}

// isPlainText reports whether s is text that a JSON string carries well: valid UTF-8 without
// control characters but tab and line ends. Other control characters would need six bytes each, and
// some transports refuse them even so.
func isPlainText(s string) bool {
	for i := 0; i < len(s); {
		i += attribute.PlainASCII(s[i:])
		for end := min(i+8, len(s)); i < end; {
			c := s[i]
			if c < utf8.RuneSelf {
				if c < 0x20 && c != '\t' && c != '\n' && c != '\r' || c == 0x7f {
					return false
				}
				i++
				continue
			}
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 || r < 0xa0 || attribute.IsNoncharacter(r) {
				return false
			}
			i += n
		}
	}
	return true
}

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
