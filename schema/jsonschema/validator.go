package jsonschema

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/leatgo/leat/internal/attribute"
	"github.com/leatgo/leat/internal/view"
	"github.com/leatgo/leat/schema"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// validator is a compiled schema.
type validator struct {
	schema *jsonschema.Schema
	names  map[string]bool // of properties that the schema or its imports have
}

// learn collects the names of properties in a schema.
func (v *validator) learn(doc any) {
	switch doc := doc.(type) {
	case []any:
		for _, item := range doc {
			v.learn(item)
		}
	case map[string]any:
		for keyword, value := range doc {
			if properties, ok := value.(map[string]any); ok && keyword == "properties" {
				for name := range properties {
					v.names[name] = true
				}
			}
			v.learn(value)
		}
	}
}

// Validate implements [schema.Validator]. It decodes numbers to float64: checking those of a
// million digits exactly takes seconds.
func (v *validator) Validate(contentType, data string) error {
	if attribute.ContentOf(contentType) != attribute.JSON {
		return schema.NewMismatch(schema.Problem{Rule: "the content type is not JSON"})
	}
	var value any
	if err := json.Unmarshal(view.Bytes(data), &value); err != nil {
		rule := "malformed JSON" // the errors of the package quote the data
		if e, ok := errors.AsType[*json.SyntaxError](err); ok {
			rule += " at byte " + strconv.FormatInt(e.Offset, 10)
		}
		return schema.NewMismatch(schema.Problem{Rule: rule})
	}
	err := v.schema.Validate(value)
	if err == nil {
		return nil
	}
	invalid, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		return schema.NewMismatch(schema.Problem{Rule: "the data cannot be checked"})
	}
	return schema.NewMismatch(v.problems(nil, invalid, value)...)
}

// enough is how many problems are looked for; a MismatchError keeps fewer.
const enough = 20

// problems adds what is wrong, without the values and names that the messages of the library quote.
func (v *validator) problems(found []schema.Problem, e *jsonschema.ValidationError, value any) []schema.Problem {
	if len(found) >= enough {
		return found
	}
	if len(e.Causes) == 0 {
		return append(found, schema.Problem{Path: v.path(e.InstanceLocation, value), Rule: ruleOf(e.ErrorKind)})
	}
	for _, cause := range e.Causes {
		found = v.problems(found, cause, value)
	}
	return found
}

// path writes a location as a JSON Pointer (RFC 6901), with * for the names that the schema does
// not know: they are data.
func (v *validator) path(location []string, value any) string {
	var b strings.Builder
	for _, segment := range location {
		shown := "*"
		switch at := value.(type) {
		case []any:
			shown, value = segment, nil
			if i, err := strconv.Atoi(segment); err == nil && i >= 0 && i < len(at) {
				value = at[i]
			}
		case map[string]any:
			if v.names[segment] {
				shown = escape.Replace(segment)
			}
			value = at[segment]
		}
		b.WriteString("/" + shown)
	}
	return b.String()
}

// ruleOf names the rule that was broken: its keyword, and what the schema says about it where that
// is short.
func ruleOf(k jsonschema.ErrorKind) string {
	rule := strings.Join(k.KeywordPath(), "/")
	switch k := k.(type) {
	case *kind.Type:
		return rule + " " + strings.Join(k.Want, " or ") + ", got " + k.Got
	case *kind.Required:
		return rule + " " + strings.Join(k.Missing, ", ")
	case *kind.Format:
		return rule + " " + k.Want
	case *kind.FalseSchema:
		return "nothing is allowed here"
	}
	if rule == "" {
		return "no match"
	}
	return rule
}
