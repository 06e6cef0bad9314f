package protovalidate

import (
	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"github.com/leatgo/leat/schema"
	"github.com/leatgo/leat/schema/protobuf"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Format is the language of Protobuf with rules. The zero value works.
type Format struct{}

var _ schema.Format = Format{}

// Name returns "PROTOBUF".
func (Format) Name() string { return "PROTOBUF" }

// Extension returns "proto".
func (Format) Extension() string { return "proto" }

// protobufFormat reads the schemas.
func protobufFormat() protobuf.Format {
	return protobuf.Format{Imports: []protoreflect.FileDescriptor{validate.File_buf_validate_validate_proto}, Rules: newCheck}
}

// Compile returns a validator for the first message of the file. It checks what that of
// [protobuf.Format] checks, and then the rules of the message and of all that it uses. A rule that
// cannot be compiled is an error.
//
// The error of data names the place and the id of the rule, such as "at /id: string.min_len". It
// does not have the message of the rule, which may quote data. Where a rule fails to be evaluated,
// such as a division by 0, the data does not match. Extensions of a message, and what is in a
// google.protobuf.Any, have no rules.
//
// What rules may cost is bounded:
//
//   - A schema has at most 10,000 fields with rules, and 2,000 expressions in CEL of 4,096 bytes each.
//     A predefined rule counts wherever it is used.
//   - The functions join, format and replace may not hold a loop (all, exists, filter, map), nor be
//     in one. Patterns, separators, replacements and the texts of format are constants. An outcome
//     is at most the data 64 times, where every name of the expression counts as all of the data.
//   - No variable of a loop is called this, rule, rules or now.
//   - Data for which all expressions together take more than a million steps does not match. Where
//     they take as many without data, or one of them 100,000, the schema is wrong. A pattern costs
//     the text times its compiled size: (a?){1000} is as long as a thousand of a?.
//   - Of data with more than 16 KiB, one problem is found, and of other data ten.
func (Format) Compile(b schema.Bundle) (schema.Validator, error) { return protobufFormat().Compile(b) }

// Compare returns what breaks as [protobuf.Format] does. It does not compare rules.
func (Format) Compare(writer, reader schema.Bundle) ([]schema.Break, error) {
	return protobufFormat().Compare(writer, reader)
}
