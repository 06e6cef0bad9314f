package kafka

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/foreign"
	"github.com/twmb/franz-go/pkg/kgo"
)

// headersFrom reads lines of "name=value" as headers, whatever bytes they have. The value of a line
// without '=' is null.
func headersFrom(text []byte) (headers []kgo.RecordHeader) {
	if len(text) == 0 {
		return nil
	}
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		name, value, ok := bytes.Cut(line, []byte("="))
		h := kgo.RecordHeader{Key: string(name)}
		if ok {
			h.Value = append([]byte{}, value...)
		}
		headers = append(headers, h)
	}
	return headers
}

// nullable returns nil for b where not set.
func nullable(b []byte, set bool) []byte {
	if !set {
		return nil
	}
	return append([]byte{}, b...)
}

const minimalLines = "ce_specversion=1.0\nce_id=1\nce_source=/s\nce_type=t"

// FuzzDecode reads records. Their headers are one text, a line each, so that the fuzzer can move,
// repeat and cut them.
func FuzzDecode(f *testing.F) {
	for _, headers := range []string{
		"", minimalLines, minimalLines + "\ncontent-type=text/plain; charset=utf-8\nce_time=2026-01-02T03:04:05Z\nce_partitionkey=k\nce_x=",
		strings.ToUpper(minimalLines), minimalLines + "\nce_id=2", minimalLines + "\nce_x\nce_X", minimalLines + "\nce_datacontenttype=a/b",
		minimalLines + "\nce_datacontenttype\nContent-Type=a/b", minimalLines + "\nce_\xff=\xfe\n=\n\n",
		minimalLines + strings.Repeat("\nce_a=", 130),
		"content-type=application/cloudevents+json; charset=UTF-8", "Content-Type=APPLICATION/CLOUDEVENTS", "content-type",
		"content-type=application/json",
		"content-type=application/cloudevents-batch+json", "content-type=application/cloudevents+avro\n" + minimalLines,
	} {
		f.Add([]byte(headers), []byte("k"), []byte(minimalJSON), true, true, byte(0))
		f.Add([]byte(headers), []byte{}, []byte{}, false, false, byte(1))
		f.Add([]byte(headers), []byte("\xff"), []byte("[]"), true, true, byte(2))
		f.Add([]byte(headers), []byte("k"), []byte("["+minimalJSON+"]"), true, true, byte(8))
	}
	f.Fuzz(func(t *testing.T, headers, key, value []byte, hasKey, hasValue bool, how byte) {
		r := &kgo.Record{Key: nullable(key, hasKey), Value: nullable(value, hasValue), Headers: headersFrom(headers)}
		was := &kgo.Record{Key: nullable(key, hasKey), Value: nullable(value, hasValue), Headers: headersFrom(headers)}
		var c decoder
		if how%2 == 1 {
			c.mapping = foreign.Structured
		}
		if how%4 >= 2 {
			c.mapping = func(m foreign.Message) (leat.Event, error) {
				return leat.NewEvent(string(m.Key), &leat.EventOptions{ID: "1", Source: "/s", Data: m.Body})
			}
		}
		if how%16 >= 8 {
			c.mapping = foreign.Lenient(nil)
		}
		var d, again leat.Delivery
		c.decode(r, &d)
		c.decode(was, &again) // as on redelivery, with the scratch of the first time
		if d.Event.IsZero() != (d.Malformed != nil) || again.Event.IsZero() != d.Event.IsZero() ||
			!again.Event.Equal(d.Event) && (c.mapping == nil || how%16 >= 8) { // the one of the test takes the time
			t.Fatalf("%v and %v, then %v and %v", d.Event, d.Malformed, again.Event, again.Malformed)
		}
		if m := d.Malformed; m != nil {
			checkRaw(t, was, m)
			own, ok := errors.AsType[*leat.Error](m.Reason)
			if ok && own.Code != leat.CodeInvalid && own.Code != leat.CodeTooLarge {
				t.Fatalf("code %v", own.Code)
			}
			return
		}
		if err := d.Event.Validate(); err != nil {
			t.Fatal(err)
		}
		checkRoundTrip(t, []leat.Event{d.Event}, how >= 4, "decoded")
	})
}
