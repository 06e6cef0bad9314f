package jsonschema

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/leatgo/leat/schema"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Format is the language of JSON Schema. The zero value works.
type Format struct {
	// Strict makes [Format.Compare] count what an open object may hold that the schema does not
	// name. A consumer that gets to know a property then breaks on data whose writer used the name
	// for something else. So with Strict an open object cannot get a new property backward, nor
	// lose one forward. It is the policy STRICT of Confluent's registry; without it, it is LENIENT.
	Strict bool
}

var _ schema.Format = Format{}

// Name returns "JSON".
func (Format) Name() string { return "JSON" }

// Extension returns "json".
func (Format) Extension() string { return "json" }

// Compile returns a validator. The error says where the schema is wrong.
func (Format) Compile(b schema.Bundle) (schema.Validator, error) {
	compiler := newCompiler(b)
	doc, err := parse(b.Text)
	if err != nil {
		return nil, err
	}
	compiled, err := compiler.Compile(main)
	if err != nil {
		return nil, err
	}
	v := &validator{schema: compiled, names: map[string]bool{}}
	v.learn(doc)
	for _, text := range b.Imports {
		if doc, err := parse(text); err == nil { // else nothing has used it
			v.learn(doc)
		}
	}
	return v, nil
}

func newCompiler(b schema.Bundle) *jsonschema.Compiler {
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	compiler.UseLoader(&closed{addressesOf(&b)})
	return compiler
}

// parse reads the text of a schema. Numbers are float64, as those of data.
func parse(text string) (doc any, err error) {
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		if e, ok := errors.AsType[*json.SyntaxError](err); ok {
			return nil, fmt.Errorf("malformed JSON at byte %d: %w", e.Offset, err)
		}
		return nil, err
	}
	return doc, nil
}

// closed loads the schema itself and what it refers to, and nothing else.
type closed struct{ texts map[string]string }

// Load returns the schema with an address.
func (c *closed) Load(address string) (any, error) {
	text, ok := c.texts[address]
	if !ok {
		return nil, fmt.Errorf("the schema refers to %.300q, which is not among its references; add it with that name",
			strings.TrimPrefix(address, root))
	}
	return parse(text)
}
