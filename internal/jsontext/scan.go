// Package jsontext scans JSON text (RFC 8259) without building values, for the JSON format of
// events: where a value ends, and which rule a malformed text breaks.
//
//	end, fault := jsontext.SkipValue([]byte(`{"a":1} rest`), 0) // 7, FaultNone
package jsontext

import (
	"encoding/binary"
	"math/bits"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds the nesting of objects and arrays in data. One bit per level fits into a word.
const maxDepth = 64

// Fault is what is wrong with a JSON text.
type Fault uint8

// The faults. The text of a [SyntaxError] names the section of RFC 8259 for each.
const (
	FaultNone Fault = iota
	FaultEnd
	FaultValue
	FaultName
	FaultColon
	FaultComma
	FaultControl
	FaultEscape
	FaultSurrogate
	FaultNumber
	FaultDepth
	FaultTrailing
	FaultUTF8
)

var faultTexts = [...]string{
	FaultEnd:       "it ends too early (RFC 8259 §2)",
	FaultValue:     "a value was expected (RFC 8259 §3)",
	FaultName:      "a member name was expected (RFC 8259 §4)",
	FaultColon:     "a ':' was expected (RFC 8259 §4)",
	FaultComma:     "a ',' or the end of the object or array was expected (RFC 8259 §4 and §5)",
	FaultControl:   "a control character stands in a string (RFC 8259 §7)",
	FaultEscape:    "an escape is none of JSON (RFC 8259 §7)",
	FaultSurrogate: "an escape is half of a surrogate pair (RFC 8259 §8.2)",
	FaultNumber:    "a number is malformed (RFC 8259 §6)",
	FaultDepth:     "it is nested more than 64 levels deep",
	FaultTrailing:  "something follows its end (RFC 8259 §2)",
	FaultUTF8:      "it is not valid UTF-8 (RFC 8259 §8.1)",
}

// SyntaxError says at which byte a JSON text breaks which rule. It quotes nothing of the text.
type SyntaxError struct {
	Offset int
	Fault  Fault
}

func (e *SyntaxError) Error() string {
	return "malformed JSON at byte " + strconv.Itoa(e.Offset) + ": " + faultTexts[e.Fault]
}

// Carries reports whether data can be a value in the JSON format and come back byte for byte: valid
// JSON and UTF-8, not too deep, without white space around it.
func Carries(data string) bool {
	b := []byte(data) // not copied: it stays here and nothing writes to it
	if len(b) == 0 || isSpace(b[0]) || !utf8.Valid(b) {
		return false
	}
	end, f := SkipValue(b, 0)
	return f == FaultNone && end == len(b)
}

// MarshaledIsValid does the same for what json.Marshal wrote, which is known to be compact and well
// formed, at a fraction of the cost. False means unknown: a json.RawMessage can hold invalid UTF-8,
// and more brackets than levels are not looked into.
func MarshaledIsValid(data string) bool {
	return strings.Count(data, "{")+strings.Count(data, "[") <= maxDepth && utf8.ValidString(data)
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// SkipSpace returns the index of the first byte from b[i] on that is not white space.
func SkipSpace(b []byte, i int) int {
	for i < len(b) && b[i] <= ' ' && isSpace(b[i]) {
		i++
	}
	return i
}

// SkipValue returns the index after the JSON value that begins at b[i], where there is no white
// space. With a fault, the index is where it was found. UTF-8 is the caller's matter.
func SkipValue(b []byte, i int) (int, Fault) {
	var objects uint64 // one bit per open level, the innermost last: whether it is an object
	depth := 0
	var f Fault
	for {
		// A value begins at i, in an object after its name.
		if objects&1 == 1 {
			if i, f = skipName(b, i); f != FaultNone {
				return i, f
			}
		}
		if i >= len(b) {
			return i, FaultEnd
		}
		switch c := b[i]; c {
		case '{', '[':
			if depth == maxDepth {
				return i, FaultDepth
			}
			i = SkipSpace(b, i+1)
			if !isAt(b, i, c+2) { // '{'+2 is '}', '['+2 is ']'
				depth++
				objects = objects<<1 | uint64(c>>5&1) // the bit that '{' has and '[' has not
				continue
			}
			i++
		case '"':
			i, _, f = SkipString(b, i+1)
		default:
			i, f = SkipScalar(b, i)
		}
		if f != FaultNone {
			return i, f
		}
		// A value ended before i: close what ends with it, then go on to the next one.
		for {
			if depth == 0 {
				return i, FaultNone
			}
			if i = SkipSpace(b, i); isAt(b, i, ',') {
				break
			}
			if !isAt(b, i, ']'+byte(objects&1)<<5) { // ']' or, in an object, '}'
				return i, Missing(b, i, FaultComma)
			}
			i++
			depth--
			objects >>= 1
		}
		i = SkipSpace(b, i+1)
	}
}

func isAt(b []byte, i int, c byte) bool { return i < len(b) && b[i] == c }

// Missing returns f, the fault of what stands at b[i], or that b ends there.
func Missing(b []byte, i int, f Fault) Fault {
	if i >= len(b) {
		return FaultEnd
	}
	return f
}

// skipName returns the index of the value after the member name and colon at b[i].
func skipName(b []byte, i int) (int, Fault) {
	if i >= len(b) {
		return i, FaultEnd
	}
	if b[i] != '"' {
		return i, FaultName
	}
	if i+10 < len(b) { // a short name and its colon, without another call
		if m := specials(binary.LittleEndian.Uint64(b[i+1:])); m != 0 {
			end := i + 1 + bits.TrailingZeros64(m)/8
			if b[end] == '"' && b[end+1] == ':' && b[end+2] > ' ' {
				return end + 2, FaultNone
			}
		}
	}
	i, _, f := SkipString(b, i+1)
	if f != FaultNone {
		return i, f
	}
	if i+1 < len(b) && b[i] == ':' && b[i+1] > ' ' {
		return i + 1, FaultNone
	}
	return SkipColon(b, i)
}

// SkipColon returns the index of the value after the colon that comes next.
func SkipColon(b []byte, i int) (int, Fault) {
	if i = SkipSpace(b, i); i >= len(b) {
		return i, FaultEnd
	}
	if b[i] != ':' {
		return i, FaultColon
	}
	return SkipSpace(b, i+1), FaultNone
}

// SkipScalar returns the index after the string, number or literal at b[i].
func SkipScalar(b []byte, i int) (int, Fault) {
	switch c := b[i]; c {
	case '"':
		end, _, f := SkipString(b, i+1)
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
		return i, FaultValue
	}
}

func skipLiteral(b []byte, i int, s string) (int, Fault) {
	if len(b)-i < len(s) {
		return len(b), FaultEnd
	}
	if string(b[i:i+len(s)]) != s {
		return i, FaultValue
	}
	return i + len(s), FaultNone
}

func skipNumber(b []byte, i int) (int, Fault) {
	if b[i] == '-' {
		i++
	}
	switch {
	case i >= len(b):
		return i, FaultEnd
	case b[i] == '0':
		i++
	default:
		first := i
		if i = SkipDigits(b, i); i == first {
			return i, FaultNumber
		}
	}
	if i < len(b) && b[i] == '.' {
		first := i + 1
		if i = SkipDigits(b, first); i == first {
			return i, FaultNumber
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		first := i
		if i = SkipDigits(b, i); i == first {
			return i, FaultNumber
		}
	}
	return i, FaultNone
}

// SkipDigits returns the index of the first byte from b[i] on that is not a digit.
func SkipDigits(b []byte, i int) int {
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return i
}

// SkipString returns the index after the closing quote of the string whose content begins at b[i],
// and whether it has escapes.
func SkipString(b []byte, i int) (end int, escaped bool, f Fault) {
	for {
		for i+8 <= len(b) {
			m := specials(binary.LittleEndian.Uint64(b[i:]))
			if m == 0 {
				i += 8
				continue
			}
			if i += bits.TrailingZeros64(m) / 8; b[i] == '"' {
				return i + 1, escaped, FaultNone
			}
			break
		}
		for i < len(b) && b[i] >= 0x20 && b[i] != '"' && b[i] != '\\' {
			i++
		}
		if i >= len(b) {
			return i, escaped, FaultEnd
		}
		switch b[i] {
		case '"':
			return i + 1, escaped, FaultNone
		case '\\':
			escaped = true
			if i, f = skipEscape(b, i+1); f != FaultNone {
				return i, escaped, f
			}
		default:
			return i, escaped, FaultControl
		}
	}
}

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// specials marks, by their high bits, the bytes of x that are below 0x20, '"' or '\\'. The lowest
// mark is exact, the others may not be.
func specials(x uint64) uint64 {
	quotes, slashes := x^('"'*lowBits), x^('\\'*lowBits)
	return ((x - 0x20*lowBits) | (quotes - lowBits) | (slashes - lowBits)) &^ x & highBits
}

// skipEscape returns the index after the escape whose backslash is before b[i].
func skipEscape(b []byte, i int) (int, Fault) {
	if i >= len(b) {
		return i, FaultEnd
	}
	switch b[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1, FaultNone
	case 'u':
		for j := i + 1; j < i+5; j++ {
			if j >= len(b) {
				return j, FaultEnd
			}
			if !isHex(b[j]) {
				return i, FaultEscape
			}
		}
		return i + 5, FaultNone
	}
	return i, FaultEscape
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }
