package avro

import (
	"errors"
	"fmt"

	"github.com/leatgo/leat"
	"github.com/twmb/avro"
)

// Codec is a [leat.Codec] for one version of a schema. Struct fields are matched by the tag avro,
// or by name.
type Codec struct{ schema *avro.Schema }

var _ leat.Codec = (*Codec)(nil)

// NewCodec returns a Codec for the text of a schema, and of those that it refers to, each behind
// those that it needs itself. The last one is the schema.
func NewCodec(texts ...string) (*Codec, error) {
	var cache avro.SchemaCache
	var last *avro.Schema
	for _, text := range texts {
		s, err := cache.Parse(text)
		if err != nil {
			return nil, &leat.Error{Op: "open", Code: leat.CodeInvalid, Err: fmt.Errorf("schema: %w", err)}
		}
		last = s
	}
	if last == nil {
		return nil, &leat.Error{Op: "open", Code: leat.CodeInvalid, Err: errors.New("NewCodec was called without a schema")}
	}
	return &Codec{last}, nil
}

// ContentType returns "application/avro".
func (c *Codec) ContentType() string { return contentType }

// Encode returns v in Avro's binary encoding. The error names a field where v does not fit.
func (c *Codec) Encode(v any) ([]byte, error) { return c.schema.AppendEncode(nil, v) }

// Decode reads data into v, which may keep data. The error names a field, and no value.
func (c *Codec) Decode(contentType string, data []byte, v any) error {
	if !reads(contentType) {
		return errContentType
	}
	return decode(c.schema, data, v, avro.AliasInput())
}
