package jsonschema

import (
	"math"
	"slices"

	"github.com/leatgo/leat/schema"
)

// positions returns the schemas of the first items, each for its place.
func (n node) positions() []node {
	if list := n.schemas("prefixItems"); len(list) > 0 {
		return list
	}
	return n.schemas("items") // until draft 2019-09
}

// others returns the schema of the items behind the positions.
func (n node) others() (node, bool) {
	if _, isList := n.object()["items"].([]any); isList {
		return n.one("additionalItems")
	}
	return n.one("items")
}

// item returns what counts for the item with an index; behind all positions with -1.
func item(w []node, index int) (schemas []node) {
	for _, n := range w {
		places := n.positions()
		if index >= 0 && index < len(places) {
			schemas = append(schemas, places[index])
		} else if rest, ok := n.others(); ok {
			schemas = append(schemas, rest)
		}
	}
	return schemas
}

// longest returns how many items an array of w has at most.
func longest(w []node) float64 {
	most := math.Inf(1)
	for _, n := range w {
		if value, ok := n.object()["maxItems"].(float64); ok {
			most = min(most, value)
		}
		if rest, ok := n.others(); ok && rest.never() {
			most = min(most, float64(len(n.positions())))
		}
	}
	return most
}

// arrays compares the rules for arrays.
func (c *comparison) arrays(w []node, r node) (breaks []schema.Break) {
	most := longest(w)
	w = append(slices.Clip(w), node{pointer: "maxItems", content: map[string]any{"maxItems": most}})
	breaks = append(breaks, lengths(w, r, "minItems", "maxItems", 0)...)
	if r.object()["uniqueItems"] == true && most > 1 && !has(w, "uniqueItems", true) {
		breaks = append(breaks, r.broken("unique-added", "uniqueItems"))
	}
	places := r.positions()
	for i, place := range places {
		if float64(i) < most {
			breaks = append(breaks, c.within(item(w, i), place)...)
		}
	}
	if rest, ok := r.others(); ok {
		behind := len(places)
		for _, n := range w {
			behind = max(behind, len(n.positions()))
		}
		for i := len(places); i < behind && float64(i) < most; i++ {
			breaks = append(breaks, c.within(item(w, i), rest)...)
		}
		if float64(behind) < most {
			breaks = append(breaks, c.within(item(w, -1), rest)...)
		}
	}
	if contains, ok := r.one("contains"); ok && !c.contains(w, r, contains) {
		breaks = append(breaks, r.broken("contains-changed", "contains"))
	}
	if rest, ok := r.one("unevaluatedItems"); ok && len(c.within(nil, rest)) > 0 { // or the schema would be kept
		breaks = append(breaks, r.broken("unevaluated-changed", "unevaluatedItems"))
	}
	return breaks
}

// contains reports whether w has as many items of a kind as r wants.
func (c *comparison) contains(w []node, r, kind node) bool {
	if _, ok := r.object()["maxContains"]; ok {
		return c.same(w, r, "contains", "minContains", "maxContains")
	}
	wanted := number1(r, "minContains")
	if wanted == 0 {
		return true
	}
	for _, n := range w {
		own, ok := n.one("contains")
		if ok && number1(n, "minContains") >= wanted && len(c.within([]node{own}, kind)) == 0 {
			return true
		}
	}
	return false
}

// number1 returns the number of a keyword, 1 where it is missing.
func number1(n node, keyword string) float64 {
	if value, ok := n.object()[keyword].(float64); ok {
		return value
	}
	return 1
}
