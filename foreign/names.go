package foreign

import (
	"strings"

	"github.com/leatgo/leat/internal/mode"
)

const reservedPrefix = "leat"

// mendNames takes capital letters and separators out of names, such as Debezium's iodebeziumtxId.
// Two attributes that have one name then must have one value.
func mendNames(r *repair) error {
	kept := r.attributes[:0:0]
	at := map[string]int{}
	for _, a := range r.attributes {
		name := mendName(a.name)
		if name != a.name {
			if strings.HasPrefix(name, reservedPrefix) {
				return attributeError(a.name, "has a name that becomes a reserved one")
			}
			r.notes.kept(name, "renamed from "+a.name)
			a.name = name
		}
		i, twice := at[name]
		switch {
		case !twice:
			at[name] = len(kept)
			kept = append(kept, a)
		case kept[i].text == a.text && kept[i].kind == a.kind:
			r.notes.kept(name, "there twice with one value")
		default:
			return attributeError(name, "is there twice with different values")
		}
	}
	r.attributes = kept
	return nil
}

// mendName returns a name in lower case and without separators. What else is wrong with it stays.
func mendName(name string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == '_' || c == '-' || c == '.':
			return -1
		case 'A' <= c && c <= 'Z':
			return rune(mode.LowerByte(byte(c)))
		}
		return c
	}, name)
}
