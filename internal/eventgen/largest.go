package eventgen

import (
	"fmt"
	"slices"
	"strings"

	"github.com/leatgo/leat"
)

// Names returns n names of attributes for [Largest], which begin with those that are given.
func Names(n int, first ...string) []string {
	names := append([]string(nil), first[:min(n, len(first))]...)
	for i := len(names); i < n; i++ {
		names = append(names, fmt.Sprint("x", i))
	}
	return names
}

// Largest returns an event of exactly size bytes. Its attributes with the given names, of which one
// may be the id, are as long as the size allows, up to 64 KiB each, and need escaping in JSON. Its
// data repeats text, which has one byte. It returns an error where the event is not valid, or
// larger than size by its attributes alone.
func Largest(size int, contentType, text string, names ...string) (leat.Event, error) {
	headers := []leat.Header{
		{Name: "specversion", Value: []byte("1.0")}, {Name: "source", Value: []byte("/s")}, {Name: "type", Value: []byte("t")},
	}
	if !slices.Contains(names, "id") {
		headers = append(headers, leat.Header{Name: "id", Value: []byte("1")})
	}
	if contentType != "" {
		headers = append(headers, leat.Header{Name: "datacontenttype", Value: []byte(contentType)})
	}
	room := size - 200
	for _, name := range names {
		n := min(64<<10, room-len(name))
		if n <= 0 {
			break
		}
		headers = append(headers, leat.Header{Name: name, Value: []byte(strings.Repeat(`"`, n))})
		room -= n + len(name)
	}
	bare, err := new(leat.Decoder).Decode(headers, nil)
	if err != nil {
		return leat.Event{}, err
	}
	if bare.Size() > size {
		return leat.Event{}, fmt.Errorf("the attributes alone have %d bytes, and %d are wanted", bare.Size(), size)
	}
	e := bare.WithData(contentType, []byte(strings.Repeat(text, size-bare.Size())))
	return e, e.Validate()
}
