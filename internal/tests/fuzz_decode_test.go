package leat_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/leatgo/leat"
)

// headersFrom reads lines of "name=value" as the headers of a transport, whatever bytes they have.
// A line without '=' is a name with a nil value, which is null.
func headersFrom(text []byte) (headers []leat.Header) {
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		name, value, _ := bytes.Cut(line, []byte("="))
		headers = append(headers, leat.Header{Name: string(name), Value: value})
	}
	return headers
}

const plainHeaders = "specversion=1.0\nid=1\nsource=/s\ntype=t"

// FuzzDecode reads headers of a binary mode transport. They are one text, a line each, so that
// the fuzzer can move, repeat and cut them.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		plainHeaders,
		plainHeaders + "\nsubject=s\ntime=2026-01-02T03:04:60Z\ndatacontenttype=a/b; c=\"d\"\ndataschema=urn:x\npartitionkey=\nleatreason=r",
		plainHeaders + "\nid=2", plainHeaders + "\na=1\na=2", plainHeaders + "\nspecversion=1.0",
		plainHeaders + "\npartitionkey=a\npartitionkey=",
		plainHeaders + "\nx=\xff\xed\xa0\x80", plainHeaders + "\nA=1", plainHeaders + "\n=", plainHeaders + "\ntime=99999-01-01T00:00:00Z",
		"specversion=0.3\nid=1\nsource=/s\ntype=t", "id=1", "", plainHeaders + strings.Repeat("\na=", 90),
		plainHeaders + "\nleatattempts=99999999999999999999\nleatreason=\nleatposition=0/0",
	} {
		f.Add([]byte(s), []byte("{}"), true)
	}
	f.Fuzz(func(t *testing.T, text, data []byte, hasData bool) {
		if !hasData {
			data = nil
		} else if data == nil {
			data = []byte{}
		}
		was := text
		text = bytes.Clone(text) // which is overwritten below
		headers := headersFrom(text)
		e, err := new(leat.Decoder).Decode(headers, data)
		if err != nil {
			if c := leat.CodeOf(err); c != leat.CodeInvalid && c != leat.CodeTooLarge || !e.IsZero() {
				t.Fatalf("code %v, event %v", c, e)
			}
			return
		}
		if e.HasData() != hasData || e.DataString() != string(data) {
			t.Fatalf("the data changed: %q, %v", e.DataString(), e.HasData())
		}
		given := map[string]string{}
		for _, h := range headers {
			if _, twice := given[h.Name]; twice {
				t.Fatalf("%q is there twice and was taken", h.Name)
			}
			given[h.Name] = string(h.Value)
		}
		for name, value := range e.Attributes() {
			if given[name] != value {
				t.Fatalf("%q is %q and was %q", name, value, given[name])
			}
			delete(given, name)
		}
		for name, value := range given {
			if value != "" {
				t.Fatalf("%q=%q got lost", name, value)
			}
		}
		checkParsed(t, e)
		for i := range text { // the event shares nothing with the caller's bytes
			text[i] = 'x'
		}
		again, err := new(leat.Decoder).Decode(headersFrom(was), data)
		if err != nil || !again.Equal(e) {
			t.Fatalf("the event changed with the input: %v, %v", e, err)
		}
	})
}

// FuzzDecoder reads the headers of two messages several times with one decoder, and compares what
// it makes of them, or says is wrong, with what another one does that knows nothing.
func FuzzDecoder(f *testing.F) {
	texts := []string{
		plainHeaders, plainHeaders + "\nsubject=s\ntime=2026-01-02T03:04:60Z\ndatacontenttype=a/b\ndataschema=urn:x\npartitionkey=k\nb=1\na=2",
		"specversion=1.0\nid=2\nsource=/s\ntype=t\na=2\nb=1", plainHeaders + "\nb=1\na=1\na=2", plainHeaders + "\nleatreason=r",
		plainHeaders + "\npartitionkey=", plainHeaders + "\npartitionkey=a\npartitionkey=", plainHeaders + "\na=", plainHeaders + "\nsubject=",
		plainHeaders + "\nA=1", plainHeaders + "\ndata=1", plainHeaders + "\nsubject=\xff", "specversion=0.3\nid=1\nsource=/s\ntype=t",
		"specversion=1.0\nid=1\nsource=/s", plainHeaders + "\nsubject=" + strings.Repeat("v", 300), plainHeaders + "\nspecversion=1.0",
		plainHeaders + strings.Repeat("\na=", 30), plainHeaders + "\ntime=t", "x=1\ny=2\n" + plainHeaders, plainHeaders + "\nunset",
		"type=/s\nsource=t\nid=/s\nspecversion=1.0\nsubject=t", plainHeaders + "\na=" + strings.Repeat("v", 65_500) + "\nb=1",
	}
	for i := range texts {
		f.Add([]byte(texts[i]), []byte(texts[(i+1)%len(texts)]))
		f.Add([]byte(texts[0]), []byte(texts[i]))
	}
	f.Fuzz(func(t *testing.T, one, two []byte) {
		messages := [][]leat.Header{headersFrom(one), headersFrom(two)}
		var stream leat.Decoder
		for round := range 4 {
			for _, headers := range messages {
				want, wrong := new(leat.Decoder).Decode(headers, one)
				got, err := stream.Decode(headers, one)
				if fmt.Sprint(err) != fmt.Sprint(wrong) || leat.CodeOf(err) != leat.CodeOf(wrong) {
					t.Fatalf("round %d: %v, alone %v", round, err, wrong)
				}
				if !got.Equal(want) || got.Size() != want.Size() || leat.IsPoisoned(got) != leat.IsPoisoned(want) {
					t.Fatalf("round %d: %v, alone %v", round, got, want)
				}
			}
		}
	})
}

// poisonNames are the extensions of an event in a poison queue.
var poisonNames = map[string]bool{
	"leatreason": true, "leatattempts": true, "leatdeliveries": true, "leatfirstattempt": true, "leatreceived": true, "leatpoisoned": true,
	"leattopic": true, "leatgroup": true, "leatposition": true, "leatkey": true, "leatreplays": true,
}

// FuzzPoisonedFrom reads what somebody may have put into a poison queue: any extensions that begin
// with leat, and any data for the type of a malformed delivery.
func FuzzPoisonedFrom(f *testing.F) {
	for _, s := range []string{
		"leatreason=r\nleatattempts=3\nleatdeliveries=2\nleatfirstattempt=2026-01-02T03:04:05Z\nleattopic=t\nleatgroup=g\nleatposition=1/2",
		"leatreason=\nleatattempts=-1\nleatdeliveries=99999999999999999999\nleatreceived=never\nleatposition=/",
		"leatreason=r\nleatposition=0/0", "leatreason=r\nleatposition=+1/-2", "leatattempts=1", "leatreason=r\nleatother=x", "",
	} {
		for _, data := range []string{
			"", "null", "{}", "[]", `{"headers":[{"name":"a","value":"AA=="},{"name_base64":"/w==","value":null}],"key":"","body":null}`,
			`{"headers":[{"name":"a","name_base64":"Yg==","value":"AA"}]}`, `{"body":"A-_="}`, `{"body":"AA==\n"}`, `{"body":1e999}`,
			`{"headers":[],"headers":[{}],"HEADERS":null}`, `{"key":"\ud800"}`, strings.Repeat("[", 20_000),
		} {
			f.Add([]byte(s), data, true)
		}
		f.Add([]byte(s), "x", false)
	}
	f.Fuzz(func(t *testing.T, extensions []byte, data string, malformed bool) {
		typ := "t"
		if malformed {
			typ = "leat.malformed.v1"
		}
		headers := headersFrom([]byte("specversion=1.0\nid=1\nsource=/s\ntype=" + typ + "\n" + string(extensions)))
		e, err := new(leat.Decoder).Decode(headers, []byte(data))
		if err != nil {
			return
		}
		p, err := leat.PoisonedFrom(e)
		if err != nil {
			if leat.CodeOf(err) != leat.CodeInvalid || p.Malformed != nil || !p.Event.IsZero() {
				t.Fatalf("%v beside %v", p, err)
			}
			return
		}
		if p.Reason == nil || p.Info.Attempt < 0 || p.Info.Deliveries < 0 || (p.Malformed == nil) == p.Event.IsZero() {
			t.Fatalf("%+v", p)
		}
		if p.Malformed == nil {
			checkParsed(t, p.Event)
			for name := range p.Event.Attributes() {
				if poisonNames[name] {
					t.Fatalf("the original has %s", name)
				}
			}
		}
		again, err := p.AsEvent() // into another poison queue, and out of it
		if err != nil {
			t.Fatal(err)
		}
		checkParsed(t, again)
		back, err := leat.PoisonedFrom(again)
		if err != nil || !back.Event.Equal(p.Event) {
			t.Fatalf("not the same once more: %v, %v", back.Event, err)
		}
	})
}
