package jsonschema

import "math"

// types is a set of JSON types. Of numbers, integers are a type of their own.
type types uint8

const (
	null types = 1 << iota
	boolean
	integer
	fraction
	text
	array
	object

	number = integer | fraction
	all    = null | boolean | number | text | array | object
)

var typeNames = []struct {
	name string
	is   types
}{
	{"null", null}, {"boolean", boolean}, {"integer", integer}, {"number", number},
	{"string", text}, {"array", array}, {"object", object},
}

func typeNamed(name any) types {
	for _, t := range typeNames {
		if t.name == name {
			return t.is
		}
	}
	return 0
}

// count returns how many types there are; numbers are one.
func (t types) count() int { return len(t.each()) }

// each returns the names.
func (t types) each() (names []string) {
	for _, one := range typeNames {
		if t&one.is == one.is && (one.is != integer || t&fraction == 0) {
			names = append(names, one.name)
		}
	}
	if t&number == fraction {
		names = append(names, "number")
	}
	return names
}

// typeOf returns the type of a value.
func typeOf(value any) types {
	switch value := value.(type) {
	case nil:
		return null
	case bool:
		return boolean
	case string:
		return text
	case float64:
		if value == math.Trunc(value) {
			return integer
		}
		return fraction
	case []any:
		return array
	}
	return object
}

// declared returns the types of the keyword type.
func declared(n node) types {
	switch value := n.object()["type"].(type) {
	case string:
		return typeNamed(value)
	case []any:
		var t types
		for _, name := range value {
			t |= typeNamed(name)
		}
		return t
	}
	return all
}

// types returns which types a value may have that follows all of some schemas. depth bounds how far
// it looks into cases.
func (c *comparison) types(nodes []node, depth int) types {
	t := all
	if !c.step() {
		return t
	}
	for _, n := range c.flat(nodes) {
		if n.never() {
			return 0
		}
		t &= declared(n)
		o := n.object()
		if step, ok := o["multipleOf"].(float64); ok && typeOf(step) == integer {
			t &^= fraction
		}
		if value, ok := o["const"]; ok {
			t &= typeOf(value)
		}
		if list, ok := o["enum"].([]any); ok {
			var some types
			for _, value := range list {
				some |= typeOf(value)
			}
			t &= some
		}
		for _, keyword := range []string{"anyOf", "oneOf"} {
			branches := n.schemas(keyword)
			if len(branches) == 0 || depth == 0 {
				continue
			}
			var some types
			for _, branch := range branches {
				some |= c.types([]node{branch}, depth-1)
			}
			t &= some
		}
	}
	return t
}
