package protobuf

import (
	"fmt"
	"reflect"

	"github.com/leatgo/leat"
	"google.golang.org/protobuf/proto"
)

// Codec is a [leat.Codec] for generated messages: the type of an [leat.EventType] is a pointer to
// one. The zero value works. The schema of the data and the generated code are the same version, or
// compatible ones.
type Codec struct{}

var _ leat.Codec = Codec{}

// ContentType returns "application/protobuf".
func (Codec) ContentType() string { return contentType }

// Encode returns a message in the binary encoding. v is a message, such as *orderpb.Order.
func (Codec) Encode(v any) ([]byte, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is not a message; use a pointer to a generated one", v)
	}
	return proto.Marshal(m)
}

// Decode reads data into a message. v points to a message, or to a pointer to one.
func (Codec) Decode(contentType string, data []byte, v any) error {
	if !reads(contentType) {
		return errContentType
	}
	m, ok := v.(proto.Message)
	if at := reflect.ValueOf(v); !ok && at.Kind() == reflect.Pointer && at.Elem().Kind() == reflect.Pointer {
		fresh := reflect.New(at.Elem().Type().Elem())
		if m, ok = reflect.TypeAssert[proto.Message](fresh); ok {
			at.Elem().Set(fresh)
		}
	}
	if !ok {
		return fmt.Errorf("%T is not a message; use a pointer to a generated one", v)
	}
	if proto.Unmarshal(data, m) != nil { // whose text may quote the data
		return errMalformed
	}
	return nil
}
