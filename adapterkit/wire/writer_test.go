package wire_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/wire"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func newEvent(t testing.TB, o leat.EventOptions) leat.Event {
	t.Helper()
	o.ID, o.Source, o.Time = "1", "/s", time.Unix(0, 0).UTC()
	e, err := leat.NewEvent("t", &o)
	require.NoError(t, err)
	return e
}

// lines are the headers of an event that differ from event to event.
func lines(w *wire.Writer, e leat.Event) (all []string) {
	for name, value := range w.Headers(e) {
		all = append(all, name+"="+value)
	}
	return all[5:]
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	kafka := wire.Binding{Prefix: "ce_", ContentType: "content-type"}
	property := wire.Binding{Prefix: "cloudEvents:", Empty: "leat-data"}
	nats := wire.Binding{
		Prefix: "ce-", ContentType: "content-type", TypeIsAttribute: true, Percent: true, Empty: "e",
	}
	for name, c := range map[string]struct {
		binding wire.Binding
		options leat.EventOptions
		want    []string
	}{
		"no data": {binding: nats},
		"empty data": {
			binding: nats, options: leat.EventOptions{Data: []byte{}}, want: []string{"e=empty"},
		},
		"empty data that the transport knows": {
			binding: kafka, options: leat.EventOptions{Data: []byte{}},
		},
		"a content type": {
			binding: kafka, options: leat.EventOptions{DataContentType: "a/b"},
			want: []string{"content-type=a/b"},
		},
		"a content type in a field": {
			binding: property, options: leat.EventOptions{DataContentType: "a/b", Data: []byte{}},
			want: []string{"=a/b", "leat-data=empty"},
		},
		"a content type that is an attribute": {
			binding: nats, options: leat.EventOptions{DataContentType: `a/b; c="d e"`},
			want: []string{`ce-datacontenttype=a/b;%20c=%22d%20e%22`},
		},
		"an event as data": {
			binding: kafka, options: leat.EventOptions{DataContentType: "Application/CloudEvents+json"},
			want: []string{"ce_datacontenttype=Application/CloudEvents+json"},
		},
		"others": {
			binding: property,
			options: leat.EventOptions{
				Subject: "a b%", Key: "k", Extensions: map[string]any{"x": true, "y": ""},
			},
			want: []string{
				"cloudEvents:subject=a b%", "cloudEvents:partitionkey=k", "cloudEvents:x=true",
				"cloudEvents:y=",
			},
		},
		"the vector of the HTTP binding": {
			binding: nats, options: leat.EventOptions{Subject: "Euro € 😀"},
			want: []string{"ce-subject=Euro%20%E2%82%AC%20%F0%9F%98%80"},
		},
		"what is encoded, and what is not": {
			binding: nats, options: leat.EventOptions{Subject: "!\"#$%&'~\u00a0{|}"},
			want: []string{"ce-subject=!%22#$%25&'~%C2%A0{|}"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := wire.Writer{Binding: c.binding}
			for range 2 { // with what it remembers
				assert.ElementsMatch(t, c.want, lines(&w, newEvent(t, c.options)))
			}
			for name := range w.Headers(newEvent(t, c.options)) {
				assert.Equal(t, c.binding.Prefix+"specversion", name)
				break // a caller may stop
			}
		})
	}
}

// TestNames: names that a Writer has given stay as they are, also when it forgets them.
func TestNames(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"ce_", "ce-", "x-"} {
		w := wire.Writer{Binding: wire.Binding{Prefix: prefix}}
		var names []string
		for range 3 {
			for i := range 100 {
				names = append(names, w.Name(fmt.Sprint("x", i)))
			}
		}
		for i, name := range names {
			assert.Equal(t, fmt.Sprint(prefix, "x", i%100), name)
		}
		for _, attribute := range []string{
			"id", "time", "id", "tracestate", "datacontenttype", "subject", "x", "partitionkey",
		} {
			assert.Equal(t, prefix+attribute, w.Name(attribute))
		}
	}
}

func TestAllocations(t *testing.T) {
	e := newEvent(t, leat.EventOptions{
		Subject: "s", Key: "k", DataContentType: "a/b",
		Extensions: map[string]any{"tenant": "blue", "sequence": 7}, Data: []byte("x"),
	})
	for _, b := range []wire.Binding{
		{Prefix: "ce_", ContentType: "content-type"}, {Prefix: "cloudEvents:"},
		{Prefix: "ce-", Percent: true},
	} {
		w, r, headers := wire.Writer{Binding: b}, wire.Reader{}, map[string]string{}
		assert.Zero(t, testing.AllocsPerRun(10, func() {
			maps.Insert(headers, w.Headers(e))
		}), "%+v", b)
		body, attributes := []byte("x"), []leat.Header(nil)
		for name, value := range e.Attributes() {
			attributes = append(attributes, leat.Header{Name: name, Value: []byte(value)})
		}
		decoded := testing.AllocsPerRun(10, func() {
			if _, err := new(leat.Decoder).Decode(attributes, body); err != nil {
				t.Fatal(err)
			}
		})
		read := func() {
			r.Begin(b, len(headers))
			for name, value := range headers {
				if name == "" {
					r.ContentType(value)
				}
				r.AddText(name, value)
			}
			if _, err := r.Event(body); err != nil {
				t.Fatal(err)
			}
		}
		for range 10 { // which learns what repeats
			read()
		}
		assert.InDelta(t, decoded, testing.AllocsPerRun(10, read), 0, "a Reader costs nothing")
	}
}
