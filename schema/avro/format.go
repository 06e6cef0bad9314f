package avro

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/leatgo/leat/internal/view"
	"github.com/leatgo/leat/schema"
	"github.com/twmb/avro"
)

// Format is the language of Avro. The zero value works.
type Format struct{}

var (
	_ schema.Format    = Format{}
	_ schema.Converter = Format{}
)

// Name returns "AVRO".
func (Format) Name() string { return "AVRO" }

// Extension returns "avsc".
func (Format) Extension() string { return "avsc" }

// Compile returns a validator. Whatever decodes as the schema, to the last byte, matches: Avro has
// no other rules.
func (Format) Compile(b schema.Bundle) (schema.Validator, error) {
	s, err := parse(b)
	if err != nil {
		return nil, err
	}
	return &validator{s}, nil
}

// parse reads the schema after those that it refers to.
func parse(b schema.Bundle) (*avro.Schema, error) {
	var cache avro.SchemaCache
	open := slices.Sorted(maps.Keys(b.Imports))
	for len(open) > 0 {
		var errs []error
		left := open[:0:0]
		for _, name := range open { // one may need another that comes later
			if _, err := cache.Parse(b.Imports[name]); err != nil {
				left, errs = append(left, name), append(errs, fmt.Errorf("reference %.300q: %w", name, err))
			}
		}
		if len(left) == len(open) {
			return nil, errors.Join(errs...)
		}
		open = left
	}
	return cache.Parse(b.Text)
}

// Compare returns the first rule of Avro's schema resolution that fails, as a list of one, or
// else the logical types that have changed and the fields that may be null without a default.
// Path is the dotted path of a field.
func (Format) Compare(writer, reader schema.Bundle) ([]schema.Break, error) {
	w, r, err := both(writer, reader)
	if err != nil {
		return nil, err
	}
	err = avro.CheckCompatibility(w, r)
	if err == nil {
		return missedBreaks(w, r), nil
	}
	incompatible, ok := errors.AsType[*avro.CompatibilityError](err)
	if !ok {
		return nil, err
	}
	return []schema.Break{breakOf(incompatible)}, nil
}

func both(writer, reader schema.Bundle) (w, r *avro.Schema, err error) {
	w, errWriter := parse(writer)
	r, errReader := parse(reader)
	return w, r, errors.Join(errWriter, errReader)
}

const defaultMissing = "default-missing"

// breakOf says what to do about an incompatibility. The library names no rules, but its texts are
// constant.
func breakOf(e *avro.CompatibilityError) schema.Break {
	b := schema.Break{Path: e.Path, Rule: "type-changed", Text: e.Detail}
	do := "keep the type, or one that it is promoted to, or use a new field"
	switch {
	case e.WriterType == "":
		b.Rule, do = defaultMissing, "give the field a default"
	case strings.Contains(e.Detail, "enum symbol"):
		b.Rule, do = "symbol-missing", "keep the symbol, or give the enum a default"
	case strings.Contains(e.Detail, "fixed sizes"):
		b.Rule, do = "size-changed", "keep the size"
	}
	if e.WriterType != e.ReaderType && e.WriterType != "" {
		b.Text += ": it was " + e.WriterType + " and is " + e.ReaderType
	}
	b.Text += "; " + do
	return b
}

// Convert implements [schema.Converter] with Avro's schema resolution.
func (Format) Convert(writer, reader schema.Bundle) (func(contentType, data string) ([]byte, error), error) {
	w, r, err := both(writer, reader)
	if err != nil {
		return nil, err
	}
	resolved, err := avro.Resolve(w, r)
	if err != nil {
		return nil, err
	}
	for _, b := range missedBreaks(w, r) {
		if b.Rule == logicalChanged {
			return nil, errors.New(b.Path + ": " + b.Text)
		}
	}
	return func(contentType, data string) ([]byte, error) {
		if !reads(contentType) {
			return nil, errContentType
		}
		var value any // with the names of union branches, which the values alone do not tell
		if err := decode(resolved, view.Bytes(data), &value, avro.AliasInput(), avro.TaggedUnions()); err != nil {
			return nil, err
		}
		converted, err := r.AppendEncode(make([]byte, 0, len(data)+len(data)/4), value, avro.TaggedUnions())
		if err != nil {
			return nil, mismatch(err)
		}
		return converted, nil
	}, nil
}
