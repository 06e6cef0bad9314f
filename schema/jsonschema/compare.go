package jsonschema

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/leatgo/leat/schema"
)

// Compare returns what breaks when a consumer with the schema reader gets data that was written
// with the schema writer: rules of reader that data may break though it follows writer. Path is a
// JSON Pointer into reader, with # in front.
//
// A rule counts as kept only where writer is seen to enforce it. So with Strict, no verdict misses
// a break, but a rule that is written in another way may be reported though it says the same. That
// is so for pattern, not, if, contains with maxContains, unevaluatedProperties and
// unevaluatedItems, which have to stay as they are, with all that counts in the same schema. Where
// a schema has a dynamic reference, it has to stay as a whole.
//
// Without Strict, names that a schema does not mention do not count: a consumer may get to know a
// property, or refuse additional ones, and a required property with a default may be new.
//
// The error says why the schemas cannot be compared.
func (f Format) Compare(writer, reader schema.Bundle) ([]schema.Break, error) {
	if writer.Text == reader.Text && maps.Equal(writer.Imports, reader.Imports) {
		return nil, nil
	}
	w, errWriter := newDocuments(writer)
	r, errReader := newDocuments(reader)
	if err := errors.Join(errWriter, errReader); err != nil {
		return nil, err
	}
	c := &comparison{strict: f.Strict, open: map[string]int{}}
	breaks := c.implies([]node{w.root()}, r.root())
	if c.err != nil {
		return nil, c.err
	}
	return breaks, nil
}

const (
	maxSteps  = 200_000 // of one comparison; large real schemas take some thousands
	maxNested = 6       // cases within cases
)

var errComplex = errors.New("the schemas are too complex to be compared: write anyOf and oneOf with fewer cases within cases")

// comparison asks whether what follows one schema follows another.
type comparison struct {
	strict bool
	steps  int
	nested int
	depth  int            // how deep in the data the question is
	open   map[string]int // questions that are being asked, and how deep
	err    error          // the first; then nothing counts any more
}

func (c *comparison) fail(err error) { c.err = cmp.Or(c.err, err) }

// step counts the work. It returns false when there was too much of it.
func (c *comparison) step() bool {
	if c.steps++; c.steps > maxSteps {
		c.fail(errComplex)
	}
	return c.err == nil
}

// implies returns which rules of reader a value may break that follows all of writer.
func (c *comparison) implies(writer []node, reader node) []schema.Break {
	w, r := c.flat(writer), c.flat([]node{reader})
	if !c.step() || len(r) == 0 || slices.ContainsFunc(w, node.never) || c.kept(writer, reader) || c.kept(w, reader) {
		return nil
	}
	question := identity(w) + ">" + identity(r)
	if depth, ok := c.open[question]; ok && depth < c.depth {
		return nil // a recursive schema: if the answer is no, that is found where it is asked
	} else if !ok {
		c.open[question] = c.depth
		defer delete(c.open, question)
	}
	if values, ok := c.values(w); ok {
		return c.acceptAll(values, reader)
	}
	breaks := c.direct(w, r)
	if len(breaks) == 0 {
		return nil
	}
	return c.byCase(w, r, reader, breaks)
}

// within is implies for a part of the data.
func (c *comparison) within(writer []node, reader node) []schema.Break {
	c.depth++
	defer func() { c.depth-- }()
	return c.implies(writer, reader)
}

// byCase looks at the cases that writer has, one by one, because what does not hold for a whole may
// hold for each part.
func (c *comparison) byCase(w, r []node, reader node, breaks []schema.Break) []schema.Break {
	if c.nested >= maxNested {
		return breaks
	}
	c.nested++
	defer func() { c.nested-- }()
	for _, cases := range c.cases(w, r) {
		var found []schema.Break
		for _, one := range cases {
			found = append(found, c.implies(one, reader)...)
		}
		if len(found) < len(breaks) {
			breaks = found
		}
		if len(breaks) == 0 {
			break
		}
	}
	return breaks
}

// cases returns the ways to take writer apart: by its anyOf, by its oneOf, and by type where reader
// has cases itself.
func (c *comparison) cases(w, r []node) (ways [][][]node) {
	for i, n := range w {
		for _, keyword := range []string{"anyOf", "oneOf"} {
			branches := n.schemas(keyword)
			if len(branches) == 0 {
				continue
			}
			cases := make([][]node, 0, len(branches))
			for _, branch := range branches {
				one := slices.Clone(w)
				one[i] = n.less(keyword)
				cases = append(cases, append(one, branch))
			}
			ways = append(ways, cases)
		}
	}
	hasCases := slices.ContainsFunc(r, func(n node) bool {
		o := n.object()
		return o["anyOf"] != nil || o["oneOf"] != nil || o["not"] != nil || o["if"] != nil
	})
	if t := c.types(w, maxNested); hasCases && t.count() > 1 {
		cases := make([][]node, 0, t.count())
		for _, one := range t.each() {
			cases = append(cases, append(slices.Clone(w), node{pointer: "type " + one, content: map[string]any{"type": one}}))
		}
		ways = append(ways, cases)
	}
	return ways
}

// identity names schemas that all count.
func identity(nodes []node) string {
	names := make([]string, len(nodes))
	for i, n := range nodes {
		names[i] = n.pointer
		if n.in != nil {
			names[i] = fmt.Sprintf("%p%s%s", n.in, n.pointer, n.without)
		}
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), "&")
}

const maxRefs = 100

// flat returns the objects that all count, without those that only refer to others. A schema that
// is false is one of them; those that are true are left out.
func (c *comparison) flat(nodes []node) (all []node) {
	seen := map[string]bool{}
	for open := slices.Clone(nodes); len(open) > 0 && c.err == nil; open = open[1:] {
		n := open[0]
		id := identity(open[:1])
		if seen[id] {
			continue
		}
		seen[id] = true
		if len(seen) > maxRefs {
			c.fail(errComplex)
		}
		if n.never() {
			return []node{n}
		}
		o := n.object()
		if ref, ok := o["$ref"].(string); ok {
			target, err := n.refer(ref)
			if err != nil {
				c.fail(err)
				return nil
			}
			open = append(open, target)
			if n.in.draft <= draft7 {
				continue
			}
		}
		open = append(open, n.schemas("allOf")...)
		for _, keyword := range []string{"$ref", "allOf"} {
			if o[keyword] != nil {
				n = n.less(keyword)
			}
		}
		if len(n.object()) > 0 {
			all = append(all, n)
		}
	}
	return all
}

// values returns the values that follow writer, where it lists them.
func (c *comparison) values(w []node) (values []any, ok bool) {
	for _, n := range w {
		if list, isList := n.object()["enum"].([]any); isList {
			values, ok = list, true
		}
		if value, has := n.object()["const"]; has {
			values, ok = []any{value}, true
			break
		}
	}
	if t := c.types(w, maxNested); !ok && t&^(null|boolean) == 0 {
		ok = true
		if t&null != 0 {
			values = append(values, nil)
		}
		if t&boolean != 0 {
			values = append(values, true, false)
		}
	}
	return slices.DeleteFunc(slices.Clone(values), func(value any) bool {
		return slices.ContainsFunc(w, func(n node) bool { return n.whole() && !c.accepts(n, value) })
	}), ok
}

func (c *comparison) accepts(n node, value any) bool {
	ok, err := n.in.all.accepts(n, value)
	if err != nil {
		c.fail(err)
	}
	return ok
}

// acceptAll asks reader about each value.
func (c *comparison) acceptAll(values []any, reader node) []schema.Break {
	for _, value := range values {
		if !c.accepts(reader, value) {
			return []schema.Break{reader.broken("value-refused")}
		}
	}
	return nil
}

// broken makes a Break of a rule.
func (n node) broken(rule string, keyword ...string) schema.Break {
	return schema.Break{Rule: rule, Path: "#" + n.child(nil, keyword...).pointer, Text: ruleTexts[rule]}
}

// direct returns which rules of the objects of reader a value may break that follows all of w.
func (c *comparison) direct(w, r []node) (breaks []schema.Break) {
	t := c.types(w, maxNested)
	for _, n := range r {
		if n.never() {
			return []schema.Break{n.broken("nothing-allowed")}
		}
		if c.kept(w, n) {
			continue
		}
		breaks = append(breaks, c.general(w, n, t)...)
		if t&number != 0 {
			breaks = append(breaks, numbers(w, n, t)...)
		}
		if t&text != 0 {
			breaks = append(breaks, texts(w, n)...)
		}
		if t&array != 0 {
			breaks = append(breaks, c.arrays(w, n)...)
		}
		if t&object != 0 {
			breaks = append(breaks, c.objects(w, n)...)
		}
	}
	return breaks
}
