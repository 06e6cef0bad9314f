package rabbitmq

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/foreign"
	amqp "github.com/rabbitmq/amqp091-go"
)

// tableFrom reads lines of "name=Tvalue" as headers, where T is the letter of the value's type on
// the wire (RabbitMQ's table of field types). The value of a line without '=' is null.
func tableFrom(text []byte) amqp.Table {
	if len(text) == 0 {
		return nil
	}
	t := amqp.Table{}
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		name, value, ok := bytes.Cut(line, []byte("="))
		if !ok {
			t[string(name)] = nil
			continue
		}
		t[string(name)] = fieldFrom(value)
	}
	return t
}

func fieldFrom(value []byte) any {
	if len(value) == 0 {
		return ""
	}
	text := string(value[1:])
	n, _ := strconv.ParseInt(text, 10, 64)
	switch value[0] {
	case 'x':
		return []byte(text)
	case 't':
		return n != 0
	case 'b':
		return int8(n)
	case 'B':
		return byte(n)
	case 's':
		return int16(n)
	case 'u':
		return uint16(n)
	case 'I':
		return int32(n)
	case 'i':
		return uint32(n)
	case 'l':
		return n
	case 'T':
		return time.Unix(n, 0)
	case 'f':
		return math.Float32frombits(uint32(n))
	case 'd':
		return math.Float64frombits(uint64(n))
	case 'D':
		return amqp.Decimal{Scale: byte(n), Value: int32(n)}
	case 'F':
		return amqp.Table{text: n, "x": []any{text}}
	case 'A':
		return []any{text, nil, amqp.Table{text: math.Float64frombits(uint64(n))}}
	}
	return text
}

const minimalLines = "ce-specversion=S1.0\nce-id=S1\nce-source=S/s\nce-type=St"

// FuzzDecode reads messages. Their headers are one text, a line each, so that the fuzzer can move,
// repeat and cut them.
func FuzzDecode(f *testing.F) {
	for _, headers := range []string{
		"", minimalLines, minimalLines + "\nce-time=S2026-01-02T03:04:05Z\nce-partitionkey=Sk\nce-x=S\nleat-data=Sempty",
		strings.ToUpper(minimalLines), minimalLines + "\nCE-id=S2", minimalLines + "\nce-x\nce-X", minimalLines + "\nce-datacontenttype=Sa/b",
		strings.ReplaceAll(minimalLines, "ce-", "cloudEvents:"), strings.ReplaceAll(minimalLines, "ce-", "cloudEvents_"),
		strings.ReplaceAll(minimalLines, "ce-", "ce_"), minimalLines + "\ncloudEvents:id=S1", minimalLines + "\nce-\xff=S\xfe\n=S\n\n",
		minimalLines + "\nce-a=t1\nce-b=l-9\nce-c=T1767323045\nce-d=xab\nce-e=B255\nce-f\nce-time=T1767323045",
		minimalLines + "\nce-a=d4607182418800017408", minimalLines + "\nce-a=Fx", minimalLines + "\nx-death=Ax\nx-delivery-count=l3",
		minimalLines + manyLines(130),
	} {
		f.Add([]byte(headers), "", "", "", []byte(minimalJSON), byte(0))
		f.Add([]byte(headers), "text/plain; charset=utf-8", "gzip", "", []byte{}, byte(1))
		f.Add([]byte(headers), "application/cloudevents+json; charset=UTF-8", "utf-8", "t", []byte(minimalJSON), byte(2))
		f.Add([]byte(headers), "APPLICATION/CLOUDEVENTS", "", "amqp-1.0", []byte("[]"), byte(3))
		f.Add([]byte(headers), "application/cloudevents-batch+json", "", "", []byte("\xff"), byte(4))
		f.Add([]byte(headers), "application/octet-stream", "", "", []byte(minimalJSON), byte(8))
	}
	f.Fuzz(func(t *testing.T, headers []byte, contentType, encoding, kind string, body []byte, how byte) {
		m := &amqp.Delivery{ContentType: contentType, ContentEncoding: encoding, Type: kind, RoutingKey: "key", Body: bytes.Clone(body),
			Headers: tableFrom(headers)}
		was := &amqp.Delivery{ContentType: contentType, RoutingKey: "key", Body: body, Headers: tableFrom(headers)}
		var c decoder
		if how%2 == 1 {
			c.mapping = foreign.Structured
		}
		if how%4 >= 2 {
			c.mapping = func(m foreign.Message) (leat.Event, error) {
				return leat.NewEvent(m.Properties["routing_key"], &leat.EventOptions{ID: "1", Source: "/s", Data: m.Body})
			}
		}
		if how%16 >= 8 {
			c.mapping = foreign.Lenient(nil)
		}
		var d, again leat.Delivery
		c.decode(m, &d)
		c.decode(m, &again) // as on redelivery, with the scratch of the first time and the headers in another order
		if d.Event.IsZero() != (d.Malformed != nil) || again.Event.IsZero() != d.Event.IsZero() ||
			!again.Event.Equal(d.Event) && (c.mapping == nil || how%16 >= 8) { // the one of the test takes the time
			t.Fatalf("%v and %v, then %v and %v", d.Event, d.Malformed, again.Event, again.Malformed)
		}
		if raw := d.Malformed; raw != nil {
			checkRaw(t, was, raw)
			own, ok := errors.AsType[*leat.Error](raw.Reason)
			if ok && own.Code != leat.CodeInvalid && own.Code != leat.CodeTooLarge {
				t.Fatalf("code %v", own.Code)
			}
			return
		}
		if err := d.Event.Validate(); err != nil {
			t.Fatal(err)
		}
		checkRoundTrip(t, []leat.Event{d.Event}, int(how)*100, "decoded")
	})
}

func manyLines(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("\nce-a" + strconv.Itoa(i) + "=S")
	}
	return b.String()
}
