package jsonschema_test

import (
	"errors"
	"testing"

	"github.com/leatgo/leat/schema"
	"github.com/leatgo/leat/schema/jsonschema"
	"github.com/stretchr/testify/require"
)

// Any text is a schema or an error, and any data a match or a MismatchError.
func FuzzValidate(f *testing.F) {
	f.Add(order, `{"id":"o-1","lines":[]}`)
	f.Add(`{"$ref":"#"}`, `1e400`)
	f.Add(`{"pattern":"a{1000}"}`, "\"\xff\"")
	f.Fuzz(func(t *testing.T, text, data string) {
		v, err := jsonschema.Format{}.Compile(bundleOf(1, text))
		if err != nil {
			return
		}
		if err := v.Validate("", data); err != nil {
			_, ok := errors.AsType[*schema.MismatchError](err)
			require.True(t, ok, "%v", err)
		}
	})
}

// Any two schemas are compared or refused; one that follows itself breaks nothing of itself where
// it is simple.
func FuzzCompare(f *testing.F) {
	f.Add(order, order)
	f.Add(`{"anyOf":[{"$ref":"#"},{"type":"string"}]}`, `{"not":{"$ref":"#"}}`)
	f.Add(`{"items":[{"$ref":"#/items"}]}`, `true`)
	f.Fuzz(func(_ *testing.T, writer, reader string) {
		if _, err := (jsonschema.Format{}).Compile(bundleOf(1, writer)); err != nil {
			return
		}
		if _, err := (jsonschema.Format{}).Compile(bundleOf(2, reader)); err != nil {
			return
		}
		_, _ = jsonschema.Format{Strict: true}.Compare(bundleOf(1, writer), bundleOf(2, reader))
	})
}
