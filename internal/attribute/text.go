// Package attribute checks the text of CloudEvents attributes: the type system's String, URIs
// (RFC 3986), media types (RFC 2046) and times (RFC 3339). A check returns the rule that a value
// breaks, as the end of a sentence whose subject is the attribute, or "".
//
//	attribute.URIRule("/orders") // "is not absolute: it has no scheme"
package attribute

import "unicode/utf8"

// Character classes of URIs (RFC 3986 §2) and media types (RFC 2045 §5.1).
const (
	classURI    = 1 << iota // unreserved, sub-delims, ':' and '@': pchar without percent-encoding
	classScheme             // ALPHA / DIGIT / "+" / "-" / "."
	classHex
	classToken // what a media type's token may have
	classDigit
	classAlpha
)

var classes = func() (t [256]uint8) { //nolint:gochecknoglobals // a lookup table, never written after this
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

// PlainASCII returns how many bytes at the start of s are printable ASCII, in steps of 8, so that
// the rest can be looked at one by one.
func PlainASCII(s string) int {
	i := 0
	for ; i+8 <= len(s); i += 8 {
		x := load64(s[i : i+8])
		// The high bit of a byte of the sum is set for 0x7F and above, that of the difference for
		// what is below 0x20.
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

// TextRule returns the rule of the type String that s breaks, or "".
func TextRule(s string) string {
	for i := PlainASCII(s); i < len(s); {
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
		case IsNoncharacter(r):
			return "has a Unicode noncharacter"
		}
		i += n
	}
	return ""
}

// IsNoncharacter reports whether r is a noncharacter of Unicode (chapter 23.7).
func IsNoncharacter(r rune) bool { return 0xfdd0 <= r && r <= 0xfdef || r&0xfffe == 0xfffe }
