package jsonschema

import "strings"

// draft is a version of JSON Schema, by its year or, up to 7, its number.
type draft int

const (
	draft4    draft = 4
	draft6    draft = 6
	draft7    draft = 7
	draft2019 draft = 2019
	draft2020 draft = 2020
)

// draftOf returns the draft of a document.
func draftOf(content any) draft {
	about, _ := content.(map[string]any)
	name, _ := about["$schema"].(string)
	for text, d := range map[string]draft{"draft-04": draft4, "draft-06": draft6, "draft-07": draft7, "2019-09": draft2019} {
		if strings.Contains(name, text) {
			return d
		}
	}
	return draft2020
}

// known are the drafts from and to which a keyword counts, where that is not all of them.
var known = map[string][2]draft{
	"const": {draft6, draft2020}, "contains": {draft6, draft2020}, "propertyNames": {draft6, draft2020},
	"if": {draft7, draft2020}, "then": {draft7, draft2020}, "else": {draft7, draft2020},
	"dependentRequired": {draft2019, draft2020}, "dependentSchemas": {draft2019, draft2020},
	"minContains": {draft2019, draft2020}, "maxContains": {draft2019, draft2020},
	"unevaluatedProperties": {draft2019, draft2020}, "unevaluatedItems": {draft2019, draft2020},
	"$anchor": {draft2019, draft2020}, "$recursiveRef": {draft2019, draft2019}, "$recursiveAnchor": {draft2019, draft2019},
	"prefixItems": {draft2020, draft2020}, "$dynamicRef": {draft2020, draft2020}, "$dynamicAnchor": {draft2020, draft2020},
	"dependencies": {draft4, draft7}, "additionalItems": {draft4, draft2019},
}

// Where keywords have schemas: by name, in a list, or one.
//
//nolint:gochecknoglobals // tables
var (
	schemasByName = []string{"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"}
	schemaLists   = []string{"allOf", "anyOf", "oneOf", "prefixItems", "items"}
	singleSchemas = []string{
		"items", "additionalItems", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames",
		"unevaluatedItems", "unevaluatedProperties",
	}
)

// children returns the schemas in a schema.
func (n node) children() (all []node) {
	for _, keyword := range schemasByName {
		for _, m := range n.named(keyword) {
			all = append(all, m.node)
		}
	}
	for _, keyword := range schemaLists {
		all = append(all, n.schemas(keyword)...)
	}
	for _, keyword := range singleSchemas {
		if child, ok := n.one(keyword); ok {
			all = append(all, child)
		}
	}
	return all
}

// trim takes out the keywords that a draft does not know. They do not count.
func trim(n node, d draft) {
	o := n.object()
	for keyword, span := range known {
		if d < span[0] || d > span[1] {
			delete(o, keyword)
		}
	}
	for _, child := range n.children() {
		trim(child, d)
	}
}
