package jsonschema_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat/internal/view/viewtest"
	"github.com/leatgo/leat/schema"
	"github.com/leatgo/leat/schema/jsonschema"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const order = `{
  "type": "object",
  "properties": {
    "id": {"type": "string", "pattern": "^o-[0-9]+$"},
    "placed": {"type": "string", "format": "date-time"},
    "lines": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/line"}},
    "notes": {"type": "object", "additionalProperties": {"type": "string"}}
  },
  "required": ["id", "lines"],
  "additionalProperties": false,
  "$defs": {
    "line": {
      "type": "object",
      "properties": {"sku": {"type": "string"}, "quantity": {"type": "integer", "minimum": 1}},
      "required": ["sku", "quantity"]
    }
  }
}`

// A mismatch says where and which rule, and nothing of the data: neither values nor names that the
// schema does not know.
func TestMismatches(t *testing.T) {
	v := compile(t, order)
	for data, want := range map[string]string{
		`{"id":"o-1","lines":[{"sku":"a","quantity":2.0}]}`:                                "",
		`{"id":"secret","lines":[{"sku":"a","quantity":1}]}`:                               "at /id: pattern",
		`{"id":"o-1","lines":[{"sku":"a","quantity":0}]}`:                                  "at /lines/0/quantity: minimum",
		`{"id":"o-1","lines":[{"sku":"a","quantity":1.5}]}`:                                "at /lines/0/quantity: type integer, got number",
		`{"id":"o-1","lines":[]}`:                                                          "at /lines: minItems",
		`{"id":"o-1"}`:                                                                     "required lines",
		`{"id":"o-1","lines":[{"sku":"a","quantity":1}],"secret":1}`:                       "additionalProperties",
		`{"id":"o-1","lines":[{"sku":"a","quantity":1}],"notes":{"secret":1}}`:             "at /notes/*: type string, got number",
		`{"id":"o-1","lines":[{"sku":"a","quantity":1}],"placed":"secret"}`:                "at /placed: format date-time",
		`{"id":"o-1","lines":[{"sku":"a","quantity":1}],"notes":{"4711":{"id":"secret"}}}`: "at /notes/*: type string, got object",
		`["secret"]`:    "type object, got array",
		`{"id":"secret`: "malformed JSON at byte 13",
		`{"a":1} {}`:    "malformed JSON at byte 9",
		``:              "malformed JSON at byte 0",
	} {
		err := v.Validate("application/json", data)
		if want == "" {
			require.NoError(t, err, data)
			continue
		}
		mismatch, ok := errors.AsType[*schema.MismatchError](err)
		require.True(t, ok, data)
		assert.Equal(t, want, mismatch.Error())
	}
	require.ErrorContains(t, v.Validate("text/plain", `{}`), "the content type is not JSON")
	require.NoError(t, compile(t, `{}`).Validate("", `{}`), "no content type is JSON")
	require.NoError(t, compile(t, `{}`).Validate("application/vnd.order+json; charset=utf-8", `{}`))

	many := compile(t, `{"type":"array","items":{"type":"string"}}`).Validate("", `[`+strings.Repeat("1,", 99)+`1]`)
	mismatch, ok := errors.AsType[*schema.MismatchError](many)
	require.True(t, ok)
	assert.Len(t, mismatch.Problems, 10)
}

// No rule of the library tells anything of the data. Each schema refuses data with a secret in it.
func TestNoRuleTellsTheData(t *testing.T) {
	const secret = "s3cr3t"
	for _, s := range []string{
		`{"properties":{"a":{"enum":["x"]}}}`, `{"properties":{"a":{"const":"x"}}}`, `{"properties":{"a":{"maxLength":1}}}`,
		`{"properties":{"a":{"format":"email"}}}`, `{"properties":{"a":{"pattern":"^x"}}}`, `{"propertyNames":{"maxLength":1}}`,
		`{"patternProperties":{"^s":{"type":"null"}}}`, `{"additionalProperties":false}`, `{"unevaluatedProperties":false}`,
		`{"dependentRequired":{"s3cr3t":["b"]}}`, `{"dependentSchemas":{"s3cr3t":false}}`, `{"not":{}}`, `{"maxProperties":1}`,
		`{"anyOf":[{"required":["x"]},{"properties":{"a":{"const":"y"}}}]}`, `{"oneOf":[{},{}]}`, `{"if":{},"then":false}`,
		`{"additionalProperties":{"type":"integer"}}`, `{"properties":{"a":{"not":{"type":"string"}}}}`, `{"required":["x"]}`, `false`,
	} {
		err := compile(t, s).Validate("application/json", `{"a":"`+secret+`","`+secret+`":"`+secret+`"}`)
		require.Error(t, err, s)
		if !strings.Contains(s, secret) { // else it is a name of the schema
			assert.NotContains(t, err.Error(), secret, s)
		}
	}
}

// Data and schemas that are made to cost time or memory do not.
func TestHostile(t *testing.T) {
	began := time.Now()
	for name, c := range map[string]struct{ schema, data string }{
		"numbers of a million digits": {`{"items":{"type":"integer"}}`, `[` + strings.Repeat(`1e1000000,`, 90) + `1]`},
		"a number with many digits":   {`{"multipleOf":0.01}`, strings.Repeat("9", 1_000_000)},
		"deep arrays":                 {`{"items":{"$ref":"#"}}`, strings.Repeat("[", 9_999) + strings.Repeat("]", 9_999)},
		"too deep arrays":             {`{"items":{"$ref":"#"}}`, strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)},
		"a pattern that backtracks":   {`{"pattern":"^(a+)+$"}`, `"` + strings.Repeat("a", 100_000) + `b"`},
		"many equal items":            {`{"uniqueItems":true}`, `[` + strings.Repeat(`"a",`, 5_000) + `"b"]`},
		"many keys":                   {`{"additionalProperties":{"type":"string"}}`, `{` + strings.Repeat(`"a":1,`, 100_000) + `"b":1}`},
	} {
		_ = compile(t, c.schema).Validate("application/json", c.data)
		assert.Less(t, time.Since(began), 30*time.Second, name)
	}
	for name, s := range map[string]string{
		"a reference to a file":      `{"$ref":"file:///etc/hostname"}`,
		"a reference to a host":      `{"$ref":"http://127.0.0.1:1/x.json"}`,
		"a relative reference":       `{"$ref":"other.json"}`,
		"a reference to nothing":     `{"$ref":"#/$defs/none"}`,
		"a metaschema of a host":     `{"$schema":"http://127.0.0.1:1/x.json"}`,
		"not a schema":               `[]`,
		"a number":                   `1`,
		"no JSON":                    `{`,
		"empty":                      ``,
		"a wrong keyword":            `{"type":"text"}`,
		"a huge count in a pattern":  `{"pattern":"(a{1000}){1000}"}`,
		"what Go has no pattern for": `{"pattern":"(?<!a)b"}`,
	} {
		_, err := jsonschema.Format{}.Compile(bundleOf(1, s))
		require.Error(t, err, name)
		_, err = jsonschema.Format{}.Compare(bundleOf(1, s), bundleOf(2, `{"type":"object"}`))
		t.Logf("%s: %v", name, err)
	}
	endless := `{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}}`
	v, err := jsonschema.Format{}.Compile(bundleOf(1, endless))
	if err == nil {
		require.Error(t, v.Validate("", "1"))
	}
	_, err = jsonschema.Format{}.Compare(bundleOf(1, endless), bundleOf(2, endless))
	require.NoError(t, err)
	begin, end := strings.Repeat(`{"anyOf":[`, 20), strings.Repeat(`]},{"minLength":1}`, 20)
	cases := `{"anyOf":[` + begin + `{"type":"string"},{"type":"integer"}` + end + `]}`
	_, _ = jsonschema.Format{Strict: true}.Compare(bundleOf(1, cases), bundleOf(2, cases))
	wide := `{"anyOf":[` + strings.Repeat(`{"anyOf":[{"maxLength":1},{"maxLength":2},{"maxLength":3}]},`, 30) + `{"type":"null"}]}`
	_, _ = jsonschema.Format{Strict: true}.Compare(bundleOf(1, wide), bundleOf(2, `{"oneOf":[`+wide+`,{"type":"integer"}]}`))
	assert.Less(t, time.Since(began), time.Minute)
}

// References reach the imports, by an address or beside the schema.
func TestImports(t *testing.T) {
	for name, c := range map[string]struct{ text, name string }{
		"relative":            {`{"$ref":"customer.json"}`, "customer.json"},
		"relative with a dot": {`{"$ref":"./customer.json#/$defs/c"}`, "./customer.json"},
		"absolute":            {`{"$ref":"https://example.com/customer.json"}`, "https://example.com/customer.json"},
		"in a folder":         {`{"$ref":"lib/customer.json"}`, "lib/customer.json"},
		"beside an $id":       {`{"$id":"https://example.com/orders.json","$ref":"customer.json"}`, "customer.json"},
	} {
		t.Run(name, func(t *testing.T) {
			b := schema.Bundle{Ref: schema.Ref{Subject: "s", Version: 1}, Text: c.text, Imports: map[string]string{
				c.name: `{"type":"string","$defs":{"c":{"type":"string"}}}`, "unused.json": `{`,
			}}
			v, err := jsonschema.Format{}.Compile(b)
			require.NoError(t, err)
			require.NoError(t, v.Validate("", `"a"`))
			require.Error(t, v.Validate("", `1`))
			for _, other := range []schema.Bundle{b, bundleOf(2, `{"type":"string"}`)} {
				breaks, err := jsonschema.Format{Strict: true}.Compare(b, other)
				require.NoError(t, err)
				assert.Empty(t, breaks)
				breaks, err = jsonschema.Format{Strict: true}.Compare(other, b)
				require.NoError(t, err)
				assert.Empty(t, breaks)
			}
		})
	}
}

// A name means the schema beside that which refers to it, and no other that ends like it.
func TestImportsWithTheSameEnd(t *testing.T) {
	b := bundleOf(1, `{"$ref":"lib/b.json"}`)
	b.Imports = map[string]string{"b.json": `{"type":"string"}`, "lib/b.json": `{"$ref":"c.json"}`, "c.json": `{"type":"integer"}`}
	v, err := jsonschema.Format{}.Compile(b)
	require.NoError(t, err)
	require.NoError(t, v.Validate("", `1`))
	require.Error(t, v.Validate("", `"a"`))
	breaks, err := jsonschema.Format{Strict: true}.Compare(b, bundleOf(2, `{"type":"integer"}`))
	require.NoError(t, err)
	assert.Empty(t, breaks)
	other := bundleOf(1, `{"$ref":"https://example.com/x/b.json"}`)
	other.Imports = map[string]string{"b.json": `{}`}
	_, err = jsonschema.Format{}.Compile(other)
	require.ErrorContains(t, err, "is not among its references")
}

// The libraries get the bytes of the event itself.
func TestDataIsOnlyRead(t *testing.T) {
	v := compile(t, order)
	data := `{"id":"o-1\u00e9","placed":"2026-01-02T03:04:05Z","lines":[{"sku":"a\n","quantity":1e0}],"notes":{"x":null,"\ud800":"y"}}`
	viewtest.ReadOnly(t, data, func(data string) { _ = v.Validate("", data) })
}
