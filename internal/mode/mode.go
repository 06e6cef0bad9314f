// Package mode tells from a content type in which mode of CloudEvents a message is, and compares
// header names as the adapters do: without case, of which only ASCII has one here, since U+212A is
// no k.
package mode

import (
	"bytes"
	"strings"
)

// CloudEvents is how the content types of events begin.
const CloudEvents = "application/cloudevents"

// HasPrefix reports whether s begins with prefix.
func HasPrefix[T string | []byte](s T, prefix string) bool {
	if len(s) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		if LowerByte(s[i]) != LowerByte(prefix[i]) {
			return false
		}
	}
	return true
}

// Lower returns s with its ASCII letters in lower case. Other bytes stay, so that no other name
// becomes an attribute's.
func Lower(s string) string {
	for i := range len(s) {
		if s[i] != LowerByte(s[i]) {
			b := []byte(s)
			for j := i; j < len(b); j++ {
				b[j] = LowerByte(b[j])
			}
			return string(b)
		}
	}
	return s
}

// LowerByte is Lower for a byte.
func LowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// Equal reports whether s is t.
func Equal[T string | []byte](s T, t string) bool { return len(s) == len(t) && HasPrefix(s, t) }

// IsJSON reports whether the format of a structured content type is JSON. A bare
// application/cloudevents is.
func IsJSON[T string | []byte](contentType T) bool {
	media, _, _ := bytes.Cut([]byte(contentType), []byte(";"))
	media = bytes.TrimSpace(media)
	return Equal(media, CloudEvents) || Equal(media, CloudEvents+"+json")
}

// IsCompressed reports whether a content encoding is one in which the body is not what was meant.
// Others, such as utf-8, say what it is anyway. Of several, which are separated by commas, the
// first counts; Spring writes gzip:UTF-8.
func IsCompressed(encoding string) bool {
	first, _, _ := strings.Cut(encoding, ":")
	first, _, _ = strings.Cut(first, ",")
	switch Lower(strings.TrimSpace(first)) {
	case "gzip", "x-gzip", "zip", "deflate", "compress", "br", "zstd", "lz4", "snappy":
		return true
	}
	return false
}
