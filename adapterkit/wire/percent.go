package wire

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
)

// isPlain reports whether a byte is not percent-encoded (CloudEvents HTTP binding §3.1.3.2).
func isPlain(c byte) bool { return c > ' ' && c < 0x7f && c != '"' && c != '%' }

// escape percent-encodes a value.
func escape(s string) string {
	begin := strings.IndexFunc(s, func(r rune) bool { return r > 0x7f || !isPlain(byte(r)) })
	if begin < 0 {
		return s
	}
	b := append(make([]byte, 0, 3*len(s)), s[:begin]...)
	for _, c := range []byte(s[begin:]) {
		if isPlain(c) {
			b = append(b, c)
		} else {
			b = fmt.Appendf(b, "%%%02X", c)
		}
	}
	return string(b)
}

// unescape returns what a value means that is percent-encoded, and may be in quotes, which older
// producers write. What should be encoded and is not stays as it is.
func (r *Reader) unescape(attribute string, s []byte) ([]byte, error) {
	begin, quoted := len(r.text), len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"'
	if quoted {
		s = s[1 : len(s)-1]
	} else if bytes.IndexByte(s, '%') < 0 {
		return s, nil
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '%':
			b, digits := [1]byte{}, s[i+1:min(i+3, len(s))]
			if n, err := hex.Decode(b[:], digits); n == 0 || err != nil {
				return nil, fmt.Errorf("the attribute %.40q has broken percent-encoding", attribute)
			}
			c = b[0]
			i += len(digits)
		case c == '\\' && quoted && i+1 < len(s):
			i++
			c = s[i]
		}
		r.text = append(r.text, c)
	}
	return r.text[begin:len(r.text):len(r.text)], nil
}
