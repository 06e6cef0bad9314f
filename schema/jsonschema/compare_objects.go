package jsonschema

import (
	"regexp"
	"slices"

	"github.com/leatgo/leat/schema"
)

// property returns what counts for a property, and whether one of the schemas mentions its name or
// a pattern for it.
func property(w []node, name string) (schemas []node, mentioned bool) {
	for _, n := range w {
		own := n.mentions(name)
		mentioned = mentioned || len(own) > 0
		if rest, ok := n.one("additionalProperties"); ok && len(own) == 0 {
			own = append(own, rest)
		}
		schemas = append(schemas, own...)
	}
	return schemas, mentioned
}

// mentions returns the schemas that one schema has for a name.
func (n node) mentions(name string) (schemas []node) {
	properties, _ := n.object()["properties"].(map[string]any)
	if content, ok := properties[name]; ok {
		schemas = append(schemas, n.child(content, "properties", name))
	}
	for _, p := range n.named("patternProperties") {
		if matches(p.name, name) {
			schemas = append(schemas, p.node)
		}
	}
	return schemas
}

// matches reports whether a name matches a pattern. One that Go does not know matches nothing;
// Compile has refused it.
func matches(pattern, name string) bool {
	expression, err := regexp.Compile(pattern)
	return err == nil && expression.MatchString(name)
}

// otherNames returns what counts for names that no schema of w mentions.
func otherNames(w []node) (schemas []node) {
	for _, n := range w {
		if rest, ok := n.one("additionalProperties"); ok {
			schemas = append(schemas, rest)
		}
	}
	return schemas
}

// names returns the names that w mentions.
func names(w []node) map[string]bool {
	all := map[string]bool{}
	for _, n := range w {
		for _, p := range n.named("properties") {
			all[p.name] = true
		}
	}
	return all
}

// requiredBy returns the properties that w requires.
func requiredBy(w []node) map[string]bool {
	all := map[string]bool{}
	for _, n := range w {
		list, _ := n.object()["required"].([]any)
		for _, name := range list {
			if name, ok := name.(string); ok {
				all[name] = true
			}
		}
	}
	return all
}

// impossible reports whether one of some schemas is false.
func (c *comparison) impossible(schemas []node) bool { return c.types(schemas, maxNested) == 0 }

// objects compares the rules for objects.
func (c *comparison) objects(w []node, r node) (breaks []schema.Break) {
	breaks = append(breaks, c.required(w, r)...)
	for _, p := range r.named("properties") {
		schemas, mentioned := property(w, p.name)
		switch {
		case mentioned || len(c.flat(schemas)) > 0:
			breaks = append(breaks, c.within(schemas, p.node)...)
		case c.strict && len(c.within(nil, p.node)) > 0:
			breaks = append(breaks, p.node.broken("property-added"))
		}
	}
	for _, p := range r.named("patternProperties") {
		breaks = append(breaks, c.pattern(w, p)...)
	}
	if rest, ok := r.one("additionalProperties"); ok {
		breaks = append(breaks, c.additional(w, r, rest)...)
	}
	known := requiredBy(w)
	breaks = append(breaks, lengths(c.counted(w), r, "minProperties", "maxProperties", float64(len(known)))...)
	breaks = append(breaks, c.dependencies(w, r)...)
	if rule, ok := r.one("propertyNames"); ok && !c.propertyNames(w, rule) {
		breaks = append(breaks, r.broken("names-limited", "propertyNames"))
	}
	if rest, ok := r.one("unevaluatedProperties"); ok && (c.strict || !rest.never()) && len(c.within(nil, rest)) > 0 {
		breaks = append(breaks, r.broken("unevaluated-changed", "unevaluatedProperties"))
	}
	return breaks
}

// required compares which properties have to be there.
func (c *comparison) required(w []node, r node) (breaks []schema.Break) {
	kept := requiredBy(w)
	for _, name := range sorted(requiredBy([]node{r})) {
		if kept[name] {
			continue
		}
		schemas := r.mentions(name)
		hasDefault := len(schemas) > 0 && schemas[0].object()["default"] != nil
		if hasDefault && !c.strict {
			continue
		}
		b := r.broken("required-added", "required")
		b.Path += "/" + escape.Replace(name)
		breaks = append(breaks, b)
	}
	return breaks
}

// pattern compares a pattern of names.
func (c *comparison) pattern(w []node, p member) (breaks []schema.Break) {
	for _, name := range sorted(names(w)) {
		if matches(p.name, name) {
			schemas, _ := property(w, name)
			breaks = append(breaks, c.within(schemas, p.node)...)
		}
	}
	var schemas []node
	for _, n := range w {
		patterns := n.named("patternProperties")
		for _, own := range patterns {
			if own.name == p.name {
				schemas = append(schemas, own.node)
			}
		}
		if rest, ok := n.one("additionalProperties"); ok && len(patterns) == 0 {
			schemas = append(schemas, rest)
		}
	}
	switch {
	case len(c.flat(schemas)) > 0:
		breaks = append(breaks, c.within(schemas, p.node)...)
	case (c.strict || hasPatterns(w)) && len(c.within(nil, p.node)) > 0:
		breaks = append(breaks, p.node.broken("pattern-added"))
	}
	return breaks
}

func hasPatterns(w []node) bool {
	for _, n := range w {
		if len(n.named("patternProperties")) > 0 {
			return true
		}
	}
	return false
}

// additional compares what counts for names that r does not mention.
func (c *comparison) additional(w []node, r, rest node) (breaks []schema.Break) {
	if len(c.within(nil, rest)) == 0 || !c.strict && rest.never() {
		return nil
	}
	for _, name := range sorted(names(w)) {
		if len(r.mentions(name)) > 0 {
			continue
		}
		schemas, _ := property(w, name)
		switch {
		case c.impossible(schemas):
		case rest.never():
			b := r.broken("property-removed", "additionalProperties")
			b.Text = "property " + name + " was taken away. " + b.Text
			breaks = append(breaks, b)
		default:
			breaks = append(breaks, c.within(schemas, rest)...)
		}
	}
	known, _ := r.object()["patternProperties"].(map[string]any)
	for _, n := range w {
		for _, p := range n.named("patternProperties") {
			if _, ok := known[p.name]; ok || c.impossible([]node{p.node}) {
				continue
			}
			breaks = append(breaks, c.within([]node{p.node}, rest)...)
		}
	}
	schemas := otherNames(w)
	if len(c.flat(schemas)) == 0 && !c.strict {
		return breaks
	}
	if found := c.within(schemas, rest); len(found) > 0 {
		breaks = append(breaks, r.broken("additional-limited", "additionalProperties"))
	}
	return breaks
}

// counted adds to w how many properties its objects have at most, where it mentions all of them.
func (c *comparison) counted(w []node) []node {
	if !c.onlyNamed(w) {
		return w
	}
	return append(slices.Clip(w), node{pointer: "maxProperties", content: map[string]any{"maxProperties": float64(len(names(w)))}})
}

// onlyNamed reports whether objects of w have no other properties than those that it mentions by
// name.
func (c *comparison) onlyNamed(w []node) bool {
	for _, n := range w {
		rest, ok := n.one("additionalProperties")
		if ok && rest.never() && len(n.named("patternProperties")) == 0 {
			return true
		}
	}
	return false
}

// dependencies compares what has to be there, or counts, where a property is.
func (c *comparison) dependencies(w []node, r node) (breaks []schema.Break) {
	kept := requiredBy(w)
	for _, keyword := range []string{"dependentRequired", "dependentSchemas", "dependencies"} {
		for _, p := range r.named(keyword) {
			if schemas, _ := property(w, p.name); c.impossible(schemas) {
				continue
			}
			wanted, isList := p.node.content.([]any)
			for _, name := range wanted {
				if name, ok := name.(string); ok && !kept[name] && !depends(w, p.name, name) {
					breaks = append(breaks, r.broken("dependency-added", keyword, p.name))
				}
			}
			if !isList && !c.dependent(w, p) {
				breaks = append(breaks, r.broken("dependency-added", keyword, p.name))
			}
		}
	}
	return breaks
}

// depends reports whether w wants a property where another one is.
func depends(w []node, where, wanted string) bool {
	for _, n := range w {
		for _, keyword := range []string{"dependentRequired", "dependencies"} {
			object, _ := n.object()[keyword].(map[string]any)
			list, _ := object[where].([]any)
			for _, name := range list {
				if name == wanted {
					return true
				}
			}
		}
	}
	return false
}

// dependent reports whether w follows a schema where a property is.
func (c *comparison) dependent(w []node, p member) bool {
	there := append(slices.Clip(w), node{pointer: "required " + p.name, content: map[string]any{"required": []any{p.name}}})
	for _, n := range w {
		for _, keyword := range []string{"dependentSchemas", "dependencies"} {
			for _, own := range n.named(keyword) {
				if _, isList := own.node.content.([]any); own.name == p.name && !isList {
					there = append(there, own.node)
				}
			}
		}
	}
	return len(c.implies(there, p.node)) == 0
}

// propertyNames reports whether all names of w follow a rule.
func (c *comparison) propertyNames(w []node, rule node) bool {
	for _, n := range w {
		if own, ok := n.one("propertyNames"); ok {
			name := node{pointer: "type string", content: map[string]any{"type": "string"}}
			if len(c.within([]node{own, name}, rule)) == 0 {
				return true
			}
		}
	}
	if !c.onlyNamed(w) {
		return false
	}
	for name := range names(w) {
		if schemas, _ := property(w, name); !c.impossible(schemas) && !c.accepts(rule, name) {
			return false
		}
	}
	return true
}
