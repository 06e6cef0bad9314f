package rabbitmq

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leatgo/leat"
	amqp "github.com/rabbitmq/amqp091-go"
)

// property is one of a message's properties that are text, by its name in AMQP.
type property struct{ name, value string }

// propertiesOf returns them; what a message does not have is empty.
func propertiesOf(m *amqp.Delivery) [9]property {
	return [...]property{
		{"content_type", m.ContentType}, {"content_encoding", m.ContentEncoding}, {"correlation_id", m.CorrelationId},
		{"reply_to", m.ReplyTo}, {"expiration", m.Expiration}, {"message_id", m.MessageId}, {"type", m.Type}, {"user_id", m.UserId},
		{"app_id", m.AppId},
	}
}

// headersOf returns the properties that a message has, by their names in AMQP, and then its headers, as those of a Malformed.
func headersOf(m *amqp.Delivery) []leat.Header {
	var headers []leat.Header
	for _, p := range propertiesOf(m) {
		if p.value != "" {
			headers = append(headers, leat.Header{Name: p.name, Value: []byte(p.value)})
		}
	}
	if !m.Timestamp.IsZero() {
		text, _ := appendScalar(nil, m.Timestamp)
		headers = append(headers, leat.Header{Name: "timestamp", Value: text})
	}
	return tableHeaders(headers, m.Headers)
}

// tableHeaders appends the headers of a table, sorted, since a table has no order.
func tableHeaders(headers []leat.Header, t amqp.Table) []leat.Header {
	headers = slices.Grow(headers, len(t))
	for _, name := range slices.Sorted(maps.Keys(t)) {
		headers = append(headers, leat.Header{Name: name, Value: textOf(t[name])})
	}
	return headers
}

// textOf returns the value of a header as text: nil for a null one, what is text or bytes as it is, JSON for tables and lists.
func textOf(value any) []byte {
	switch v := value.(type) {
	case nil:
		return nil
	case string:
		return append([]byte{}, v...)
	case []byte:
		return append([]byte{}, v...)
	case amqp.Decimal:
		return appendDecimal(nil, v)
	case amqp.Table, []any:
		if text, err := json.Marshal(v); err == nil {
			return text
		}
	}
	if text, ok := appendScalar(nil, value); ok {
		return text
	}
	return fmt.Append(nil, value)
}

// appendScalar appends a boolean, an integer or a time in its canonical form. It reports whether the value is one.
func appendScalar(dst []byte, value any) ([]byte, bool) {
	switch v := value.(type) {
	case bool:
		return strconv.AppendBool(dst, v), true
	case int8:
		return strconv.AppendInt(dst, int64(v), 10), true
	case byte:
		return strconv.AppendInt(dst, int64(v), 10), true
	case int16:
		return strconv.AppendInt(dst, int64(v), 10), true
	case uint16:
		return strconv.AppendInt(dst, int64(v), 10), true
	case int32:
		return strconv.AppendInt(dst, int64(v), 10), true
	case uint32:
		return strconv.AppendInt(dst, int64(v), 10), true
	case int64:
		return strconv.AppendInt(dst, v, 10), true
	case time.Time: // whole seconds, without a zone
		return v.UTC().AppendFormat(dst, time.RFC3339), true
	}
	return dst, false
}

// appendDecimal appends a decimal number, which has Scale digits after the point.
func appendDecimal(dst []byte, d amqp.Decimal) []byte {
	digits := strconv.FormatInt(int64(d.Value), 10)
	if d.Value < 0 {
		dst, digits = append(dst, '-'), digits[1:]
	}
	if missing := int(d.Scale) + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	point := len(digits) - int(d.Scale)
	dst = append(dst, digits[:point]...)
	if d.Scale > 0 {
		dst = append(append(dst, '.'), digits[point:]...)
	}
	return dst
}

// typeName names the type of a header's value, for a person.
func typeName(value any) string {
	switch value.(type) {
	case float32, float64:
		return "a floating-point number"
	case amqp.Decimal:
		return "a decimal number"
	case amqp.Table:
		return "a table"
	case []any:
		return "a list"
	}
	return fmt.Sprintf("a %T", value)
}
