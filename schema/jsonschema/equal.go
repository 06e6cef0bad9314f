package jsonschema

import (
	"reflect"
	"slices"
)

// aside are keywords that say nothing about data, or count only where something refers to them.
var aside = []string{
	"title", "description", "$comment", "examples", "deprecated", "readOnly", "writeOnly", "default",
	"$defs", "definitions", "$schema", "$id", "id", "$anchor",
}

// kept reports whether one of w is the same as a schema of the reader: with the same keywords, and
// the same where they refer to others. Then nothing breaks, also where the rules cannot be compared
// one by one.
func (c *comparison) kept(w []node, r node) bool {
	return slices.ContainsFunc(w, func(n node) bool {
		return n.in != nil && n.in.draft == r.in.draft && c.equal(n.entire(), r.entire(), map[[2]string]bool{})
	})
}

func (c *comparison) equal(a, b node, seen map[[2]string]bool) bool {
	pair := [2]string{identity([]node{a}), identity([]node{b})}
	if seen[pair] {
		return true
	}
	seen[pair] = true
	if !c.step() {
		return false
	}
	x, isX := a.content.(map[string]any)
	y, isY := b.content.(map[string]any)
	if !isX || !isY {
		return a.content == b.content
	}
	keywords := map[string]bool{}
	for _, o := range []map[string]any{x, y} {
		for keyword := range o {
			keywords[keyword] = !slices.Contains(aside, keyword)
		}
	}
	for keyword, counts := range keywords {
		if counts && !c.equalKeyword(a, b, keyword, seen) {
			return false
		}
	}
	return true
}

func (c *comparison) equalKeyword(a, b node, keyword string, seen map[[2]string]bool) bool {
	x, y := a.object()[keyword], b.object()[keyword]
	switch keyword {
	case "$dynamicRef", "$recursiveRef", "$dynamicAnchor", "$recursiveAnchor":
		return false // what they mean depends on who refers
	case "$ref":
		one, okOne := x.(string)
		other, okOther := y.(string)
		if !okOne || !okOther {
			return false
		}
		from, errFrom := a.refer(one)
		to, errTo := b.refer(other)
		return errFrom == nil && errTo == nil && c.equal(from, to, seen)
	}
	if list := a.schemas(keyword); len(list) > 0 && slices.Contains(schemaLists, keyword) {
		return slices.EqualFunc(list, b.schemas(keyword), func(m, n node) bool { return c.equal(m, n, seen) })
	}
	if slices.Contains(schemasByName, keyword) && keyword != "dependencies" {
		return slices.EqualFunc(a.named(keyword), b.named(keyword), func(m, n member) bool {
			return m.name == n.name && c.equal(m.node, n.node, seen)
		})
	}
	if one, ok := a.one(keyword); ok && slices.Contains(singleSchemas, keyword) {
		other, ok := b.one(keyword)
		return ok && c.equal(one, other, seen)
	}
	return reflect.DeepEqual(x, y) && !refers(x)
}
