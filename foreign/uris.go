package foreign

import "strings"

// mendSource percent-encodes what no URI has, such as the space in a Debezium server's name.
func mendSource(r *repair) error {
	a := r.get(attrSource)
	if a == nil {
		return nil
	}
	if text := encodeURI(a.text); text != a.text {
		r.notes.add(attrSource, "percent-encoded", a.text)
		a.set(text)
	}
	return nil
}

// mendSchema removes the dataschema "#" of Azure Event Grid, which names no schema, percent-encodes
// what no URI has, and keeps a reference that is not an absolute URI as schemaurl, which is what
// CloudEvents 0.3 had for those.
func mendSchema(r *repair) error {
	a := r.get(attrSchema)
	switch {
	case a == nil:
		return nil
	case a.text == "#":
		r.notes.add(attrSchema, "names no schema, removed", r.remove(attrSchema))
		return nil
	}
	if text := encodeURI(a.text); text != a.text {
		r.notes.add(attrSchema, "percent-encoded", a.text)
		a.set(text)
	}
	if isAbsolute(a.text) {
		return nil
	}
	if r.get(attrSchemaURL) != nil {
		return attributeError(attrSchema, "is not an absolute URI, and the attribute schemaurl is taken")
	}
	a.name = attrSchemaURL
	r.notes.kept(attrSchemaURL, "a dataschema that is not an absolute URI without a fragment")
	return nil
}

const (
	uriUnreserved = "-._~"
	uriReserved   = ":/?@!$&'()*+,;="
	upperHex      = "0123456789ABCDEF"
)

// isAbsolute reports whether a URI has a scheme and no fragment (RFC 3986 §4.3).
func isAbsolute(s string) bool {
	_, ok := schemeOf(s)
	return ok && !strings.Contains(s, "#")
}

// encodeURI percent-encodes the bytes that a URI-reference cannot have where they are, and leaves
// the others.
func encodeURI(s string) string {
	authority, path := uriParts(s)
	firstColon := -1
	if _, ok := schemeOf(s); !ok {
		if i := strings.IndexAny(s, ":/?#"); i >= 0 && s[i] == ':' {
			firstColon = i // without a scheme before it
		}
	}
	var b strings.Builder
	fragment := false
	for i := range len(s) {
		c := s[i]
		ok := isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'z' || strings.IndexByte(uriUnreserved+uriReserved, c) >= 0
		switch {
		case c == '%':
			ok = i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2])
		case c == '#':
			ok, fragment = !fragment, true
		case c == '[' || c == ']':
			ok = authority <= i && i < path
		case i == firstColon:
			ok = false
		}
		if ok {
			b.WriteByte(c)
			continue
		}
		b.Write([]byte{'%', upperHex[c>>4], upperHex[c&15]})
	}
	return b.String()
}

// uriParts returns where the authority of a URI-reference begins and ends.
func uriParts(s string) (begin, end int) {
	n, _ := schemeOf(s)
	if !strings.HasPrefix(s[n:], "//") {
		return n, n
	}
	begin = n + 2
	if i := strings.IndexAny(s[begin:], "/?#"); i >= 0 {
		return begin, begin + i
	}
	return begin, len(s)
}

// schemeOf returns how long the scheme of a URI is with its colon, and whether it has one.
func schemeOf(s string) (int, bool) {
	for i := range len(s) {
		c := s[i]
		switch {
		case c == ':':
			return i + 1, i > 0
		case 'a' <= c|0x20 && c|0x20 <= 'z', i > 0 && (isDigit(c) || c == '+' || c == '-' || c == '.'):
		default:
			return 0, false
		}
	}
	return 0, false
}

func isHex(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }
