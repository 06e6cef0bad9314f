package interop_test

import (
	"bytes"
	"context"
	"maps"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/IBM/sarama"
	"github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/cloudevents"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/twmb/franz-go/pkg/kgo"
)

// parts are what a fuzzer makes an event of.
type parts struct {
	id, source, subject, media, schema, key, name, text string
	kind                                                byte  // of the extension
	number                                              int64 // an integer, and a time
	data                                                []byte
	hasData, base64                                     bool
}

func (p *parts) time() time.Time {
	return time.Unix(p.number%4e9, p.number%1e9).In(time.FixedZone("", int(p.number%1440)*60%43200))
}

// value returns the extension's value as Leat has it.
func (p *parts) value() any {
	switch p.kind % 7 {
	case 0:
		return p.number%2 == 0
	case 1:
		return int32(p.number)
	case 2:
		return []byte(p.text)
	case 3:
		return leat.URI(p.text)
	case 4:
		return leat.URIRef(p.text)
	case 5:
		return p.time()
	}
	return p.text
}

// ours makes an event of Leat.
func (p *parts) ours() (leat.Event, bool) {
	o := leat.EventOptions{
		ID: p.id, Source: p.source, Subject: p.subject, Time: p.time(), DataContentType: p.media, DataSchema: p.schema, Key: p.key,
		Extensions: map[string]any{"x" + p.name: p.value()},
	}
	if p.hasData {
		o.Data = append([]byte{}, p.data...)
	}
	if p.id == "" || p.source == "" {
		return leat.Event{}, false
	}
	e, err := leat.NewEvent("t"+p.subject, &o)
	return e, err == nil && e.Validate() == nil
}

// sdks makes an event of the SDK, by its setters.
func (p *parts) sdks() (event.Event, bool) {
	e := event.New()
	e.SetID(p.id)
	e.SetSource(p.source)
	e.SetType("t" + p.subject)
	e.SetSubject(p.subject)
	e.SetTime(p.time())
	e.SetDataContentType(p.media)
	e.SetDataSchema(p.schema)
	if p.key != "" {
		e.SetExtension("partitionkey", p.key)
	}
	value := p.value()
	switch v := value.(type) {
	case leat.URI:
		value = sdkURI(string(v))
	case leat.URIRef:
		value = sdkURIRef(string(v))
	}
	if value != nil {
		e.SetExtension("x"+p.name, value)
	}
	if p.hasData {
		e.DataEncoded, e.DataBase64 = append([]byte{}, p.data...), p.base64
	}
	return e, e.Validate() == nil
}

func fuzzParts(f *testing.F, test func(t *testing.T, p *parts)) {
	f.Helper()
	for kind := range byte(7) {
		f.Add("1", "/s", "x", "application/json", "urn:x", "k", "y", "urn:y", kind, int64(-5), []byte(`{"a": 1}`), true, false)
		f.Add(" 1", "HTTP://h/%7e#", " é🚀", "text/plain; charset=utf-8", "HTTP://h", "", "2", "../a\u2028<&>", kind, int64(1<<40),
			[]byte("\x00\xff"), true, true)
	}
	f.Add("1", "/s", "", "", "", "", "", "", byte(6), int64(0), []byte(nil), false, false)
	f.Add("1", "/s", "", "", "", "", "", "", byte(6), int64(0), []byte{}, true, false)
	f.Add("1", "/s", "", "text/plain", "", "", "", "", byte(6), int64(0), []byte("a\xffb"), true, false)
	f.Add("1", "/s", "", "a/b+json", "", "", "", "", byte(6), int64(0), []byte(" {"), true, false)
	f.Fuzz(func(t *testing.T, id, source, subject, media, schema, key, name, text string, kind byte, number int64,
		data []byte, hasData, base64 bool,
	) {
		test(t, &parts{id, source, subject, media, schema, key, name, text, kind, number, data, hasData, base64})
	})
}

// FuzzWrittenByUs: what we write is read by us as it was, and by the SDK but for the differences of
// the table, in JSON and as a record.
func FuzzWrittenByUs(f *testing.F) {
	fuzzParts(f, func(t *testing.T, p *parts) {
		e, ok := p.ours()
		if !ok {
			return
		}
		text, err := e.AppendJSON(nil)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := leat.ParseEvent(text); err != nil || !back.Equal(e) {
			t.Fatalf("we read something else than we wrote: %s: %v", text, err)
		}
		compareJSON(t, text)
		record, err := kafka.EncodeRecord(e)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := kafka.DecodeRecord(record); err != nil || !back.Equal(e) {
			t.Fatalf("we read something else than we wrote: %v: %v", record.Headers, err)
		}
		compareRecord(t, record.Headers, record.Value)
		structured := []kgo.RecordHeader{{Key: "content-type", Value: []byte("application/cloudevents+json; charset=UTF-8")}}
		compareRecord(t, structured, text)
	})
}

// FuzzWrittenByTheSDK: what the SDK writes is for us the event that FromSDK makes of it, but for
// what the writer changes or spoils.
func FuzzWrittenByTheSDK(f *testing.F) {
	fuzzParts(f, func(t *testing.T, p *parts) {
		in, ok := p.sdks()
		if !ok {
			return
		}
		want, wantErr := cloudevents.FromSDK(in)
		text, err := in.MarshalJSON()
		if err != nil {
			t.Skip("the SDK does not write it")
		}
		compareJSON(t, text)
		got, gotErr := leat.ParseEvent(text)
		judgeWritten(t, p, want, wantErr, got, gotErr, true)

		record := sarama.ProducerMessage{}
		if err := kafka_sarama.WriteProducerMessage(context.Background(), (*binding.EventMessage)(&in), &record); err != nil {
			t.Fatal(err)
		}
		var headers []kgo.RecordHeader
		for _, h := range record.Headers {
			headers = append(headers, kgo.RecordHeader{Key: string(h.Key), Value: h.Value})
		}
		var value []byte
		if record.Value != nil {
			value, _ = record.Value.Encode()
		}
		compareRecord(t, headers, value)
		got, gotErr = kafka.DecodeRecord(&kgo.Record{Headers: headers, Value: value})
		judgeWritten(t, p, want, wantErr, got, gotErr, false)
		if wantErr == nil && want.Key() != "" {
			if key, _ := record.Key.Encode(); string(key) != want.Key() {
				t.Fatalf("the SDK's key is %q and ours %q", key, want.Key())
			}
		}
	})
}

// judgeWritten holds what we read of the SDK's bytes against what FromSDK made of the same event.
func judgeWritten(t *testing.T, p *parts, want leat.Event, wantErr error, got leat.Event, gotErr error, isJSON bool) {
	t.Helper()
	switch {
	case wantErr != nil && gotErr != nil:
		return
	case wantErr != nil:
		if p.kind%7 != 3 && p.kind%7 != 4 { // a URI that is none is a String in what the SDK writes
			t.Fatalf("FromSDK refuses what we read as %v: %v", maps.Collect(got.Attributes()), wantErr)
		}
		return
	case gotErr != nil:
		// The writer puts data that is no JSON, or no UTF-8, into the member data as it is.
		if !isJSON || !p.hasData || p.base64 || validData(p) {
			t.Fatalf("we cannot read what the SDK wrote of a valid event: %v", gotErr)
		}
		return
	}
	if isJSON && p.hasData && !p.base64 && !bytes.Equal(got.Data(), want.Data()) {
		got = judgeWrittenData(t, want, got)
	}
	if !isJSON && want.HasData() && want.DataString() == "" {
		got = got.WithData(want.DataContentType(), []byte{}) // a null value is written for empty data
	}
	if !got.Time().Equal(want.Time()) {
		t.Fatalf("another time: %s, %s", got.TimeString(), want.TimeString())
	}
	got = got.WithTime(want.Time())
	if v, ok := want.Extension("x" + strings.ToLower(p.name)); ok {
		if at, isTime := v.(time.Time); isTime {
			got = got.WithExtension("x"+strings.ToLower(p.name), at)
		}
	}
	if !got.Equal(want) {
		t.Fatalf("not the event that FromSDK makes:\n%q %q\n%q %q", maps.Collect(got.Attributes()), got.DataString(),
			maps.Collect(want.Attributes()), want.DataString())
	}
}

// validData reports whether the data can be in the member data.
func validData(p *parts) bool {
	r := reading{ours: leat.Event{}.WithData(p.media, p.data)}
	return utf8.Valid(p.data) && !r.isJSONType()
}

// judgeWrittenData explains data that changed in the SDK's JSON, and returns got with the data of
// want.
func judgeWrittenData(t *testing.T, want, got leat.Event) leat.Event {
	t.Helper()
	r := reading{ours: want}
	switch {
	case strings.Trim(want.DataString(), " \t\r\n") == got.DataString(): // white space around JSON is not part of it
	case r.jsonForUsOnly() && strings.HasPrefix(got.DataString(), `"`): // written as a string, as for a type that is not JSON
	default:
		t.Fatalf("the data changed from %q to %q", want.DataString(), got.DataString())
	}
	return got.WithData(want.DataContentType(), want.Data())
}

// sdkURI and sdkURIRef make values for the SDK's SetExtension, nil where it has none.
func sdkURI(text string) any {
	if u := types.ParseURI(text); u != nil {
		return *u
	}
	return nil
}

func sdkURIRef(text string) any {
	if u := types.ParseURIRef(text); u != nil {
		return *u
	}
	return nil
}
