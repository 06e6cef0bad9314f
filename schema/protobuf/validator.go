package protobuf

import (
	"mime"
	"strconv"

	"github.com/bufbuild/protocompile/linker"
	"github.com/leatgo/leat/internal/view"
	"github.com/leatgo/leat/schema"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// contentType is that of the IANA registration.
const contentType = "application/protobuf"

// readable has the content types that are read: others name the same encoding too.
var readable = map[string]bool{"": true, contentType: true, "application/x-protobuf": true, "application/vnd.google.protobuf": true}

func reads(given string) bool {
	if readable[given] {
		return true
	}
	plain, _, err := mime.ParseMediaType(given)
	return err == nil && readable[plain]
}

var (
	errContentType = schema.NewMismatch(schema.Problem{Rule: "the content type is not " + contentType})
	errMalformed   = schema.NewMismatch(schema.Problem{Rule: "malformed, or a required field is missing"})
	// The library drops such a field, so that its place is not known.
	errEntry = schema.NewMismatch(schema.Problem{Rule: "an entry of a map has a field that the schema does not have"})
)

// validator is a compiled schema.
type validator struct {
	message protoreflect.MessageDescriptor
	types   linker.Resolver // of the schema, with its extensions
	partial bool            // no message has required fields, so that the library need not look for them
	check   Check           // nil where there are no rules
}

// Validate implements [schema.Validator].
func (v *validator) Validate(contentType, data string) error {
	if !reads(contentType) {
		return errContentType
	}
	m := dynamicpb.NewMessage(v.message)
	if err := (proto.UnmarshalOptions{Resolver: v.types, AllowPartial: v.partial}).Unmarshal(view.Bytes(data), m); err != nil {
		return errMalformed
	}
	var problems []schema.Problem
	if !known(v.message, v.types, view.Bytes(data)) {
		if problems = unknown(nil, "", m); len(problems) == 0 {
			return errEntry
		}
	}
	if len(problems) == 0 && v.check != nil {
		problems = v.check(m, len(data))
	}
	if len(problems) > 0 {
		return schema.NewMismatch(problems...)
	}
	return nil
}

// enough is how many problems are looked for.
const enough = 10

// unknown adds where there are fields that the schema does not have.
func unknown(found []schema.Problem, path string, m protoreflect.Message) []schema.Problem {
	if len(m.GetUnknown()) > 0 {
		found = append(found, schema.Problem{Path: path, Rule: "a field that the schema does not have"})
	}
	m.Range(func(f protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		at := path + "/" + string(f.Name())
		switch {
		case f.IsMap() && f.MapValue().Message() != nil:
			value.Map().Range(func(_ protoreflect.MapKey, value protoreflect.Value) bool {
				found = unknown(found, at+"/*", value.Message()) // a key is data
				return len(found) < enough
			})
		case f.IsList() && f.Message() != nil:
			for i := 0; i < value.List().Len() && len(found) < enough; i++ {
				found = unknown(found, at+"/"+strconv.Itoa(i), value.List().Get(i).Message())
			}
		case !f.IsMap() && f.Message() != nil:
			found = unknown(found, at, value.Message())
		}
		return len(found) < enough
	})
	return found
}
