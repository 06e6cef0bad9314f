package jsontext

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// Unescape appends the text of a string, whose escapes SkipString has checked, to dst. It reports
// false for half of a surrogate pair, which no UTF-8 can hold.
func Unescape(dst, raw []byte) ([]byte, bool) {
	for i := 0; i < len(raw); {
		c := raw[i]
		if c != '\\' {
			first := i
			for i < len(raw) && raw[i] != '\\' {
				i++
			}
			dst = append(dst, raw[first:i]...)
			continue
		}
		switch c := raw[i+1]; c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r, n := unescapeRune(raw[i:])
			if n == 0 {
				return dst, false
			}
			dst = utf8.AppendRune(dst, r)
			i += n
			continue
		default:
			dst = append(dst, c)
		}
		i += 2
	}
	return dst, true
}

// unescapeRune decodes \uXXXX, or a pair of them, at the start of raw and returns how long it is; 0
// means half of a pair.
func unescapeRune(raw []byte) (rune, int) {
	r := hexRune(raw[2:6])
	switch {
	case r < 0xd800 || r > 0xdfff:
		return r, 6
	case r > 0xdbff || len(raw) < 12 || raw[6] != '\\' || raw[7] != 'u':
		return 0, 0
	}
	low := hexRune(raw[8:12])
	if low < 0xdc00 || low > 0xdfff {
		return 0, 0
	}
	return (r-0xd800)<<10 + (low - 0xdc00) + 0x10000, 12
}

func hexRune(b []byte) (r rune) {
	for _, c := range b {
		switch {
		case c >= 'a':
			c -= 'a' - 10
		case c >= 'A':
			c -= 'A' - 10
		default:
			c -= '0'
		}
		r = r<<4 | rune(c)
	}
	return r
}

// AppendEscaped appends s, which is valid UTF-8, as the content of a JSON string. What JSON does
// not require to be escaped is not.
func AppendEscaped(dst []byte, s string) []byte {
	first, i := 0, 0
	b := []byte(s) // not copied
	for {
		for i+8 <= len(b) {
			if m := specials(binary.LittleEndian.Uint64(b[i:])); m != 0 {
				i += bits.TrailingZeros64(m) / 8
				break
			}
			i += 8
		}
		for i < len(b) && b[i] >= 0x20 && b[i] != '"' && b[i] != '\\' {
			i++
		}
		dst = append(dst, s[first:i]...)
		if i >= len(b) {
			return dst
		}
		dst = appendEscape(dst, b[i])
		i++
		first = i
	}
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}
