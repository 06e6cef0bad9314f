package avro

import (
	"errors"
	"mime"
	"strconv"

	"github.com/leatgo/leat/internal/view"
	"github.com/leatgo/leat/schema"
	"github.com/twmb/avro"
)

// contentType is what the Kafka protocol binding of CloudEvents names Avro's binary encoding.
const contentType = "application/avro"

// readable has the content types that are read: others name the same encoding too.
var readable = map[string]bool{"": true, contentType: true, "avro/binary": true, "application/vnd.apache.avro+binary": true}

func reads(contentType string) bool {
	if readable[contentType] {
		return true
	}
	plain, _, err := mime.ParseMediaType(contentType)
	return err == nil && readable[plain]
}

// validator is a compiled schema.
type validator struct{ schema *avro.Schema }

var errContentType = schema.NewMismatch(schema.Problem{Rule: "the content type is not application/avro"})

// Validate implements [schema.Validator].
func (v *validator) Validate(contentType, data string) error {
	if !reads(contentType) {
		return errContentType
	}
	var value any
	return decode(v.schema, view.Bytes(data), &value, avro.AliasInput())
}

// decode reads all of the data. With AliasInput the value may refer to data, which the library does
// not write to.
func decode(s *avro.Schema, data []byte, into any, opts ...avro.Opt) error {
	rest, err := s.Decode(data, into, opts...)
	if err != nil {
		return mismatch(err)
	}
	if len(rest) > 0 {
		return schema.NewMismatch(schema.Problem{Rule: strconv.Itoa(len(rest)) + " bytes behind the value"})
	}
	return nil
}

// mismatch says where and what, without the values that the messages of the library quote.
func mismatch(err error) error {
	p := schema.Problem{Rule: "malformed"}
	if semantic, ok := errors.AsType[*avro.SemanticError](err); ok {
		p.Path, p.Rule = semantic.Field, "not of type "+semantic.AvroType
	}
	if short, ok := errors.AsType[*avro.ShortBufferError](err); ok {
		p.Rule = "the data ends within " + short.Type
	}
	return schema.NewMismatch(p)
}
