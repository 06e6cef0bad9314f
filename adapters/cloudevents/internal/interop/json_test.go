package interop_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/leatgo/leat"
)

// sdkRead reads with the SDK, as its client does: then it validates.
func sdkRead(read func(e *event.Event) error) (e *event.Event, crash any, err error) {
	defer func() {
		if crash = recover(); crash != nil {
			e = nil
		}
	}()
	e = &event.Event{}
	if err = read(e); err == nil {
		err = e.Validate()
	}
	if err != nil {
		return nil, nil, err
	}
	return e, nil, nil
}

// compareJSON reads one text with both and returns the differences.
func compareJSON(t testing.TB, text []byte) findings {
	t.Helper()
	r := reading{t: t, input: string(text), found: findings{}, json: true, members: membersOf(text)}
	r.ours, r.err = leat.ParseEvent(text)
	r.theirs, r.crash, r.refuse = sdkRead(func(e *event.Event) error { return e.UnmarshalJSON(bytes.Clone(text)) })
	r.judge()
	return r.found
}

// seedJSON adds what the table has, and some more.
func seedJSON(f *testing.F, wrap func(string) string) {
	f.Helper()
	for _, d := range differences {
		if d.json != "" {
			f.Add([]byte(wrap(d.json)))
		}
	}
	for _, s := range []string{
		"", "{}", "null", "[]", minimal + "}", minimal + `,"data":{"a":[1,2,null,"\u00e9"]},"a":true,"b":-1,"c":"x","partitionkey":"k"}`,
		`{"data":"aGk=","id":"1","datacontenttype":"text/plain","time":"2026-01-02T03:04:05Z","source":"urn:a:b","type":"t","specversion":"1.0"}`,
		`{"data_base64":"aGk=","id":"1","source":"/s","type":"t","specversion":"1.0","subject":null,"x":null}`,
		minimal + `,"datacontenttype":"application/json","data_base64":"aGk="}`, minimal + `,"":1,"x":2}`, minimal + `,"x":-0,"y":2147483648}`,
		minimal + `} x`, minimal + `,"time":"2026-01-02T3:04:05Z"}`, minimal + `,"time":"","dataschema":"","datacontenttype":""}`,
	} {
		f.Add([]byte(wrap(s)))
	}
}

// FuzzReadJSON reads JSON with both.
func FuzzReadJSON(f *testing.F) {
	seedJSON(f, func(s string) string { return s })
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) < 64<<10 {
			compareJSON(t, text)
		}
	})
}

// FuzzReadBatch reads batches with both. One event that is refused makes the batch an error for
// both, so it is enough to see that both read the same events, each of which FuzzReadJSON looks at.
func FuzzReadBatch(f *testing.F) {
	seedJSON(f, func(s string) string { return "[" + s + "]" })
	f.Add([]byte("[" + minimal + "}," + minimal + `,"x":1}]`))
	f.Add([]byte("[] x"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 64<<10 {
			return
		}
		ours, err := leat.ParseEventBatch(text)
		var parts []json.RawMessage
		if json.Unmarshal(text, &parts) != nil || string(bytes.TrimSpace(text)) == "null" {
			if err == nil {
				t.Fatalf("this is no array, and was taken: %q", text)
			}
			return
		}
		failed := false
		for i, part := range parts {
			compareJSON(t, part)
			e, partErr := leat.ParseEvent(part)
			failed = failed || partErr != nil
			if err == nil && (partErr != nil || !e.Equal(ours[i])) {
				t.Fatalf("event %d of %q is another in a batch: %v", i, text, partErr)
			}
		}
		if failed != (err != nil) || err == nil && len(ours) != len(parts) {
			t.Fatalf("%d events in %q, of which one failed: %v, ours %d: %v", len(parts), text, failed, len(ours), err)
		}
		var theirs []event.Event
		var refused error
		_, crash, _ := sdkRead(func(*event.Event) error {
			refused = json.Unmarshal(text, &theirs) // which is all that the SDK does for a batch
			return nil
		})
		if err != nil || crash != nil || refused != nil {
			return
		}
		for i := range ours {
			r := reading{t: t, input: string(parts[i]), found: findings{}, json: true, members: membersOf(parts[i]), ours: ours[i]}
			if r.theirs = &theirs[i]; r.theirs.Context != nil && r.theirs.Validate() == nil {
				r.judge()
			}
		}
	})
}
