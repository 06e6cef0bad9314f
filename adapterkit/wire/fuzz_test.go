package wire_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/wire"
	"github.com/leatgo/leat/internal/eventgen"
	"github.com/stretchr/testify/require"
)

// bindings are those of several transports.
func bindings() []wire.Binding {
	const contentType, empty = "content-type", "leat-data"
	return []wire.Binding{
		{Prefix: "ce_", ContentType: contentType},
		{Prefix: "ce-", AnyPrefix: true, ContentType: contentType, Empty: empty},
		{Prefix: "ce-", ContentType: contentType, TypeIsAttribute: true, Percent: true, Empty: empty},
		{Prefix: "ce-", ContentType: contentType, Percent: true},
		{Prefix: "cloudEvents_", AnyPrefix: true, Mixed: true, ContentType: contentType, Empty: empty},
	}
}

// checkRoundTrip checks that an event comes back equal, in both modes.
func checkRoundTrip(t testing.TB, w *wire.Writer, r *wire.Reader, e leat.Event) {
	t.Helper()
	r.Begin(w.Binding, 0)
	for name, value := range w.Headers(e) {
		if w.Binding.Percent && name != w.Binding.ContentType {
			require.NotRegexp(t, `[^!#-~]`, value, "%q", value)
		}
		r.AddText(name, value)
	}
	body := e.Data()
	if w.Binding.Empty != "" && len(body) == 0 {
		body = nil
	}
	back, err := r.Event(body)
	require.NoError(t, err)
	require.True(t, e.Equal(back), "%v\n%v", e, back)

	r.Begin(w.Binding, 0)
	r.AddText("content-type", wire.StructuredType)
	body, err = e.AppendJSON(nil)
	require.NoError(t, err)
	back, err = r.Event(body)
	require.NoError(t, err)
	require.True(t, e.Equal(back), "%v\n%v", e, back)
}

func TestReadIsTheInverseOfWrite(t *testing.T) {
	t.Parallel()
	for i, b := range bindings() {
		g, w, r := eventgen.New(uint64(i)), wire.Writer{Binding: b}, wire.Reader{}
		for range 2000 {
			e, err := g.Event()
			require.NoError(t, err)
			checkRoundTrip(t, &w, &r, e)
		}
	}
}

// FuzzRead reads headers that are one text, a line each, so that the fuzzer can move, repeat and
// cut them. The value of a line without '=' is null.
func FuzzRead(f *testing.F) {
	const least = "ce-specversion=1.0\nce-id=1\nce-source=/s\nce-type=t"
	for i := range bindings() {
		for _, headers := range []string{
			"", least, least + "\nce-time=2026-01-02T03:04:05Z\nce-x=%41%zz\nleat-data=empty",
			least + "\nCE-ID=2\nce-y\ncontent-type",
			"ce_specversion=1.0\nce_id=1\nce_source=/s\nce_type=t\ncloudEvents:id=1\nce_x=\"%25\\\"\"",
			"Content-Type=application/cloudevents+json",
			"content-type=application/cloudevents-batch\n" + least,
			least + "\ncontent-type=a/b\nce-datacontenttype=a/c",
		} {
			f.Add([]byte(headers), []byte(eventJSON), byte(i))
		}
	}
	f.Fuzz(func(t *testing.T, headers, body []byte, which byte) {
		b := bindings()[int(which)%len(bindings())]
		var r wire.Reader
		read := func() (leat.Event, error) {
			r.Begin(b, 1)
			for line := range bytes.SplitSeq(headers, []byte("\n")) {
				name, value, ok := bytes.Cut(line, []byte("="))
				if !ok {
					value = nil
				}
				r.Add(string(name), value)
			}
			_ = r.Trace()
			return r.Event(body)
		}
		e, err := read()
		again, second := read() // with the scratch of the first time
		if (err == nil) != (second == nil) || !e.Equal(again) {
			t.Fatalf("%v and %v, then %v and %v", e, err, again, second)
		}
		if err != nil {
			own, ok := errors.AsType[*leat.Error](err)
			if ok && own.Code != leat.CodeInvalid && own.Code != leat.CodeTooLarge {
				t.Fatalf("code %v", own.Code)
			}
			return
		}
		require.NoError(t, e.Validate())
		checkRoundTrip(t, &wire.Writer{Binding: b}, &r, e)
	})
}
