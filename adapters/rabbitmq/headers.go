package rabbitmq

import (
	"fmt"
	"slices"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/wire"
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

// headersOf returns the properties that a message has, by their names in AMQP, and then its
// headers, as those of a Malformed.
func headersOf(m *amqp.Delivery) []leat.Header {
	var headers []leat.Header
	for _, p := range propertiesOf(m) {
		if p.value != "" {
			headers = append(headers, leat.Header{Name: p.name, Value: []byte(p.value)})
		}
	}
	if !m.Timestamp.IsZero() {
		headers = append(headers, leat.Header{Name: "timestamp", Value: wire.Text(m.Timestamp)})
	}
	return tableHeaders(headers, m.Headers)
}

// tableHeaders appends the headers of a table, sorted, since a table has no order.
func tableHeaders(headers []leat.Header, t amqp.Table) []leat.Header {
	return wire.Sorted(headers, t, textOf)
}

// textOf returns the value of a header as text.
func textOf(value any) []byte {
	if d, ok := value.(amqp.Decimal); ok {
		return decimalText(d)
	}
	return wire.Text(value)
}

// decimalText returns a decimal number, which has Scale digits after the point.
func decimalText(d amqp.Decimal) []byte {
	sign, value := "", int64(d.Value)
	if value < 0 {
		sign, value = "-", -value
	}
	digits := fmt.Appendf(nil, "%s%0*d", sign, int(d.Scale)+1, value)
	if d.Scale == 0 {
		return digits
	}
	return slices.Insert(digits, len(digits)-int(d.Scale), '.')
}
