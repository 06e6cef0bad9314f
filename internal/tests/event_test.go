package leat_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
)

// newEvent returns an event that is complete and valid, for tests that change one thing of it.
func newEvent(tb testing.TB) leat.Event {
	tb.Helper()
	e, err := leat.NewEvent("com.example.placed.v1", &leat.EventOptions{ID: "1", Source: "/shop"})
	require.NoError(tb, err)
	return e
}

// requireAttributeError checks the code and the attribute, rule and section that an error names.
func requireAttributeError(tb testing.TB, err error, code leat.Code, name, rule, spec string) {
	tb.Helper()
	require.Error(tb, err)
	require.Equal(tb, code, leat.CodeOf(err), "%v", err)
	a, ok := errors.AsType[*leat.AttributeError](err)
	require.True(tb, ok, "no AttributeError in %v", err)
	require.Equal(tb, name, a.Name)
	require.Contains(tb, a.Rule, rule)
	require.Contains(tb, a.Spec, spec)
	require.Contains(tb, err.Error(), a.Spec)
}

func TestNewEventDefaults(t *testing.T) {
	before := time.Now()
	e, err := leat.NewEvent("com.example.placed.v1", nil)
	require.NoError(t, err)
	assert.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, e.ID())
	assert.Equal(t, "1.0", e.SpecVersion())
	assert.Equal(t, "com.example.placed.v1", e.Type())
	assert.WithinRange(t, e.Time(), before.Truncate(0), time.Now())
	assert.True(t, strings.HasSuffix(e.TimeString(), "Z"), e.TimeString())
	assert.Empty(t, e.Source())
	assert.Empty(t, e.DataContentType())
	assert.False(t, e.HasData())
	assert.Nil(t, e.Data())
	requireAttributeError(t, e.Validate(), leat.CodeInvalid, "source", "is missing", "Required Attributes: source")
	assert.NoError(t, e.WithSource("/shop").Validate())
}

// TestIDsSortByTime makes more than a millisecond of events that are a quarter of a microsecond
// apart.
func TestIDsSortByTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ids []string
		for range 5000 {
			e, err := leat.NewEvent("t", nil)
			require.NoError(t, err)
			ids = append(ids, e.ID())
			time.Sleep(250 * time.Nanosecond)
		}
		assert.True(t, slices.IsSorted(ids), "UUIDv7 of later events are greater")
		assert.Len(t, slices.Compact(ids), 5000)
	})
}

func TestNewEventKeepsBytes(t *testing.T) {
	at := time.Date(2026, 2, 3, 4, 5, 6, 7000, time.FixedZone("", 2*3600))
	e, err := leat.NewEvent("Com.Example", &leat.EventOptions{
		ID: " a b ", Source: "HTTP://EX/%7e?q#", Subject: " x ", Time: at, DataContentType: "Application/JSON; Charset=\"utf-8\"",
		DataSchema: "urn:x:Y", Key: "k€", Data: []byte("{}"),
	})
	require.NoError(t, err)
	assert.Equal(t, " a b ", e.ID())
	assert.Equal(t, "HTTP://EX/%7e?q#", e.Source())
	assert.Equal(t, " x ", e.Subject())
	assert.Equal(t, "2026-02-03T04:05:06.000007+02:00", e.TimeString())
	assert.True(t, at.Equal(e.Time()))
	assert.Equal(t, "Application/JSON; Charset=\"utf-8\"", e.DataContentType())
	assert.Equal(t, "urn:x:Y", e.DataSchema())
	assert.Equal(t, "k€", e.Key())
	assert.NoError(t, e.Validate())
}

func TestZeroEvent(t *testing.T) {
	var e leat.Event
	assert.True(t, e.IsZero())
	assert.Empty(t, e.ID()+e.Source()+e.SpecVersion()+e.Type()+e.Subject())
	assert.Empty(t, e.DataContentType()+e.DataSchema()+e.TimeString()+e.Key()+e.DataString())
	assert.True(t, e.Time().IsZero())
	assert.Nil(t, e.Data())
	assert.False(t, e.HasData())
	assert.Zero(t, e.Size())
	_, ok := e.Extension("partitionkey")
	assert.False(t, ok)
	assert.Empty(t, maps.Collect(e.Extensions()))
	assert.Empty(t, maps.Collect(e.Attributes()))
	assert.Equal(t, "no event", e.String())
	assert.True(t, e.Equal(leat.Event{}))
	assert.False(t, e.Equal(newEvent(t)))
	requireAttributeError(t, e.Validate(), leat.CodeInvalid, "event", "zero Event", "CloudEvents")
	_, err := e.AppendJSON(nil)
	assert.Error(t, err)
	_, err = e.MarshalJSON()
	assert.Error(t, err)

	d := e.WithID("1").WithSource("/x").WithType("t").WithText("x")
	assert.Error(t, d.Validate(), "deriving does not make an event of nothing")
	assert.Error(t, e.Validate())
	_, err = leat.PoisonedFrom(e)
	assert.Error(t, err)
}

func TestDataHasThreeStates(t *testing.T) {
	none, err := leat.NewEvent("t", &leat.EventOptions{Source: "/s"})
	require.NoError(t, err)
	empty, err := leat.NewEvent("t", &leat.EventOptions{Source: "/s", Data: []byte{}})
	require.NoError(t, err)
	assert.Nil(t, none.Data())
	assert.NotNil(t, empty.Data())
	assert.Empty(t, empty.Data())
	assert.False(t, none.HasData())
	assert.True(t, empty.HasData())
	assert.False(t, none.WithID("1").Equal(empty.WithID("1")))
	assert.False(t, empty.WithData("", nil).HasData())
	assert.Equal(t, []byte{}, none.WithData("text/plain", []byte{}).Data())
}

func TestImmutable(t *testing.T) {
	data, bin := []byte("data"), []byte{1, 2}
	ext := map[string]any{"bin": bin, "n": 1}
	e, err := leat.NewEvent("t", &leat.EventOptions{Source: "/s", Data: data, Extensions: ext})
	require.NoError(t, err)
	data[0], bin[0] = 'X', 9
	ext["n"], ext["more"] = 2, "x"
	assert.Equal(t, "data", e.DataString())
	got, _ := e.Extension("bin")
	assert.Equal(t, []byte{1, 2}, got)
	n, _ := e.Extension("n")
	assert.Equal(t, int32(1), n)
	_, ok := e.Extension("more")
	assert.False(t, ok)

	e.Data()[0] = 'Y'
	got.([]byte)[0] = 7
	for _, v := range e.Extensions() {
		if b, ok := v.([]byte); ok {
			b[0] = 8
		}
	}
	again, _ := e.Extension("bin")
	assert.Equal(t, []byte{1, 2}, again)
	assert.Equal(t, "data", e.DataString())

	body := []byte("body")
	d := e.WithData("text/plain", body)
	body[0] = 'X'
	assert.Equal(t, "body", d.DataString())

	text, err := e.MarshalJSON()
	require.NoError(t, err)
	p, err := leat.ParseEvent(text)
	require.NoError(t, err)
	for i := range text {
		text[i] = 'x'
	}
	assert.True(t, p.Equal(e), "a parsed event keeps no part of its input")
}

func TestDerivationLeavesTheOriginal(t *testing.T) {
	e := newEvent(t).WithExtension("a", "1").WithKey("k").WithText("hello")
	was := fmt.Sprint(maps.Collect(e.Attributes()), e.DataString())
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, step := range map[string]struct {
		derive func(leat.Event) leat.Event
		get    func(leat.Event) any
		want   any
	}{
		"WithID":      {func(e leat.Event) leat.Event { return e.WithID("2") }, func(e leat.Event) any { return e.ID() }, "2"},
		"WithSource":  {func(e leat.Event) leat.Event { return e.WithSource("/o") }, func(e leat.Event) any { return e.Source() }, "/o"},
		"WithType":    {func(e leat.Event) leat.Event { return e.WithType("u") }, func(e leat.Event) any { return e.Type() }, "u"},
		"WithSubject": {func(e leat.Event) leat.Event { return e.WithSubject("s") }, func(e leat.Event) any { return e.Subject() }, "s"},
		"WithDataSchema": {
			func(e leat.Event) leat.Event { return e.WithDataSchema("urn:a") },
			func(e leat.Event) any { return e.DataSchema() }, "urn:a",
		},
		"WithTime": {
			func(e leat.Event) leat.Event { return e.WithTime(at) },
			func(e leat.Event) any { return e.TimeString() }, "2026-01-02T03:04:05Z",
		},
		"WithTime zero": {
			func(e leat.Event) leat.Event { return e.WithTime(time.Time{}) },
			func(e leat.Event) any { return e.TimeString() }, "",
		},
		"WithKey": {func(e leat.Event) leat.Event { return e.WithKey("z") }, func(e leat.Event) any { return e.Key() }, "z"},
		"WithKey none": {
			func(e leat.Event) leat.Event { return e.WithKey("") },
			func(e leat.Event) any { _, ok := e.Extension("partitionkey"); return ok }, false,
		},
		"WithExtension": {
			func(e leat.Event) leat.Event { return e.WithExtension("a", 7) },
			func(e leat.Event) any { v, _ := e.Extension("a"); return v }, int32(7),
		},
		"extension gone": {
			func(e leat.Event) leat.Event { return e.WithExtension("a", nil) },
			func(e leat.Event) any { _, ok := e.Extension("a"); return ok }, false,
		},
		"extension key": {
			func(e leat.Event) leat.Event { return e.WithExtension("partitionkey", "z") },
			func(e leat.Event) any { return e.Key() }, "z",
		},
		"extension first": {
			func(e leat.Event) leat.Event { return e.WithExtension("0", "x") },
			func(e leat.Event) any { v, _ := e.Extension("0"); return v }, "x",
		},
		"WithText": {
			func(e leat.Event) leat.Event { return e.WithText("x") },
			func(e leat.Event) any { return e.DataContentType() + e.DataString() }, "text/plain; charset=utf-8x",
		},
		"WithJSON": {
			func(e leat.Event) leat.Event { return e.WithJSON([]int{1}) },
			func(e leat.Event) any { return e.DataContentType() + e.DataString() }, "application/json[1]",
		},
		"WithData none": {func(e leat.Event) leat.Event { return e.WithData("", nil) }, func(e leat.Event) any { return e.HasData() }, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := step.derive(e)
			require.NoError(t, d.Validate())
			assert.Equal(t, step.want, step.get(d))
			assert.False(t, d.Equal(e))
			assert.Equal(t, was, fmt.Sprint(maps.Collect(e.Attributes()), e.DataString()))
			size := 0
			for name, value := range d.Attributes() {
				size += len(name) + len(value)
			}
			assert.Equal(t, size+len(d.DataString()), d.Size(), "Size follows")
		})
	}
}

func TestDerivationErrorSticks(t *testing.T) {
	e := newEvent(t)
	bad := e.WithID("").WithSource("not a uri").WithID("2")
	requireAttributeError(t, bad.Validate(), leat.CodeInvalid, "id", "is empty", "Required Attributes: id")
	assert.NoError(t, e.Validate())
	_, err := bad.AppendJSON(nil)
	assert.Error(t, err)

	err = e.WithJSON(func() {}).Validate()
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
	requireAttributeError(t, e.WithTime(time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC)).Validate(), leat.CodeInvalid, "time", "year", "time")
	requireAttributeError(t, e.WithData("json", nil).Validate(), leat.CodeInvalid, "datacontenttype", "no media type", "datacontenttype")
	requireAttributeError(t, e.WithKey(strings.Repeat("k", 4097)).Validate(), leat.CodeInvalid, "partitionkey", "longer than 4096", "Size")
	requireAttributeError(t, e.WithExtension("leatreason", nil).Validate(), leat.CodeInvalid, "leatreason", "reserved", "poison")
	requireAttributeError(t, e.WithText(strings.Repeat("x", 1<<20)).Validate(), leat.CodeTooLarge, "event", "bytes", "Size")
}

func TestEqual(t *testing.T) {
	e := newEvent(t).WithExtension("n", 5).WithExtension("b", true)
	assert.True(t, e.Equal(e)) //nolint:gocritic // an event equals itself
	assert.True(t, e.Equal(newEvent(t).WithTime(e.Time()).WithExtension("b", "true").WithExtension("n", "5")), "canonical strings decide")
	assert.False(t, e.Equal(e.WithExtension("n", 6)))
	assert.False(t, e.Equal(e.WithExtension("m", 6)))
}

func TestNothingPrintsData(t *testing.T) {
	e := newEvent(t).WithSubject("SECRET").WithText("SECRET").WithExtension("x", "SECRET")
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("got", "event", e, "events", []leat.Event{e})
	printed := e.String() + log.String()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		printed += fmt.Sprintf(verb, e)
	}
	printed += fmt.Sprintf("%v %+v %#v", struct{ e leat.Event }{e}, struct{ e leat.Event }{e}, struct{ e leat.Event }{e})
	assert.NotContains(t, printed, "SECRET")
	assert.Contains(t, log.String(), "event.id=1 event.source=/shop")
	assert.Equal(t, fmt.Sprintf(`event "com.example.placed.v1" id "1" source "/shop" (%d bytes)`, e.Size()), e.String())
}

func TestLogValueIsCut(t *testing.T) {
	e := newEvent(t).WithID(strings.Repeat("x", 1000))
	assert.Less(t, len(e.LogValue().String()), 300)
	assert.Less(t, len(e.String()), 300)
}

func TestIterationCanStopAnywhere(t *testing.T) {
	e := newEvent(t).WithKey("k").WithExtension("z", 1).WithExtension("a", 1)
	all := 0
	for range e.Attributes() {
		all++
	}
	for stop := 1; stop <= all; stop++ {
		n := 0
		for range e.Attributes() {
			if n++; n == stop {
				break
			}
		}
		assert.Equal(t, stop, n)
	}
	for stop := 1; stop <= 3; stop++ {
		n := 0
		for range e.Extensions() {
			if n++; n == stop {
				break
			}
		}
		assert.Equal(t, stop, n)
	}
}

func TestSharedBetweenGoroutines(t *testing.T) {
	e := newEvent(t).WithJSON(map[string]int{"a": 1}).WithKey("k")
	done := make(chan string)
	for range 4 {
		go func() {
			text, err := e.WithSubject("s").AppendJSON(nil)
			done <- fmt.Sprint(string(text), err, e.Size(), e.Time(), e.Validate())
		}()
	}
	first := <-done
	for range 3 {
		assert.Equal(t, first, <-done)
	}
}

func TestDecode(t *testing.T) {
	e := newEvent(t).WithKey("k").WithExtension("a", 1).WithExtension("z", []byte{1}).WithSubject("s").WithText("hi")
	var headers []leat.Header
	for name, value := range e.Attributes() {
		headers = append(headers, leat.Header{Name: name, Value: []byte(value)})
	}
	got, err := new(leat.Decoder).Decode(headers, e.Data())
	require.NoError(t, err)
	assert.True(t, got.Equal(e))
	assert.Equal(t, e.Size(), got.Size())
	z, _ := got.Extension("z")
	assert.Equal(t, "AQ==", z, "headers have no types")
	headers[1].Value[0] = 'X'
	assert.Equal(t, "1", got.ID())

	none, err := new(leat.Decoder).Decode(headers, nil)
	require.NoError(t, err)
	assert.False(t, none.HasData())

	_, err = new(leat.Decoder).Decode(append(headers, leat.Header{Name: "a", Value: []byte("2")}), nil)
	requireAttributeError(t, err, leat.CodeInvalid, "a", "twice", "Naming")
	unset, err := new(leat.Decoder).Decode(append(headers, leat.Header{Name: "unset"}, leat.Header{Name: "empty", Value: []byte{}}), nil)
	require.NoError(t, err)
	_, has := unset.Extension("unset")
	require.False(t, has, "null is unset")
	_, has = unset.Extension("empty")
	require.True(t, has)
	_, err = new(leat.Decoder).Decode(append(headers, leat.Header{Name: "a"}), nil)
	require.ErrorContains(t, err, "there twice", "null counts")
	_, err = new(leat.Decoder).Decode(append(headers, leat.Header{Name: "a-b"}), nil)
	require.Error(t, err, "a name that is none, though it is null")
	_, err = new(leat.Decoder).Decode(nil, nil)
	requireAttributeError(t, err, leat.CodeInvalid, "specversion", "missing", "specversion")
	_, err = new(leat.Decoder).Decode(append(headers, leat.Header{Name: "Upper"}), nil)
	requireAttributeError(t, err, leat.CodeInvalid, "Upper", "a-z", "Naming")
	_, err = new(leat.Decoder).Decode(headers, make([]byte, 1<<20))
	requireAttributeError(t, err, leat.CodeTooLarge, "event", "bytes", "Size")
	_, err = new(leat.Decoder).Decode(append(headers, leat.Header{Name: "big", Value: make([]byte, 2<<20)}), nil)
	requireAttributeError(t, err, leat.CodeTooLarge, "event", "1 MiB", "Size")
}

func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	o := &leat.EventOptions{Source: "/s", Subject: "s", Data: payload(), DataContentType: "application/json", Key: "k"}
	e := benchEvent(t)
	text, err := e.MarshalJSON()
	require.NoError(t, err)
	buf := make([]byte, 0, 2*len(text))
	var headers []leat.Header
	for name, value := range e.Attributes() {
		headers = append(headers, leat.Header{Name: name, Value: []byte(value)})
	}
	for name, c := range map[string]struct {
		most float64
		f    func()
	}{
		"NewEvent":    {3, func() { _, _ = leat.NewEvent("t", o) }},
		"MarshalJSON": {1, func() { _, _ = e.MarshalJSON() }},
		"AppendJSON":  {0, func() { _, _ = e.AppendJSON(buf) }},
		"ParseEvent":  {4, func() { _, _ = leat.ParseEvent(text) }},
		"Decode":      {4, func() { _, _ = new(leat.Decoder).Decode(headers, payloadBytes) }},
		"Attributes": {0, func() {
			for range e.Attributes() {
				continue
			}
		}},
		"WithSource": {1, func() { e = e.WithSource("/o") }},
	} {
		assert.LessOrEqual(t, testing.AllocsPerRun(100, c.f), c.most, name)
	}
}

var payloadBytes = payload()
