package wire

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// AppendValue appends the canonical string (CloudEvents 1.0.2, Type System) of a value of any type
// that an attribute can have: text, bytes, a boolean, an integer or a time. ok is false for other
// types.
//
// Bytes become base64, except those of an attribute that cannot be of the type Binary, such as id:
// there, a producer wrote its text as bytes.
func AppendValue(dst []byte, attribute string, value any) (text []byte, ok bool) {
	switch v := value.(type) {
	case string:
		return append(dst, v...), true
	case []byte:
		if header, _ := known(attribute); header != "" {
			return append(dst, v...), true
		}
		return base64.StdEncoding.AppendEncode(dst, v), true
	case bool:
		return strconv.AppendBool(dst, v), true
	case time.Time:
		return v.UTC().AppendFormat(dst, time.RFC3339Nano), true
	}
	switch v := reflect.ValueOf(value); {
	case v.CanInt():
		return strconv.AppendInt(dst, v.Int(), 10), true
	case v.CanUint():
		return strconv.AppendUint(dst, v.Uint(), 10), true
	}
	return dst, false
}

// Text returns any value of a header as text, for a [github.com/leatgo/leat.Malformed]: nil for
// nil, text and bytes as they are, maps and lists as JSON.
func Text(value any) []byte {
	if value == nil {
		return nil
	}
	if text, ok := AppendValue([]byte{}, versionName, value); ok {
		return text
	}
	switch reflect.TypeOf(value).Kind() {
	case reflect.Map, reflect.Slice:
		if text, err := json.Marshal(value); err == nil {
			return text
		}
	}
	return fmt.Append(nil, value)
}

// kindOf names the type of a value for a person.
func kindOf(value any) string {
	switch t := reflect.TypeOf(value); t.Kind() {
	case reflect.Float32, reflect.Float64:
		return "a floating-point number"
	case reflect.Map:
		return "a table"
	case reflect.Slice:
		return "a list"
	default:
		return "a " + cmp.Or(strings.ToLower(t.Name()), t.Kind().String())
	}
}
