package jsonschema

import (
	"slices"
	"strings"

	"github.com/leatgo/leat/schema"
)

// general compares the rules that are not about one type.
func (c *comparison) general(w []node, r node, t types) (breaks []schema.Break) {
	o := r.object()
	if t&^declared(r) != 0 {
		breaks = append(breaks, r.broken("type-narrowed", "type"))
	}
	for _, keyword := range []string{"const", "enum"} {
		if _, ok := o[keyword]; ok { // w has no list of values, or that would have been asked
			breaks = append(breaks, r.broken("values-limited", keyword))
		}
	}
	breaks = append(breaks, c.anyOf(w, r)...)
	breaks = append(breaks, c.oneOf(w, r)...)
	if not, ok := r.one("not"); ok && !c.excludes(w, not) {
		breaks = append(breaks, r.broken("not-changed", "not"))
	}
	if _, ok := o["if"]; ok && !c.either(w, r) && !c.same(w, r, "if", "then", "else") {
		breaks = append(breaks, r.broken("condition-changed", "if"))
	}
	for _, keyword := range []string{"$dynamicRef", "$recursiveRef"} {
		if _, ok := o[keyword]; ok {
			breaks = append(breaks, r.broken("dynamic-reference", keyword))
		}
	}
	return breaks
}

// anyOf wants a case that holds for all of w.
func (c *comparison) anyOf(w []node, r node) []schema.Break {
	branches := r.schemas("anyOf")
	if len(branches) == 0 || slices.ContainsFunc(branches, func(b node) bool { return len(c.implies(w, b)) == 0 }) {
		return nil
	}
	return c.noCase(w, r, "anyOf", branches)
}

// oneOf wants a case that holds for all of w while, with Strict, no other one can.
func (c *comparison) oneOf(w []node, r node) []schema.Break {
	branches := r.schemas("oneOf")
	if len(branches) == 0 {
		return nil
	}
	overlap := false
	for i, b := range branches {
		if len(c.implies(w, b)) > 0 {
			continue
		}
		others := slices.Delete(slices.Clone(branches), i, i+1)
		if !c.strict || !slices.ContainsFunc(others, func(other node) bool { return !c.excludes(w, other) }) {
			return nil
		}
		overlap = true
	}
	if overlap {
		return []schema.Break{r.broken("cases-overlap", "oneOf")}
	}
	return c.noCase(w, r, "oneOf", branches)
}

// noCase says what is wrong with a single case of the right type, or else that there is none.
func (c *comparison) noCase(w []node, r node, keyword string, branches []node) []schema.Break {
	var fitting []node
	for _, b := range branches {
		if c.types(w, maxNested)&c.types([]node{b}, maxNested) != 0 {
			fitting = append(fitting, b)
		}
	}
	if len(fitting) == 1 {
		return c.implies(w, fitting[0])
	}
	return []schema.Break{r.broken("no-case", keyword)}
}

// either reports whether w follows both ends of a condition.
func (c *comparison) either(w []node, r node) bool {
	for _, keyword := range []string{"then", "else"} {
		if n, ok := r.one(keyword); ok && len(c.implies(w, n)) > 0 {
			return false
		}
	}
	return true
}

// same reports whether one schema of w has some keywords as r has them, also in what they refer to.
func (c *comparison) same(w []node, r node, keywords ...string) bool {
	return slices.ContainsFunc(w, func(n node) bool {
		seen := map[[2]string]bool{}
		return n.in != nil && n.in.draft == r.in.draft && !slices.ContainsFunc(keywords, func(keyword string) bool {
			return !c.equalKeyword(n, r, keyword, seen)
		})
	})
}

// excludes reports whether nothing that follows w follows n.
func (c *comparison) excludes(w []node, n node) bool {
	if c.types(w, maxNested)&c.types([]node{n}, maxNested) == 0 {
		return true
	}
	for _, one := range w {
		if not, ok := one.one("not"); ok && len(c.sound([]node{n}, not)) == 0 {
			return true
		}
	}
	return c.excludesByProperty(w, n)
}

// sound compares with Strict: under a not, what Strict overlooks would be missed.
func (c *comparison) sound(w []node, r node) []schema.Break {
	before := c.strict
	c.strict = true
	defer func() { c.strict = before }()
	return c.implies(w, r)
}

// excludesByProperty reports whether a property that both require cannot be the same: it tells the
// cases of a oneOf apart.
func (c *comparison) excludesByProperty(w []node, n node) bool {
	other := c.flat([]node{n})
	if c.types(w, maxNested) != object && c.types(other, maxNested) != object {
		return false
	}
	for name := range requiredBy(w) {
		if !requiredBy(other)[name] {
			continue
		}
		mine, _ := property(w, name)
		theirs, _ := property(other, name)
		mine, theirs = c.flat(mine), c.flat(theirs)
		if c.types(mine, maxNested)&c.types(theirs, maxNested) == 0 {
			return true
		}
		values, ok := c.values(mine)
		if ok && !slices.ContainsFunc(values, func(value any) bool {
			return !slices.ContainsFunc(theirs, func(t node) bool { return t.whole() && !c.accepts(t, value) })
		}) {
			return true
		}
	}
	return false
}

// refers reports whether a part of a schema has a reference.
func refers(content any) bool {
	switch content := content.(type) {
	case map[string]any:
		for keyword, value := range content {
			if strings.HasPrefix(keyword, "$") && strings.HasSuffix(strings.ToLower(keyword), "ref") || refers(value) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(content, refers)
	}
	return false
}
