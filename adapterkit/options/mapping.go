package options

import (
	"slices"
	"strings"

	"github.com/leatgo/leat/foreign"
)

// Mapping returns the ready-made mappings that the parameter names, in the order in which they are
// asked: lenient, plain, structured, or several of them behind commas. It is nil where the
// parameter is not given or wrong.
func (r *Reader) Mapping(name string) foreign.Mapping {
	value, ok := r.get(name)
	if !ok {
		return nil
	}
	names := strings.Split(value, ",")
	var mappings []foreign.Mapping
	for i, one := range names {
		f, ok := mappingOf(one)
		if !ok || slices.Contains(names[:i], one) {
			r.reject(name, "write lenient, plain, structured, or several of them, each once and with commas between them")
			return nil
		}
		mappings = append(mappings, f)
	}
	return foreign.First(mappings...)
}

func mappingOf(name string) (foreign.Mapping, bool) {
	switch name {
	case "lenient":
		return foreign.Lenient(nil), true
	case "plain":
		return foreign.Plain(nil), true
	case "structured":
		return foreign.Structured, true
	}
	return nil, false
}
