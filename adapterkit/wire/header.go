package wire

import (
	"slices"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/mode"
)

// Sorted appends headers from a map in the order of their names, as a
// [github.com/leatgo/leat.Malformed] needs them. text returns the value of a header.
func Sorted[V any](dst []leat.Header, headers map[string]V, text func(V) []byte) []leat.Header {
	dst = slices.Grow(dst, len(headers))
	for _, name := range Names(headers) {
		dst = append(dst, leat.Header{Name: name, Value: text(headers[name])})
	}
	return dst
}

// Names returns the names of headers in order. It makes one allocation;
// slices.Sorted(maps.Keys(headers)) makes five for each message, also for one without headers.
func Names[V any](headers map[string]V) []string {
	names := make([]string, 0, len(headers))
	for name := range headers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Find returns the value of the first header that has a name in any case, or "".
func Find(headers []leat.Header, name string) string {
	for _, h := range headers {
		if mode.Equal(h.Name, name) {
			return string(h.Value)
		}
	}
	return ""
}
