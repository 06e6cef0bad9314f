package jsonschema

import (
	"maps"
	"slices"
)

// ruleTexts say what breaks by a rule, and what to do instead.
var ruleTexts = map[string]string{
	"nothing-allowed": "the schema accepts nothing here; keep what was accepted",
	"type-narrowed":   "data may have a type that is not accepted any more; keep the types, or use a new property",
	"values-limited":  "data may have other values; keep the old ones, or use a new property",
	"value-refused":   "one of the values that may be written is not accepted; keep all of them, or use a new property",
	"no-case":         "no case accepts all that may be written; keep the old case, and add one",
	"cases-overlap":   "data may match two cases of oneOf; use anyOf, or give each case a property with its own const",
	"not-changed":     "it is not clear that what not refuses was never written; keep not as it was",
	"condition-changed": "it is not clear that data follows the new condition; keep if, then and else as they were, " +
		"or require nothing in them that was not required",
	"dynamic-reference":   "dynamic references cannot be compared; keep them and what they name as they were, or use $ref",
	"limit-tightened":     "data may be outside of the new limit; keep the old one",
	"multiple-changed":    "data may be other than a multiple of the new number; keep the old one, or use a divisor of it",
	"pattern-changed":     "data may not match the new pattern; keep the old one or none",
	"format-changed":      "data may have another format; keep the old one or none",
	"unique-added":        "arrays may have equal items; leave out uniqueItems",
	"contains-changed":    "arrays may lack such items; keep contains as it was",
	"unevaluated-changed": "it cannot be compared what this means; keep it and all in the same schema as they were",
	"required-added":      "data may lack the property; make it optional, or give it a default",
	"property-added": "the object is open, so that data may have the name with another meaning; " +
		"allow the property any value, or close the object first",
	"property-removed":   "data that has it is refused; keep the property, or allow additional ones",
	"pattern-added":      "data may have such names with another meaning; allow them any value",
	"additional-limited": "data may have other properties than those named; keep additionalProperties as it was",
	"dependency-added":   "data may have the one without the other; leave out the dependency",
	"names-limited":      "data may have other names; keep propertyNames as it was, or leave it out",
}

// sorted returns names in order, so that reports are the same every time.
func sorted(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }
