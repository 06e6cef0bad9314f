package leat_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/jsontext"
)

var eventSeeds = []string{
	`{"specversion":"1.0","id":"1","source":"/s","type":"t"}`,
	`{"specversion":"1.0","id":"1","source":"HTTP://a@b:1/%7e?q#f","type":"t","time":"2026-01-02t03:04:60.5+01:00",` +
		`"subject":"a\"\\\u00e9\ud83d\ude00","datacontenttype":"application/x+json; a=\"b\"","dataschema":"urn:x","partitionkey":"",` +
		`"a":true,"b":-5,"c":null,"leatreason":"r","data":{"a":[1,2.5e-3,"x"]}}`,
	`{"specversion":"1.0","id":"1","source":"/s","type":"t","datacontenttype":"text/plain","data":"a\n\u0000"}`,
	`{"specversion":"1.0","id":"1","source":"/s","type":"t","data_base64":"AP8="}`,
	`{"specversion":"1.0","id":"1","source":"/s","type":"t","data":null}`,
	`{"specversion":"1.0","id":"1","source":"/s","type":"t","datacontenttype":"a/b","data":[1 ,2]}`,
	`{"specversion":"1.0","id":"1","id":"1","source":"/s","type":"t"}`,
	`{"specversion":"1.0","id":"\ud800","source":"/s","type":"t","data":` + strings.Repeat("[", 65),
	"null", "", "{", "[]", "{\"\xff\":1}",
}

// checkParsed checks what must hold of every event that was decoded.
func checkParsed(t *testing.T, e leat.Event) {
	if err := e.Validate(); err != nil {
		t.Fatalf("a decoded event is not valid: %v", err)
	}
	if e.TimeString() != "" {
		if _, err := time.Parse(time.RFC3339Nano, strings.ToUpper(e.TimeString())); err != nil && !strings.Contains(e.TimeString(), ":60") {
			t.Fatalf("time %q: %v", e.TimeString(), err)
		}
	}
	text, err := e.AppendJSON(nil)
	if err != nil {
		t.Fatalf("a decoded event cannot be encoded: %v", err)
	}
	if !json.Valid(text) || !utf8.Valid(text) {
		t.Fatalf("not JSON: %q", text)
	}
	for _, r := range string(text) {
		if r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff {
			t.Fatalf("U+%04X, which XML does not allow: %q", r, text)
		}
	}
	back, err := leat.ParseEvent(text)
	if err != nil {
		t.Fatalf("decoding again: %v: %q", err, text)
	}
	if !back.Equal(e) || back.Size() != e.Size() {
		t.Fatalf("not the same after encoding: %q", text)
	}
	again, err := back.AppendJSON(nil)
	if err != nil || !bytes.Equal(again, text) {
		t.Fatalf("encoding is not stable: %q, %q, %v", text, again, err)
	}
	var headers []leat.Header
	for name, value := range e.Attributes() {
		headers = append(headers, leat.Header{Name: name, Value: []byte(value)})
	}
	binary, err := new(leat.Decoder).Decode(headers, e.Data())
	if err != nil || !binary.Equal(e) {
		t.Fatalf("not the same as headers: %q, %v", text, err)
	}
	_, _ = leat.PoisonedFrom(e)
}

func FuzzParseEvent(f *testing.F) {
	for _, s := range eventSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		was := bytes.Clone(text)
		e, err := leat.ParseEvent(text)
		if !bytes.Equal(text, was) {
			t.Fatal("the input was changed")
		}
		if err != nil {
			if c := leat.CodeOf(err); c != leat.CodeInvalid && c != leat.CodeTooLarge || !e.IsZero() {
				t.Fatalf("code %v, event %v", c, e)
			}
			return
		}
		if !json.Valid(text) {
			t.Fatal("encoding/json says that this is no JSON")
		}
		checkParsed(t, e)
	})
}

func FuzzParseEventBatch(f *testing.F) {
	f.Add([]byte("[]"))
	for _, s := range eventSeeds {
		f.Add([]byte("[" + s + "]"))
		f.Add([]byte(" [" + s + " , " + eventSeeds[0] + " ]\n"))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		events, err := leat.ParseEventBatch(text)
		if err != nil {
			if events != nil {
				t.Fatal("events beside an error")
			}
			return
		}
		again, err := leat.AppendJSONBatch(nil, events)
		if err != nil {
			t.Fatal(err)
		}
		back, err := leat.ParseEventBatch(again)
		if err != nil || len(back) != len(events) {
			t.Fatalf("%v: %q", err, again)
		}
		for i := range back {
			if !back[i].Equal(events[i]) {
				t.Fatalf("event %d is not the same: %q", i, again)
			}
		}
	})
}

func FuzzRoundTrip(f *testing.F) {
	f.Add("1", "/s", "t", "sub", "application/json", "urn:a", "k", "x", "text", []byte(`{"a":1}`), true, int64(0))
	f.Add("é", "a:b", "\"", "\\", "text/plain; charset=utf-8", "", "", "b", "", []byte("a\x00"), true, int64(1e18))
	f.Add("1", "/s", "t", "", "application/json", "", "", "x", "v", []byte("{\"\uffff\":\"\ufffe\"}"), true, int64(0))
	f.Add("1", "?", "t", "", "a/b", "", "", "partitionkey", "k", []byte(nil), false, int64(-1e18))
	f.Fuzz(func(t *testing.T, id, source, typ, subject, contentType, schema, key, name, value string, data []byte, hasData bool, nanos int64) {
		if !hasData {
			data = nil
		} else if data == nil {
			data = []byte{}
		}
		e, err := leat.NewEvent(typ, &leat.EventOptions{
			ID: id, Source: source, Subject: subject, DataContentType: contentType, DataSchema: schema, Key: key, Time: time.Unix(0, nanos),
			Extensions: map[string]any{name: value, "bin": data, "flag": hasData, "n": int32(nanos)}, Data: data,
		})
		if err != nil || source == "" {
			return
		}
		if e.ID() != id && id != "" || e.Source() != source || e.Type() != typ || e.Subject() != subject || e.DataContentType() != contentType ||
			e.DataString() != string(data) || e.HasData() != hasData || !e.Time().Equal(time.Unix(0, nanos)) {
			t.Fatalf("not what was given: %v", e)
		}
		checkParsed(t, e)
		reason := &leat.Error{Op: value + string(data), Code: leat.CodeHandler}
		p, err := leat.Poisoned{Event: e, Reason: reason, Info: leat.Info{Topic: id, Group: typ}}.AsEvent()
		if err != nil {
			t.Fatal(err)
		}
		checkParsed(t, p)
		back, err := leat.PoisonedFrom(p)
		if err != nil || !back.Event.Equal(e) {
			t.Fatalf("the original differs: %v, %v", back.Event, err)
		}
		m := &leat.Malformed{Headers: []leat.Header{{Name: value, Value: data}}, Key: []byte(key), Body: data}
		p, err = leat.Poisoned{Malformed: m, Info: leat.Info{Topic: id, Group: subject}}.AsEvent()
		if err != nil {
			t.Fatal(err)
		}
		checkParsed(t, p)
		back, err = leat.PoisonedFrom(p)
		got := back.Malformed
		if err != nil || got.Headers[0].Name != value || !bytes.Equal(got.Body, data) || (got.Body == nil) != (data == nil) {
			t.Fatalf("%v %v", got, err)
		}
	})
}

// FuzzDataAsJSON checks which data is written as JSON: what [jsontext.Carries] takes, and no
// character that XML does not allow.
func FuzzDataAsJSON(f *testing.F) {
	for _, s := range []string{"{}", " 1", "\"\xff\"", "\"\uffff\"", "\"\uffc0\ufffe\"", "\"\ufffd\U0001fffe\""} {
		f.Add([]byte(s))
	}
	base := leat.Event{}
	if e, err := leat.NewEvent("t", &leat.EventOptions{ID: "1", Source: "/s"}); err == nil {
		base = e
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e := base.WithData("application/json", data)
		text, err := e.AppendJSON(nil)
		if len(data) > 1<<20-100 {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		want := data != nil && jsontext.Carries(string(data)) && !bytes.ContainsAny(data, "\ufffe\uffff")
		if got := bytes.HasSuffix(text, []byte(`,"data":`+string(data)+"}")) && !bytes.Contains(text, []byte("data_base64")); want != got {
			t.Fatalf("%q: can be JSON: %t, %q", data, want, text)
		}
	})
}
