package cases

import (
	"strings"

	"github.com/leatgo/leat/benchmarks/internal/bench"
	leatavro "github.com/leatgo/leat/schema/avro"
	"github.com/twmb/avro"
)

const avroV1 = `{"type": "record", "name": "Order", "fields": [
  {"name": "id", "type": "string"},
  {"name": "placed", "type": "string"},
  {"name": "lines", "type": {"type": "array", "items": {"type": "record", "name": "Line", "fields": [
    {"name": "sku", "type": "string"},
    {"name": "quantity", "type": "int"}
  ]}}}
]}`

func avroLanguage() language {
	l := language{
		name: "avro", library: "twmb/avro", times: 40_000, format: leatavro.Format{}, content: "application/avro", converts: true,
		about: "The library decodes the bytes to an `any` that refers to them (`AliasInput`), which is its fastest way without Go types.",
	}
	l.versions = [2]string{avroV1, strings.Replace(avroV1, "[\n", "[\n"+`  {"name": "note", "type": "string", "default": ""},`+"\n", 1)}
	l.data = func() ([]byte, error) { return encoded(l.versions[1]) }
	l.direct = func() (func() error, error) {
		s, err := avro.Parse(l.versions[1])
		if err != nil {
			return nil, err
		}
		data, err := l.data()
		return func() error {
			var value any
			_, err := s.Decode(data, &value, avro.AliasInput())
			return err
		}, err
	}
	return l
}

// encoded returns an order in a version.
func encoded(text string) ([]byte, error) {
	s, err := avro.Parse(text)
	if err != nil {
		return nil, err
	}
	return kilobyte(func(order map[string]any) ([]byte, error) {
		order["note"] = ""
		return s.AppendEncode(nil, order)
	})
}

// converted is what the Enforcer does to Avro of another version.
func converted() bench.Group {
	l := avroLanguage()
	g := bench.Group{Name: "process/avro-converted", About: "The event has an older version than the pinned one: it is decoded by Avro's " +
		"schema resolution, and encoded again. The library does that to the bytes. The Enforcer makes an event of the result, with " +
		"another `dataschema`."}
	g.Cases = []bench.Case{
		l.operation(l.library, convert),
		l.operation("Enforcer", func() (func() error, error) {
			data, err := encoded(avroV1)
			if err != nil {
				return nil, err
			}
			return l.handled(data, 1, 2)
		}),
	}
	return withGoals(g, mostConverted)
}

// convert returns the conversion by the library alone.
func convert() (func() error, error) {
	writer, err := avro.Parse(avroV1)
	if err != nil {
		return nil, err
	}
	reader, err := avro.Parse(avroLanguage().versions[1])
	if err != nil {
		return nil, err
	}
	resolved, err := avro.Resolve(writer, reader)
	if err != nil {
		return nil, err
	}
	data, err := encoded(avroV1)
	return func() error {
		var value any
		if _, err := resolved.Decode(data, &value, avro.AliasInput(), avro.TaggedUnions()); err != nil {
			return err
		}
		_, err := reader.AppendEncode(make([]byte, 0, len(data)+len(data)/4), value, avro.TaggedUnions())
		return err
	}, err
}
