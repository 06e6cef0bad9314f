package cases

import (
	"encoding/json"
	"strings"

	leatjson "github.com/leatgo/leat/schema/jsonschema"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

const jsonV1 = `{
  "type": "object",
  "properties": {
    "id": {"type": "string", "pattern": "^o-[0-9]+$"},
    "placed": {"type": "string", "format": "date-time"},
    "lines": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/line"}}
  },
  "required": ["id", "lines"],
  "$defs": {
    "line": {
      "type": "object",
      "properties": {"sku": {"type": "string", "maxLength": 40}, "quantity": {"type": "integer", "minimum": 1}},
      "required": ["sku", "quantity"]
    }
  }
}`

func jsonSchema() language {
	l := language{
		name: "json", library: "encoding/json and jsonschema", times: 5_000, format: leatjson.Format{}, content: "application/json",
		about: "The library reads the bytes with `encoding/json`, and checks the value with a compiled schema.",
	}
	l.versions = [2]string{jsonV1, strings.Replace(jsonV1, `"id":`, `"note": {"type": "string"}, "id":`, 1)}
	l.data = func() ([]byte, error) {
		return kilobyte(func(order map[string]any) ([]byte, error) { return json.Marshal(order) })
	}
	l.direct = func() (func() error, error) {
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(l.versions[1]))
		if err != nil {
			return nil, err
		}
		compiler := jsonschema.NewCompiler()
		compiler.AssertFormat()
		if err := compiler.AddResource("order.json", doc); err != nil {
			return nil, err
		}
		compiled, err := compiler.Compile("order.json")
		if err != nil {
			return nil, err
		}
		data, err := l.data()
		return func() error {
			var value any
			if err := json.Unmarshal(data, &value); err != nil {
				return err
			}
			return compiled.Validate(value)
		}, err
	}
	return l
}
