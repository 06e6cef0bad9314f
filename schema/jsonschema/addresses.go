package jsonschema

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/leatgo/leat/schema"
)

const (
	// root is where the schema is that is compiled. What a relative $ref names is beside it.
	root = "leat://schema/"
	main = root + "$"
)

// addressesOf returns the texts of a bundle by the addresses under which a $ref finds them. The
// name of an import is what a $ref says. Where that is relative, its address follows from that of
// the schema that has the $ref, or from its $id; a name means the same in all of them.
func addressesOf(b *schema.Bundle) map[string]string {
	all := map[string]string{main: b.Text}
	add := func(address, text string) {
		if _, ok := all[address]; !ok {
			all[address] = text
		}
	}
	names := slices.Sorted(maps.Keys(b.Imports))
	bases := make([]string, 0, 2+2*len(names))
	bases = append(bases, main, idOf(main, b.Text))
	for _, name := range names {
		address := resolve(main, name)
		add(address, b.Imports[name])
		bases = append(bases, address, idOf(address, b.Imports[name]))
	}
	for _, base := range bases {
		for _, name := range names {
			add(resolve(base, name), b.Imports[name])
		}
	}
	for _, name := range names {
		add(idOf(resolve(main, name), b.Imports[name]), b.Imports[name])
	}
	return all
}

// idOf returns the address that a schema gives itself, or that where it was found.
func idOf(address, text string) string {
	var about struct {
		ID  string `json:"$id"`
		Old string `json:"id"` // of draft 4
	}
	if json.Unmarshal([]byte(text), &about) != nil {
		return address
	}
	if about.ID == "" {
		about.ID = about.Old
	}
	return resolve(address, about.ID)
}

// resolve returns the address, without a fragment, that a reference means in a schema (RFC 3986,
// section 5).
func resolve(base, reference string) string {
	reference, _, _ = strings.Cut(reference, "#")
	from, errBase := url.Parse(base)
	to, errReference := url.Parse(reference)
	if errBase != nil || errReference != nil {
		return reference
	}
	return from.ResolveReference(to).String()
}
