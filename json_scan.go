package leat

import (
	"encoding/binary"
	"math/bits"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxJSONDepth bounds the nesting of objects and arrays in data. One bit per level fits into a word.
const maxJSONDepth = 64

// fault is what is wrong with a JSON text (RFC 8259).
type fault uint8

const (
	faultNone fault = iota
	faultEnd
	faultValue
	faultName
	faultColon
	faultComma
	faultControl
	faultEscape
	faultSurrogate
	faultNumber
	faultDepth
	faultTrailing
	faultUTF8
)

var faultTexts = [...]string{
	faultEnd:       "it ends too early (RFC 8259 §2)",
	faultValue:     "a value was expected (RFC 8259 §3)",
	faultName:      "a member name was expected (RFC 8259 §4)",
	faultColon:     "a ':' was expected (RFC 8259 §4)",
	faultComma:     "a ',' or the end of the object or array was expected (RFC 8259 §4 and §5)",
	faultControl:   "a control character stands in a string (RFC 8259 §7)",
	faultEscape:    "an escape is none of JSON (RFC 8259 §7)",
	faultSurrogate: "an escape is half of a surrogate pair (RFC 8259 §8.2)",
	faultNumber:    "a number is malformed (RFC 8259 §6)",
	faultDepth:     "it is nested more than 64 levels deep",
	faultTrailing:  "something follows its end (RFC 8259 §2)",
	faultUTF8:      "it is not valid UTF-8 (RFC 8259 §8.1)",
}

// syntaxError says where a JSON text breaks which rule. It quotes nothing of it.
type syntaxError struct {
	offset int
	fault  fault
}

func (e *syntaxError) Error() string {
	return "malformed JSON at byte " + strconv.Itoa(e.offset) + ": " + faultTexts[e.fault]
}

// carriesJSON reports whether data can be a value in the JSON format and come back byte for byte: valid JSON and UTF-8, not too deep,
// without white space around it.
func carriesJSON(data string) bool {
	b := []byte(data) // not copied: it stays here and nothing writes to it
	if len(b) == 0 || isSpace(b[0]) || !utf8.Valid(b) {
		return false
	}
	end, f := skipValue(b, 0)
	return f == faultNone && end == len(b)
}

// marshaledIsValid does the same for what json.Marshal wrote, which is known to be compact and well formed, at a fraction of the cost.
// False means unknown: a json.RawMessage can hold invalid UTF-8, and more brackets than levels are not looked into.
func marshaledIsValid(data string) bool {
	return strings.Count(data, "{")+strings.Count(data, "[") <= maxJSONDepth && utf8.ValidString(data)
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func skipSpace(b []byte, i int) int {
	for i < len(b) && b[i] <= ' ' && isSpace(b[i]) {
		i++
	}
	return i
}

// skipValue returns the index after the JSON value that begins at b[i], where there is no white space. With a fault, the index is
// where it was found. UTF-8 is the caller's matter.
func skipValue(b []byte, i int) (int, fault) {
	var objects uint64 // one bit per open level, the innermost last: whether it is an object
	depth := 0
	var f fault
	for {
		// A value begins at i, in an object after its name.
		if objects&1 == 1 {
			if i, f = skipName(b, i); f != faultNone {
				return i, f
			}
		}
		if i >= len(b) {
			return i, faultEnd
		}
		switch c := b[i]; c {
		case '{', '[':
			if depth == maxJSONDepth {
				return i, faultDepth
			}
			i = skipSpace(b, i+1)
			if !isAt(b, i, c+2) { // '{'+2 is '}', '['+2 is ']'
				depth++
				objects = objects<<1 | uint64(c>>5&1) // the bit that '{' has and '[' has not
				continue
			}
			i++
		case '"':
			i, _, f = skipString(b, i+1)
		default:
			i, f = skipScalar(b, i)
		}
		if f != faultNone {
			return i, f
		}
		// A value ended before i: close what ends with it, then go on to the next one.
		for {
			if depth == 0 {
				return i, faultNone
			}
			if i = skipSpace(b, i); isAt(b, i, ',') {
				break
			}
			if !isAt(b, i, ']'+byte(objects&1)<<5) { // ']' or, in an object, '}'
				return i, missing(b, i, faultComma)
			}
			i++
			depth--
			objects >>= 1
		}
		i = skipSpace(b, i+1)
	}
}

func isAt(b []byte, i int, c byte) bool { return i < len(b) && b[i] == c }

// missing returns f, the fault of what stands at b[i], or that b ends there.
func missing(b []byte, i int, f fault) fault {
	if i >= len(b) {
		return faultEnd
	}
	return f
}

// skipName returns the index of the value after the member name and colon at b[i].
func skipName(b []byte, i int) (int, fault) {
	if i >= len(b) {
		return i, faultEnd
	}
	if b[i] != '"' {
		return i, faultName
	}
	if i+10 < len(b) { // a short name and its colon, without another call
		if m := specials(binary.LittleEndian.Uint64(b[i+1:])); m != 0 {
			end := i + 1 + bits.TrailingZeros64(m)/8
			if b[end] == '"' && b[end+1] == ':' && b[end+2] > ' ' {
				return end + 2, faultNone
			}
		}
	}
	i, _, f := skipString(b, i+1)
	if f != faultNone {
		return i, f
	}
	if i+1 < len(b) && b[i] == ':' && b[i+1] > ' ' {
		return i + 1, faultNone
	}
	return skipColon(b, i)
}

// skipColon returns the index of the value after the colon that comes next.
func skipColon(b []byte, i int) (int, fault) {
	if i = skipSpace(b, i); i >= len(b) {
		return i, faultEnd
	}
	if b[i] != ':' {
		return i, faultColon
	}
	return skipSpace(b, i+1), faultNone
}

// skipScalar returns the index after the string, number or literal at b[i].
func skipScalar(b []byte, i int) (int, fault) {
	switch c := b[i]; c {
	case '"':
		end, _, f := skipString(b, i+1)
		return end, f
	case 't':
		return skipLiteral(b, i, "true")
	case 'f':
		return skipLiteral(b, i, "false")
	case 'n':
		return skipLiteral(b, i, "null")
	default:
		if c == '-' || '0' <= c && c <= '9' {
			return skipNumber(b, i)
		}
		return i, faultValue
	}
}

func skipLiteral(b []byte, i int, s string) (int, fault) {
	if len(b)-i < len(s) {
		return len(b), faultEnd
	}
	if string(b[i:i+len(s)]) != s {
		return i, faultValue
	}
	return i + len(s), faultNone
}

func skipNumber(b []byte, i int) (int, fault) {
	if b[i] == '-' {
		i++
	}
	switch {
	case i >= len(b):
		return i, faultEnd
	case b[i] == '0':
		i++
	default:
		first := i
		if i = skipDigits(b, i); i == first {
			return i, faultNumber
		}
	}
	if i < len(b) && b[i] == '.' {
		first := i + 1
		if i = skipDigits(b, first); i == first {
			return i, faultNumber
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		first := i
		if i = skipDigits(b, i); i == first {
			return i, faultNumber
		}
	}
	return i, faultNone
}

func skipDigits(b []byte, i int) int {
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return i
}

// skipString returns the index after the closing quote of the string whose content begins at b[i], and whether it has escapes.
func skipString(b []byte, i int) (end int, escaped bool, f fault) {
	for {
		for i+8 <= len(b) {
			m := specials(binary.LittleEndian.Uint64(b[i:]))
			if m == 0 {
				i += 8
				continue
			}
			if i += bits.TrailingZeros64(m) / 8; b[i] == '"' {
				return i + 1, escaped, faultNone
			}
			break
		}
		for i < len(b) && b[i] >= 0x20 && b[i] != '"' && b[i] != '\\' {
			i++
		}
		if i >= len(b) {
			return i, escaped, faultEnd
		}
		switch b[i] {
		case '"':
			return i + 1, escaped, faultNone
		case '\\':
			escaped = true
			if i, f = skipEscape(b, i+1); f != faultNone {
				return i, escaped, f
			}
		default:
			return i, escaped, faultControl
		}
	}
}

// specials marks, by their high bits, the bytes of x that are below 0x20, '"' or '\\'. The lowest mark is exact, the others may not be.
func specials(x uint64) uint64 {
	quotes, slashes := x^('"'*lowBits), x^('\\'*lowBits)
	return ((x - 0x20*lowBits) | (quotes - lowBits) | (slashes - lowBits)) &^ x & highBits
}

// skipEscape returns the index after the escape whose backslash is before b[i].
func skipEscape(b []byte, i int) (int, fault) {
	if i >= len(b) {
		return i, faultEnd
	}
	switch b[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1, faultNone
	case 'u':
		for j := i + 1; j < i+5; j++ {
			if j >= len(b) {
				return j, faultEnd
			}
			if !isClass(b[j], classHex) {
				return i, faultEscape
			}
		}
		return i + 5, faultNone
	}
	return i, faultEscape
}
