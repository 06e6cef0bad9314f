package schema

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/leatgo/leat"
)

// Format is a language of schemas, such as jsonschema.Format. Its methods are safe for concurrent
// use. They do not open files nor connections, and their errors do not quote data.
type Format interface {
	// Name is the name in a [Definition], as Confluent's schemaType has it: "JSON".
	Name() string
	// Extension is that of a file with a schema, without the dot: "json".
	Extension() string
	// Compile prepares a schema. The error says where the schema is wrong.
	Compile(b Bundle) (Validator, error)
	// Compare returns what breaks when a consumer with reader gets data that was written with
	// writer.
	Compare(writer, reader Bundle) ([]Break, error)
}

// Bundle is a schema with the text of everything that it refers to, directly or not.
type Bundle struct {
	Ref  Ref
	Text string
	// Imports are the texts by the names that refer to them.
	Imports map[string]string
}

// Validator checks data against one schema. It is safe for concurrent use.
type Validator interface {
	// Validate returns nil where data matches, else a [*MismatchError]. contentType is the
	// datacontenttype of the event, "" where it has none.
	Validate(contentType, data string) error
}

// Converter is a [Format] whose data can be read with the schema of its writer only.
type Converter interface {
	Format
	// Convert returns a function that makes data of reader from data that was written with writer.
	// The error says why that cannot be done. The function's error is a [*MismatchError].
	Convert(writer, reader Bundle) (func(contentType, data string) ([]byte, error), error)
}

// MismatchError says why data does not match a schema, without quoting the data.
type MismatchError struct {
	// Problems has at least one, and at most 10.
	Problems []Problem
}

// Problem is one reason.
type Problem struct {
	// Path is where in the data: "/lines/1/quantity", or "" for all of it. A name that the schema
	// does not know is *.
	Path string
	// Rule is the rule of the schema that the data breaks, in the words of its format: "minimum".
	Rule string
}

const maxProblems = 10

// NewMismatch returns a MismatchError with the first 10 problems.
func NewMismatch(problems ...Problem) *MismatchError {
	return &MismatchError{Problems: slices.Clone(problems[:min(len(problems), maxProblems)])}
}

// Error returns the problems as "at /lines/1/quantity: minimum; at /id: required".
func (m *MismatchError) Error() string {
	var b strings.Builder
	for i, p := range m.Problems {
		if i > 0 {
			b.WriteString("; ")
		}
		if p.Path != "" {
			b.WriteString("at " + p.Path + ": ")
		}
		b.WriteString(p.Rule)
	}
	return b.String()
}

// formats finds formats by name.
type formats []Format

func (f formats) named(name string) (Format, error) {
	for _, format := range f {
		if format.Name() == name {
			return format, nil
		}
	}
	return nil, fmt.Errorf("the format %.40q is not among the Formats; add it: a module of schema/ has it", name)
}

// fault returns what is wrong with a list of formats.
func (f formats) fault() error {
	names := map[string]bool{}
	for _, format := range f {
		switch {
		case format == nil:
			return errors.New("a Format is nil; leave it out")
		case names[format.Name()]:
			return errors.New("the format " + strconv.Quote(format.Name()) + " is there twice; leave one out")
		}
		names[format.Name()] = true
	}
	return nil
}

const (
	maxImports     = 1_000
	maxBundleBytes = 16 << 20
)

// bundle collects what a schema refers to. A name that means different schemas in one bundle is an
// error, because a text cannot say which one it means.
func bundle(ctx context.Context, r Reader, s *Schema) (Bundle, error) {
	b := Bundle{Ref: s.Ref, Text: s.Text, Imports: map[string]string{}}
	refs, size := map[string]Ref{}, len(s.Text)
	open := slices.Clone(s.References)
	for ; len(open) > 0; open = open[1:] {
		next := open[0]
		if ref, ok := refs[next.Name]; ok {
			if ref != next.Ref {
				err := fmt.Errorf("schema %v: the name %.300q refers to %v and to %v", s.Ref, next.Name, ref, next.Ref)
				return b, fail("load", leat.CodeInvalid, err)
			}
			continue
		}
		imported, err := r.ByRef(ctx, next.Ref)
		if err == nil && imported == nil {
			err = errNoSchema
		}
		if err != nil {
			return b, fmt.Errorf("schema %v refers to %v: %w", s.Ref, next.Ref, err)
		}
		refs[next.Name], b.Imports[next.Name] = next.Ref, imported.Text
		if size += len(imported.Text); size > maxBundleBytes || len(refs) > maxImports {
			err := fmt.Errorf("schema %v refers to more than %d schemas or %d bytes", s.Ref, maxImports, maxBundleBytes)
			return b, fail("load", leat.CodeTooLarge, err)
		}
		open = append(open, imported.References...)
	}
	return b, nil
}
