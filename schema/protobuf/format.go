package protobuf

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/linker"
	"github.com/leatgo/leat/schema"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Format is the language of Protobuf: proto2, proto3 and edition 2023. The zero value works.
type Format struct {
	// Imports are files that a schema may import by their paths without a reference, as those that
	// come with Protobuf.
	Imports []protoreflect.FileDescriptor
	// Rules returns a check of messages with the descriptor m, by the options in the schema. It is
	// called by Compile, whose error is its own. The check is called with data that the schema can
	// read, and returns why it does not match. types has the extensions of the schema. Nil means
	// that there are no rules; package schema/protovalidate has some.
	Rules func(m protoreflect.MessageDescriptor, types protoregistry.ExtensionTypeResolver) (Check, error)
}

// Check returns why a message does not match, without quoting the data, and nothing where it does.
// size is how many bytes the data has. It is safe for concurrent use.
type Check func(m protoreflect.Message, size int) []schema.Problem

var _ schema.Format = Format{}

// Name returns "PROTOBUF".
func (Format) Name() string { return "PROTOBUF" }

// Extension returns "proto".
func (Format) Extension() string { return "proto" }

// Compile returns a validator for the first message of the file.
func (f Format) Compile(b schema.Bundle) (schema.Validator, error) {
	file, err := f.compile(b)
	if err != nil {
		return nil, err
	}
	v := &validator{message: file.Messages().Get(0), types: linker.ResolverFromFile(file), partial: !requires(file)}
	if f.Rules != nil {
		if v.check, err = f.Rules(v.message, v.types); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// requires reports whether a message that the data may have has a required field: the first one of
// the file, or one that it uses, or one in an extension. A message of an import that nobody uses
// does not count, such as those for options.
func requires(f protoreflect.FileDescriptor) bool {
	seen := map[protoreflect.FullName]bool{}
	return oneRequires(f.Messages().Get(0), seen) || extensionRequires(f, map[string]bool{}, seen)
}

func oneRequires(m protoreflect.MessageDescriptor, seen map[protoreflect.FullName]bool) bool {
	if m == nil || seen[m.FullName()] {
		return false
	}
	seen[m.FullName()] = true
	if m.RequiredNumbers().Len() > 0 {
		return true
	}
	for i := range m.Fields().Len() {
		if oneRequires(m.Fields().Get(i).Message(), seen) {
			return true
		}
	}
	return false
}

// extensionRequires looks at the extensions that a file and its imports declare.
func extensionRequires(f protoreflect.FileDescriptor, files map[string]bool, seen map[protoreflect.FullName]bool) bool {
	if files[f.Path()] {
		return false
	}
	files[f.Path()] = true
	for i := range f.Imports().Len() {
		if extensionRequires(f.Imports().Get(i), files, seen) {
			return true
		}
	}
	return declaredRequires(f, seen)
}

// declared is a file or a message.
type declared interface {
	Messages() protoreflect.MessageDescriptors
	Extensions() protoreflect.ExtensionDescriptors
}

func declaredRequires(d declared, seen map[protoreflect.FullName]bool) bool {
	for i := range d.Extensions().Len() {
		if oneRequires(d.Extensions().Get(i).Message(), seen) {
			return true
		}
	}
	for i := range d.Messages().Len() {
		if declaredRequires(d.Messages().Get(i), seen) {
			return true
		}
	}
	return false
}

// root is the path of the schema itself; no import can have it.
const root = "."

// message returns the first message of a schema.
func (f Format) message(b schema.Bundle) (protoreflect.MessageDescriptor, error) {
	file, err := f.compile(b)
	if err != nil {
		return nil, err
	}
	return file.Messages().Get(0), nil
}

// compile compiles a schema with a message. An import is one of Imports, one of the bundle, or one
// of the files that come with Protobuf, such as google/protobuf/timestamp.proto.
func (f Format) compile(b schema.Bundle) (linker.File, error) {
	compiler := protocompile.Compiler{
		MaxParallelism: 1,
		Resolver: protocompile.WithStandardImports(protocompile.ResolverFunc(func(path string) (r protocompile.SearchResult, err error) {
			if path == root {
				return protocompile.SearchResult{Source: strings.NewReader(b.Text)}, nil
			}
			for _, known := range f.Imports {
				if known.Path() == path {
					return protocompile.SearchResult{Desc: known}, nil
				}
			}
			if text, ok := b.Imports[path]; ok {
				return protocompile.SearchResult{Source: strings.NewReader(text)}, nil
			}
			return r, fmt.Errorf("the import %.300q is not among the references; add it with that name", path)
		})),
	}
	files, err := compiler.Compile(context.Background(), root)
	if err != nil {
		return nil, err
	}
	if files[0].Messages().Len() == 0 {
		return nil, errors.New("the file has no message; the first one is the data of the event")
	}
	return files[0], nil
}

// Compare returns what breaks for a consumer with the schema reader, in the binary and in the JSON
// encoding. The rules are those that buf calls WIRE_JSON, for the first message of the file and all
// that it uses. Path is the full name of a field, an enum or a message.
//
// Two rules look at what may happen later: a field or a value that the newer version does not have
// any more has to be reserved there, and what was reserved stays so. Otherwise a third version may
// use the number or the name for something else. The newer one is that with the higher version, and
// reader where they are the same.
func (f Format) Compare(writer, reader schema.Bundle) ([]schema.Break, error) {
	w, errWriter := f.message(writer)
	r, errReader := f.message(reader)
	if err := errors.Join(errWriter, errReader); err != nil {
		return nil, err
	}
	c := &comparison{
		newer: reader.Ref.Version >= writer.Ref.Version, seen: map[protoreflect.FullName]bool{},
		w: extensionsOf(w.ParentFile()), r: extensionsOf(r.ParentFile()),
	}
	if w.FullName() != r.FullName() {
		c.broken("message-renamed", w.FullName())
		return c.breaks, nil
	}
	c.messages(w, r)
	return c.breaks, nil
}
