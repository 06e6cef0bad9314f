package leat

import (
	"strings"
	"time"
	"unicode/utf8"
)

// Character classes of URIs (RFC 3986 §2) and media types (RFC 2045 §5.1).
const (
	classURI    = 1 << iota // unreserved, sub-delims, ':' and '@': pchar without percent-encoding
	classScheme             // ALPHA / DIGIT / "+" / "-" / "."
	classHex
	classToken // what a media type's token may have
	classDigit
	classAlpha
)

var classes = func() (t [256]uint8) {
	for c := '0'; c <= '9'; c++ {
		t[c] = classURI | classScheme | classHex | classToken | classDigit
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c] = classURI | classScheme | classToken | classAlpha
		t[c-32] = t[c]
	}
	for _, c := range "abcdefABCDEF" {
		t[c] |= classHex
	}
	for _, c := range "-._~!$&'()*+,;=:@" {
		t[c] |= classURI
	}
	for _, c := range "+-." {
		t[c] |= classScheme
	}
	for _, c := range "!#$%&'*+-.^_`{|}~" {
		t[c] |= classToken
	}
	return t
}()

func isClass(c byte, class uint8) bool { return classes[c]&class != 0 }

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// plainASCII returns how many bytes at the start of s are printable ASCII, in steps of 8, so that the rest can be looked at one by
// one.
func plainASCII(s string) int {
	i := 0
	for ; i+8 <= len(s); i += 8 {
		x := load64(s[i : i+8])
		// The high bit of a byte of the sum is set for 0x7F and above, that of the difference for what is below 0x20.
		if (x|(x+lowBits)|(x-0x20*lowBits))&highBits != 0 {
			break
		}
	}
	return i
}

func load64(b string) uint64 {
	_ = b[7]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

// textRule returns the rule of the type String that s breaks, or "".
func textRule(s string) string {
	for i := plainASCII(s); i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c < 0x20 || c == 0x7f {
				return "has a control character"
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			return "is not valid UTF-8"
		case r < 0xa0:
			return "has a control character"
		case isNoncharacter(r):
			return "has a Unicode noncharacter"
		}
		i += n
	}
	return ""
}

func isNoncharacter(r rune) bool { return 0xfdd0 <= r && r <= 0xfdef || r&0xfffe == 0xfffe }

// uriRefRule returns the rule of RFC 3986 §4.1 (URI-reference) that s breaks, or "". Nothing is normalised.
func uriRefRule(s string) string {
	_, rule := splitURI(s)
	return rule
}

// uriRule returns the rule of RFC 3986 §4.3 (absolute-URI) that s breaks, or "".
func uriRule(s string) string {
	scheme, rule := splitURI(s)
	switch {
	case rule != "":
		return rule
	case !scheme:
		return "is not absolute: it has no scheme"
	case strings.IndexByte(s, '#') >= 0:
		return "has a fragment"
	}
	return ""
}

// splitURI checks s as a URI-reference and reports whether it has a scheme.
func splitURI(s string) (scheme bool, rule string) {
	rest := s
	if i := strings.IndexAny(s, ":/?#"); i >= 0 && s[i] == ':' {
		if i == 0 || !isClass(s[0], classAlpha) {
			return false, "has a ':' in its first segment without a scheme before it"
		}
		for j := range i {
			if !isClass(s[j], classScheme) {
				return false, "has a ':' in its first segment without a scheme before it"
			}
		}
		scheme, rest = true, s[i+1:]
	}
	if strings.HasPrefix(rest, "//") {
		rest = rest[2:]
		end := strings.IndexAny(rest, "/?#")
		if end < 0 {
			end = len(rest)
		}
		if rule := authorityRule(rest[:end]); rule != "" {
			return scheme, rule
		}
		rest = rest[end:]
	}
	state := byte('/') // in the path, then '?' in the query, then '#' in the fragment
	for i := 0; i < len(rest); i++ {
		c := rest[i]
		switch {
		case isClass(c, classURI) || c == '/':
		case c == '%':
			if i+2 >= len(rest) || !isClass(rest[i+1], classHex) || !isClass(rest[i+2], classHex) {
				return scheme, "has a '%' without two hexadecimal digits after it"
			}
			i += 2
		case c == '?':
			if state == '/' {
				state = '?'
			}
		case c == '#' && state != '#':
			state = '#'
		default:
			return scheme, "has a character that a URI cannot have unless it is percent-encoded"
		}
	}
	return scheme, ""
}

// authorityRule checks [userinfo "@"] host [":" port] (RFC 3986 §3.2).
func authorityRule(a string) string {
	if i := strings.LastIndexByte(a, '@'); i >= 0 {
		if strings.IndexByte(a[:i], '@') >= 0 {
			return "has two '@' in its authority"
		}
		if rule := regNameRule(a[:i]); rule != "" {
			return rule
		}
		a = a[i+1:]
	}
	if strings.HasPrefix(a, "[") {
		end := strings.IndexByte(a, ']')
		if end < 0 {
			return "has a '[' without its ']'"
		}
		for i := 1; i < end; i++ {
			if !isClass(a[i], classURI) || a[i] == '@' {
				return "has a character in its IP address that cannot be there"
			}
		}
		if a = a[end+1:]; a != "" && a[0] != ':' {
			return "has something other than a port after its IP address"
		}
	}
	host, port := a, ""
	if i := strings.IndexByte(a, ':'); i >= 0 {
		host, port = a[:i], a[i+1:]
	}
	for i := range len(port) {
		if !isClass(port[i], classDigit) {
			return "has a port that is not a number"
		}
	}
	return regNameRule(host)
}

func regNameRule(s string) string {
	for i := 0; i < len(s); i++ {
		switch {
		case isClass(s[i], classURI):
		case s[i] == '%' && i+2 < len(s) && isClass(s[i+1], classHex) && isClass(s[i+2], classHex):
			i += 2
		default:
			return "has a character in its authority that cannot be there"
		}
	}
	return ""
}

// mediaTypeRule returns the rule of RFC 2046 (with the parameters of RFC 9110 §5.6.6, which may be empty) that s breaks, or "".
func mediaTypeRule(s string) string {
	typ, rest := cutToken(s)
	if typ == "" || !strings.HasPrefix(rest, "/") {
		return "is no media type: it has no type and subtype"
	}
	sub, rest := cutToken(rest[1:])
	if sub == "" {
		return "is no media type: it has no subtype"
	}
	for {
		rest = strings.TrimLeft(rest, " ")
		if rest == "" {
			return ""
		}
		if rest[0] != ';' {
			return "is no media type: ';' must follow its subtype"
		}
		rest = strings.TrimLeft(rest[1:], " ")
		name, after := cutToken(rest)
		if name == "" {
			continue // an empty parameter; what else is there fails above
		}
		if !strings.HasPrefix(after, "=") {
			return "is no media type: a parameter has no '='"
		}
		value, after := cutToken(after[1:])
		if value == "" {
			var ok bool
			if after, ok = cutQuoted(after); !ok {
				return "is no media type: a parameter has no value"
			}
		}
		rest = after
	}
}

func cutToken(s string) (token, rest string) {
	i := 0
	for i < len(s) && isClass(s[i], classToken) {
		i++
	}
	return s[:i], s[i:]
}

// cutQuoted cuts a quoted-string off the start of s.
func cutQuoted(s string) (rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		return s, false
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return s[i+1:], true
		case '\\':
			i++
		}
	}
	return s, false
}

// parseTime reads an RFC 3339 timestamp. Unlike time.Parse it takes lower-case t and z and the leap second :60, which RFC 3339 §5.6
// allows, and nothing that it does not.
func parseTime(s string) (time.Time, bool) {
	if len(s) < len("2006-01-02T15:04:05Z") || s[4] != '-' || s[7] != '-' || s[10]|0x20 != 't' || s[13] != ':' || s[16] != ':' {
		return time.Time{}, false
	}
	year, ok1 := digits(s[0:4])
	month, ok2 := digits(s[5:7])
	day, ok3 := digits(s[8:10])
	hour, ok4 := digits(s[11:13])
	minute, ok5 := digits(s[14:16])
	sec, ok6 := digits(s[17:19])
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || !ok6 {
		return time.Time{}, false
	}
	if month < 1 || month > 12 || day < 1 || day > daysIn(year, month) || hour > 23 || minute > 59 || sec > 60 {
		return time.Time{}, false
	}
	rest, nsec := s[19:], 0
	if rest[0] == '.' {
		i, scale := 1, 100_000_000
		for ; i < len(rest) && isClass(rest[i], classDigit); i++ {
			nsec += int(rest[i]-'0') * scale
			scale /= 10
		}
		if i == 1 {
			return time.Time{}, false
		}
		rest = rest[i:]
	}
	zone, ok := parseZone(rest)
	if !ok {
		return time.Time{}, false
	}
	return time.Date(year, time.Month(month), day, hour, minute, sec, nsec, zone), true
}

func parseZone(s string) (*time.Location, bool) {
	if s == "Z" || s == "z" {
		return time.UTC, true
	}
	if len(s) != len("+00:00") || s[0] != '+' && s[0] != '-' || s[3] != ':' {
		return nil, false
	}
	hour, ok1 := digits(s[1:3])
	minute, ok2 := digits(s[4:6])
	if !ok1 || !ok2 || hour > 23 || minute > 59 {
		return nil, false
	}
	offset := (hour*60 + minute) * 60
	if s[0] == '-' {
		offset = -offset
	}
	return time.FixedZone("", offset), true
}

func digits(s string) (n int, ok bool) {
	for i := range len(s) {
		if !isClass(s[i], classDigit) {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, true
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// appendTime appends t in the form of RFC 3339 with as many digits as it has. A zone that is not whole minutes, which RFC 3339 cannot
// write, becomes UTC. It reports false for a year that has not four digits.
func appendTime(dst []byte, t time.Time) ([]byte, bool) {
	if _, offset := t.Zone(); offset%60 != 0 || offset <= -24*3600 || offset >= 24*3600 {
		t = t.UTC()
	}
	if y := t.Year(); y < 0 || y > 9999 {
		return dst, false
	}
	return t.AppendFormat(dst, time.RFC3339Nano), true
}

// contentKind is how the JSON format writes data of a content type.
type contentKind uint8

const (
	contentBinary contentKind = iota // as base64
	contentText                      // as a JSON string
	contentJSON                      // as it is
)

// contentKindOf sorts a valid content type; "" means JSON, as JSON format 1.0.2 §3.1.1 says. Parameters do not matter, except that a
// charset marks text.
func contentKindOf(contentType string) contentKind {
	switch contentType {
	case "", jsonContentType:
		return contentJSON
	case textContentType:
		return contentText
	}
	media, parameters, _ := strings.Cut(contentType, ";")
	typ, sub, _ := strings.Cut(strings.TrimRight(media, " "), "/")
	switch {
	case strings.EqualFold(sub, "json") || hasSuffixFold(sub, "+json"):
		return contentJSON
	case strings.EqualFold(typ, "text"), strings.EqualFold(sub, "xml"), hasSuffixFold(sub, "+xml"),
		strings.EqualFold(sub, "x-www-form-urlencoded"), strings.EqualFold(sub, "yaml"), hasSuffixFold(sub, "+yaml"),
		strings.Contains(strings.ToLower(parameters), "charset=utf-8"):
		return contentText
	}
	return contentBinary
}

func hasSuffixFold(s, suffix string) bool {
	return len(s) >= len(suffix) && strings.EqualFold(s[len(s)-len(suffix):], suffix)
}
