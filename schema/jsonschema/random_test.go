package jsonschema_test

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/leatgo/leat/schema/jsonschema"
	"github.com/stretchr/testify/require"
)

// universe is the data that random pairs are tried on: all small values that random schemas tell
// apart.
func universe() (data []string) {
	small := []string{
		`null`, `true`, `false`, `0`, `1`, `2`, `3`, `1.5`, `-1`, `""`, `"a"`, `"ab"`, `"abc"`, `"b"`, `"2020-01-01"`,
	}
	values := append([]string{}, small...)
	values = append(values, `[]`, `{}`)
	data = append(data, values...)
	few := []string{`null`, `true`, `1`, `2`, `1.5`, `"a"`, `"ab"`, `[]`, `{}`}
	for _, a := range values {
		data = append(data, `[`+a+`]`, `{"a":`+a+`}`, `{"b":`+a+`}`, `{"x":`+a+`}`)
	}
	for _, a := range few {
		for _, b := range few {
			data = append(data, `[`+a+`,`+b+`]`, `{"a":`+a+`,"b":`+b+`}`, `{"a":`+a+`,"x":`+b+`}`, `{"a":{"a":`+a+`,"b":`+b+`}}`)
		}
		data = append(data, `[`+a+`,`+a+`,1]`, `{"a":`+a+`,"b":1,"x":"a"}`, `{"a":[`+a+`]}`, `[[`+a+`]]`, `[{"a":`+a+`}]`)
	}
	return data
}

// schemas makes random schemas.
type schemas struct{ *rand.Rand }

func (r schemas) pick(choices ...string) string { return choices[r.IntN(len(choices))] }

// schema returns a random schema; depth bounds how deep it goes.
func (r schemas) schema(depth int) map[string]any {
	s := map[string]any{}
	if r.IntN(4) > 0 {
		s["type"] = r.pick("string", "integer", "number", "object", "object", "array", "boolean", "null")
		if r.IntN(5) == 0 {
			s["type"] = []any{s["type"], r.pick("missing", "null", "string", "object")}
			if s["type"].([]any)[1] == "missing" || s["type"].([]any)[1] == s["type"].([]any)[0] {
				s["type"] = s["type"].([]any)[0]
			}
		}
	}
	for range r.IntN(3) {
		r.rule(s, depth)
	}
	return s
}

// rule adds a rule, most often one for the type.
func (r schemas) rule(s map[string]any, depth int) {
	kind, _ := s["type"].(string)
	if kind == "" || r.IntN(8) == 0 {
		kind = r.pick("string", "integer", "object", "array", "any", "cases", "cases")
	}
	if depth == 0 && (kind == "cases" || kind == "any") {
		kind = "string"
	}
	switch kind {
	case "string":
		switch r.IntN(4) {
		case 0:
			s["minLength"] = r.IntN(3)
		case 1:
			s["maxLength"] = r.IntN(4)
		case 2:
			s["pattern"] = r.pick("^a", "^b")
		default:
			s["enum"] = []any{r.pick("a", "b"), r.pick("ab", "abc")}
		}
	case "integer", "number":
		switch r.IntN(6) {
		case 0:
			s["minimum"] = r.IntN(4) - 1
		case 1:
			s["maximum"] = r.IntN(4)
		case 2:
			s["exclusiveMinimum"] = r.IntN(4) - 1
		case 3:
			s["multipleOf"] = []any{1, 2, 0.5}[r.IntN(3)]
		case 4:
			s["const"] = r.IntN(3)
		default:
			s["exclusiveMaximum"] = r.IntN(4)
		}
	case "array":
		r.array(s, depth)
	case "object":
		r.object(s, depth)
	case "cases":
		keyword := r.pick("anyOf", "oneOf", "allOf", "not", "if", "$ref")
		switch keyword {
		case "$ref":
			s["$ref"] = "#/$defs/" + r.pick("c", "d")
		case "not":
			s["not"] = r.schema(depth - 1)
		case "if":
			s["if"], s["then"] = r.schema(depth-1), r.schema(depth-1)
		default:
			s[keyword] = []any{r.schema(depth - 1), r.schema(depth - 1)}
		}
	default:
		s["enum"] = []any{[]any{nil, true, 1, "a"}[r.IntN(4)], map[string]any{"a": 1}}
	}
}

func (r schemas) array(s map[string]any, depth int) {
	choice := r.IntN(7)
	if depth == 0 {
		choice = r.IntN(3)
	}
	switch choice {
	case 0:
		s["minItems"] = r.IntN(3)
	case 1:
		s["maxItems"] = r.IntN(3)
	case 2:
		s["uniqueItems"] = true
	case 3, 4:
		s["items"] = r.schema(depth - 1)
	case 5:
		s["prefixItems"] = []any{r.schema(depth - 1)}
		if r.IntN(2) == 0 {
			s["items"] = false
		}
	default:
		s["contains"] = r.schema(depth - 1)
	}
}

func (r schemas) object(s map[string]any, depth int) {
	choice := r.IntN(12)
	if depth == 0 {
		choice = r.IntN(4)
	}
	switch choice {
	case 0:
		s["required"] = []any{r.pick("a", "b", "x")}
	case 1:
		s["minProperties"] = r.IntN(3)
	case 2:
		s["maxProperties"] = r.IntN(3)
	case 3:
		s["dependentRequired"] = map[string]any{r.pick("a", "b"): []any{r.pick("a", "b", "x")}}
	case 4:
		s["additionalProperties"] = false
	case 5:
		s["additionalProperties"] = r.schema(depth - 1)
	case 6:
		s["patternProperties"] = map[string]any{r.pick("^x", "a", "."): r.schema(depth - 1)}
	case 7:
		s["propertyNames"] = map[string]any{"pattern": r.pick("a", "b")}
	default:
		properties, _ := s["properties"].(map[string]any)
		if properties == nil {
			properties = map[string]any{}
			s["properties"] = properties
		}
		properties[r.pick("a", "b")] = r.schema(depth - 1)
	}
}

// definitions returns what schemas refer to.
func (r schemas) definitions() map[string]any {
	return map[string]any{"c": r.schema(0), "d": r.schema(0)}
}

// change returns a copy with a rule more or less somewhere, as a new version would have it.
func (r schemas) change(s map[string]any, depth int) map[string]any {
	var changed map[string]any
	if err := json.Unmarshal([]byte(written(s)), &changed); err != nil {
		panic(err) // it was written here
	}
	if properties, ok := changed["properties"].(map[string]any); ok && r.IntN(2) == 0 {
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			if p, ok := properties[name].(map[string]any); ok {
				properties[name] = r.change(p, depth-1)
				return changed
			}
		}
	}
	if keywords := slices.Sorted(maps.Keys(changed)); r.IntN(3) == 0 && len(keywords) > 0 {
		delete(changed, r.pick(keywords...))
	} else {
		r.rule(changed, max(depth, 0))
	}
	return changed
}

func written(s map[string]any) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // it has nothing that JSON has not
	}
	return string(text)
}

// Random pairs are compared with Strict, and the verdict is tried on all small data: what is called
// compatible has no witness. How many breaks have none is told: a rule may say the same in other
// words.
func TestRandomPairs(t *testing.T) {
	number := 2_000
	if os.Getenv("LEAT_LONG") != "" {
		number = 100_000
	}
	data := universe()
	breaks, seen := 0, 0
	for seed := range uint64(number) {
		r := schemas{rand.New(rand.NewPCG(seed, 18))}
		older := r.schema(2)
		newer := r.schema(2)
		if r.IntN(4) > 0 {
			newer = r.change(older, 2)
		}
		older["$defs"], newer["$defs"] = r.definitions(), r.definitions()
		if r.IntN(3) > 0 {
			newer["$defs"] = older["$defs"]
		}
		a, b := written(older), written(newer)
		for _, d := range [][2]string{{a, b}, {b, a}} {
			found, err := jsonschema.Format{Strict: true}.Compare(bundleOf(1, d[0]), bundleOf(2, d[1]))
			require.NoError(t, err, "seed %d", seed)
			if len(found) == 0 {
				require.Empty(t, witnessOf(t, d[0], d[1], data), "seed %d: %s accepts it, and %s does not", seed, d[0], d[1])
				continue
			}
			if seed >= 2_000 { // a share says as much about the breaks
				continue
			}
			breaks++
			if witnessOf(t, d[0], d[1], data) != "" {
				seen++
			}
		}
	}
	t.Logf("%d breaks, %d of them with a witness among %d values", breaks, seen, len(data))
	require.Greater(t, seen, breaks/2)
}

// witnessOf returns data that one schema accepts and the other refuses, "" where it knows none.
func witnessOf(t *testing.T, writer, reader string, data []string) string {
	t.Helper()
	w, r := compile(t, writer), compile(t, reader)
	for _, d := range data {
		if accepts(w, d) && !accepts(r, d) {
			return d
		}
	}
	return ""
}
