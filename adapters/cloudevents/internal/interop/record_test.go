package interop_test

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/IBM/sarama"
	"github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/binding/format"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/twmb/franz-go/pkg/kgo"
)

// headersFrom reads lines of "name=value" as headers, whatever bytes they have. The value of a line
// without '=' is null.
func headersFrom(text []byte) (headers []kgo.RecordHeader) {
	if len(text) == 0 {
		return nil
	}
	for line := range bytes.SplitSeq(bytes.TrimSuffix(text, []byte("\n")), []byte("\n")) {
		name, value, ok := bytes.Cut(line, []byte("="))
		h := kgo.RecordHeader{Key: string(name)}
		if ok {
			h.Value = append([]byte{}, value...)
		}
		headers = append(headers, h)
	}
	return headers
}

// sdkRecord reads a record with the SDK.
func sdkRecord(headers []kgo.RecordHeader, value []byte) (e *event.Event, crash any, err error) {
	return sdkRead(func(e *event.Event) error {
		m := &sarama.ConsumerMessage{Topic: "topic", Value: value}
		for _, h := range headers {
			m.Headers = append(m.Headers, &sarama.RecordHeader{Key: []byte(h.Key), Value: h.Value})
		}
		got, err := binding.ToEvent(context.Background(), kafka_sarama.NewMessageFromConsumerMessage(m))
		if err == nil {
			*e = *got
		}
		return err
	})
}

// compareRecord reads one record with both and returns the differences.
func compareRecord(t testing.TB, headers []kgo.RecordHeader, value []byte) findings {
	t.Helper()
	r := reading{t: t, found: findings{}}
	var media []string
	for _, h := range headers {
		r.input += h.Key + "=" + string(h.Value) + "\n"
		name := strings.ToLower(h.Key)
		if name == "content-type" {
			media = append(media, string(h.Value))
			r.members = append(r.members, member{"datacontenttype", json.RawMessage(h.Value)})
		}
		if attribute, ok := strings.CutPrefix(name, "ce_"); ok {
			r.members = append(r.members, member{attribute, json.RawMessage(h.Value)})
		}
	}
	r.ours, r.err = kafka.DecodeRecord(&kgo.Record{Headers: headers, Value: value})
	r.theirs, r.crash, r.refuse = sdkRecord(headers, value)
	if len(media) == 1 && format.Lookup(media[0]) == format.JSON && strings.HasPrefix(strings.ToLower(media[0]), format.Prefix) {
		return structuredRecord(t, &r, value)
	}
	r.media = media
	r.judge()
	return r.found
}

// structuredRecord sees to it that both read what is in the value, and nothing else.
func structuredRecord(t testing.TB, r *reading, value []byte) findings {
	t.Helper()
	ours, err := leat.ParseEvent(value)
	if (err == nil) != (r.err == nil) || !ours.Equal(r.ours) {
		r.fatal("in structured mode it is another event for us than its value")
	}
	theirs, crash, refuse := sdkRead(func(e *event.Event) error { return json.Unmarshal(value, e) })
	if (theirs == nil) != (r.theirs == nil) || (crash == nil) != (r.crash == nil) ||
		theirs != nil && !maps.Equal(view(theirs), view(r.theirs)) {
		r.refuse = refuse
		r.fatal("in structured mode it is another event for the SDK than its value")
	}
	return compareJSON(t, value)
}

const fullCE = minimalCE + "ce_subject=x\nce_time=2026-01-02T03:04:05.6Z\nce_dataschema=urn:x\nce_partitionkey=k\nce_a=1\ncontent-type=a/b"

// FuzzReadRecord reads Kafka records with both. Their headers are one text, a line each, so that
// the fuzzer can move, repeat and cut them.
func FuzzReadRecord(f *testing.F) {
	for _, d := range differences {
		if d.head != "" {
			f.Add([]byte(d.head), []byte(d.body), true)
		} else {
			f.Add([]byte("content-type=application/cloudevents+json"), []byte(d.json), true)
		}
	}
	for _, headers := range []string{
		"", fullCE, strings.ToUpper(minimalCE), minimalCE + "ce_datacontenttype=a/b", minimalCE + "ce_x\nce_X", "content-type=a/b\nce_id=1",
		minimalCE + "content-type=application/cloudevents-batch+json", minimalCE + "ce_=x\nce_\xff=y", minimalCE + "ce_kafkatopic=x",
		minimalCE + "content-type=text/plain; charset=utf-8\nother=x\nce_data=y", minimalCE + "Content-Type",
		"Content-Type=Application/CloudEvents+JSON; charset=UTF-8\nce_id=2",
	} {
		f.Add([]byte(headers), []byte("{}"), true)
		f.Add([]byte(headers), []byte{}, false)
	}
	f.Fuzz(func(t *testing.T, text, value []byte, hasValue bool) {
		if len(text)+len(value) > 64<<10 {
			return
		}
		if !hasValue {
			value = nil
		} else if value == nil {
			value = []byte{}
		}
		compareRecord(t, headersFrom(text), value)
	})
}
