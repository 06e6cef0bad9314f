package cloudevents_test

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/cloudevents"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// someTime has nanoseconds and a zone, which formats like to lose.
func someTime() time.Time {
	return time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.FixedZone("", 2*60*60))
}

// decoded makes an event of pairs of attribute and value, as a transport does. Of the required
// ones, those that are not given have a value.
func decoded(t *testing.T, data []byte, pairs ...string) leat.Event {
	t.Helper()
	attributes := map[string]string{"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}
	for i := 0; i < len(pairs); i += 2 {
		attributes[pairs[i]] = pairs[i+1]
	}
	var headers []leat.Header
	for name, value := range attributes {
		headers = append(headers, leat.Header{Name: name, Value: []byte(value)})
	}
	e, err := new(leat.Decoder).Decode(headers, data)
	require.NoError(t, err)
	return e
}

// requireAttribute checks that err is what a conversion returns about an attribute.
func requireAttribute(t *testing.T, err error, code leat.Code, name string) {
	t.Helper()
	var own *leat.Error
	require.ErrorAs(t, err, &own)
	assert.Equal(t, "convert", own.Op)
	assert.Equal(t, code, own.Code, "%v", err)
	var attribute *leat.AttributeError
	require.ErrorAs(t, err, &attribute, "%v", err)
	assert.Equal(t, name, attribute.Name, "%v", err)
	assert.NotEmpty(t, attribute.Rule)
	assert.NotEmpty(t, attribute.Spec)
}

func TestToSDKKeepsEveryAttributeAndType(t *testing.T) {
	t.Parallel()
	e, err := leat.NewEvent("com.example.t", &leat.EventOptions{
		ID: "1", Source: "https://a.example/b?c#d", Subject: "Köln %20 日本🚀", Time: someTime(), DataContentType: "application/json; x=1",
		DataSchema: "urn:x", Key: "k", Data: []byte(`{"a": 1}`),
		Extensions: map[string]any{
			"abool": true, "bint": int32(-5), "cbinary": []byte{0xff, 0}, "duri": leat.URI("urn:y"), "euriref": leat.URIRef("../a?b"),
			"ftime": someTime(), "gstring": " x ", "hempty": "",
		},
	})
	require.NoError(t, err)
	out, err := cloudevents.ToSDK(e)
	require.NoError(t, err)
	require.NoError(t, out.Validate())
	assert.Equal(t, "1.0", out.SpecVersion())
	assert.Equal(t, e.ID(), out.ID())
	assert.Equal(t, e.Source(), out.Source())
	assert.Equal(t, e.Type(), out.Type())
	assert.Equal(t, e.Subject(), out.Subject())
	assert.Equal(t, e.DataContentType(), out.DataContentType())
	assert.Equal(t, e.DataSchema(), out.DataSchema())
	assert.Equal(t, e.TimeString(), out.Time().Format(time.RFC3339Nano))
	assert.Equal(t, e.Data(), out.Data())
	assert.Equal(t, map[string]any{
		"abool": true, "bint": int32(-5), "cbinary": []byte{0xff, 0}, "duri": *types.ParseURI("urn:y"),
		"euriref": *types.ParseURIRef("../a?b"), "ftime": types.Timestamp{Time: out.Extensions()["ftime"].(types.Timestamp).Time},
		"gstring": " x ", "hempty": "", "partitionkey": "k",
	}, out.Extensions())

	back, err := cloudevents.FromSDK(out)
	require.NoError(t, err)
	assert.True(t, back.Equal(e))
	for name, want := range e.Extensions() {
		got, _ := back.Extension(name)
		assert.IsType(t, want, got, name)
	}
}

func TestToSDKRefusesWhatTheSDKWouldChange(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, value string }{
		{"id", " 1"}, {"id", " "}, {"type", "t "}, {"type", "\u00a0"}, {"subject", " x"}, {"subject", " "}, {"source", "HTTP://EX/"},
		{"source", "/s#"}, {"dataschema", "HTTP://EX/"},
		{"datacontenttype", "a/b;c=1;c=2"}, {"datacontenttype", "a/b "},
		{"time", "2016-12-31T23:59:60Z"}, {"time", "2026-01-02T03:04:05.0000000001Z"}, {"time", "0001-01-01T00:00:00Z"},
	} {
		_, err := cloudevents.ToSDK(decoded(t, nil, c.name, c.value))
		requireAttribute(t, err, leat.CodeUnsupported, c.name)
		assert.NotContains(t, err.Error(), "EX", "no value")
	}
	e := decoded(t, nil).WithExtension("u", leat.URI("HTTP://EX/"))
	_, err := cloudevents.ToSDK(e)
	requireAttribute(t, err, leat.CodeUnsupported, "u")
	e = decoded(t, nil).WithExtension("u", leat.URIRef("#"))
	_, err = cloudevents.ToSDK(e)
	requireAttribute(t, err, leat.CodeUnsupported, "u")
}

func TestToSDKRefusesInvalidEvents(t *testing.T) {
	t.Parallel()
	_, err := cloudevents.ToSDK(leat.Event{})
	requireAttribute(t, err, leat.CodeInvalid, "event")
	_, err = cloudevents.ToSDK(decoded(t, nil).WithSource(""))
	requireAttribute(t, err, leat.CodeInvalid, "source")
	_, err = cloudevents.ToSDK(decoded(t, nil).WithSubject("\x00"))
	requireAttribute(t, err, leat.CodeInvalid, "subject")
}

// TestTimeIsTheSameInstant: a spelling that the SDK does not have is not worth an error.
func TestTimeIsTheSameInstant(t *testing.T) {
	t.Parallel()
	for was, is := range map[string]string{
		"2026-01-02T03:04:05.000Z": "2026-01-02T03:04:05Z", "2026-01-02t03:04:05z": "2026-01-02T03:04:05Z",
		"2026-01-02T03:04:05-00:00": "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.1200000000+02:00": "2026-01-02T03:04:05.12+02:00",
		"0000-01-01T00:00:00-23:59": "0000-01-01T00:00:00-23:59",
	} {
		e := decoded(t, nil, "time", was)
		out, err := cloudevents.ToSDK(e)
		require.NoError(t, err, was)
		back, err := cloudevents.FromSDK(out)
		require.NoError(t, err, was)
		assert.Equal(t, is, back.TimeString())
		assert.True(t, back.Time().Equal(e.Time()))
	}
}

func TestDataStaysWhatItIs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		contentType string
		data        []byte
		base64      bool // how the SDK is told to write it
	}{
		{"", nil, false}, {"", []byte{}, true}, {"text/plain", []byte{}, false}, {"", []byte("null"), false},
		{"application/json", []byte(`{"a":  1.0}`), false}, {"application/json", []byte(" 1"), true}, {"application/json", []byte("{"), true},
		{"application/json", []byte("\"\xff\""), true}, {"text/json", []byte("1"), false}, {"application/x+json", []byte("1"), true},
		{"text/plain", []byte("a\tü\n"), false}, {"text/plain", []byte("a\x00"), true}, {"text/plain", []byte("\xff"), true},
		{"image/png", []byte("\x89PNG"), true}, {"Application/JSON; charset=utf-8", []byte("1"), false},
	} {
		e := decoded(t, nil).WithData(c.contentType, c.data)
		out, err := cloudevents.ToSDK(e)
		require.NoError(t, err)
		assert.Equal(t, c.data, out.Data())
		assert.Equal(t, c.base64, out.DataBase64, "%s %q", c.contentType, c.data)
		back, err := cloudevents.FromSDK(out)
		require.NoError(t, err)
		assert.True(t, back.Equal(e))

		text, err := out.MarshalJSON()
		require.NoError(t, err)
		parsed, err := leat.ParseEvent(text)
		require.NoError(t, err, "%s", text)
		assert.True(t, parsed.Equal(e), "by the SDK's JSON: %s", text)
	}
}

// sdkEvent is a valid event of the SDK, changed by change.
func sdkEvent(change func(e *event.Event, ec *event.EventContextV1)) event.Event {
	e := event.New()
	e.SetID("1")
	e.SetSource("/s")
	e.SetType("t")
	ec := e.Context.(*event.EventContextV1)
	ec.Extensions = map[string]any{}
	change(&e, ec)
	return e
}

type foreignContext struct{ event.EventContext }

// TestFromSDKRefusesInvalidEvents: what the SDK's setters refused, what was put past them, and what
// the SDK lets pass.
func TestFromSDKRefusesInvalidEvents(t *testing.T) {
	t.Parallel()
	empty := ""
	blank := " \x00"
	huge := strings.Repeat("x", 64<<10+1)
	set := func(name string, value any) func(*event.Event, *event.EventContextV1) {
		return func(_ *event.Event, ec *event.EventContextV1) { ec.Extensions[name] = value }
	}
	for _, c := range []struct {
		what, name string
		code       leat.Code
		change     func(e *event.Event, ec *event.EventContextV1)
	}{
		{"no context", "event", leat.CodeInvalid, func(e *event.Event, _ *event.EventContextV1) { e.Context = nil }},
		{"nil context", "event", leat.CodeInvalid, func(e *event.Event, _ *event.EventContextV1) { e.Context = (*event.EventContextV1)(nil) }},
		{"nil old context", "specversion", leat.CodeUnsupported, func(e *event.Event, _ *event.EventContextV1) {
			e.Context = (*event.EventContextV03)(nil)
		}},
		{"version 0.3", "specversion", leat.CodeUnsupported, func(e *event.Event, _ *event.EventContextV1) { e.SetSpecVersion("0.3") }},
		{"no version", "specversion", leat.CodeInvalid, func(e *event.Event, _ *event.EventContextV1) { e.SetSpecVersion("2") }},
		{"foreign context", "event", leat.CodeUnsupported, func(e *event.Event, ec *event.EventContextV1) { e.Context = foreignContext{ec} }},
		{"no id", "id", leat.CodeInvalid, func(_ *event.Event, ec *event.EventContextV1) { ec.ID = "" }},
		{"control in id", "id", leat.CodeInvalid, func(e *event.Event, _ *event.EventContextV1) { e.SetID("a\nb") }},
		{"UTF-8", "type", leat.CodeInvalid, func(e *event.Event, _ *event.EventContextV1) { e.SetType("\xff") }},
		{"noncharacter", "type", leat.CodeInvalid, func(e *event.Event, _ *event.EventContextV1) { e.SetType("\ufdd0") }},
		{"no source", "source", leat.CodeInvalid, func(_ *event.Event, ec *event.EventContextV1) { ec.Source = types.URIRef{} }},
		{"refused source", "source", leat.CodeInvalid, func(e *event.Event, _ *event.EventContextV1) { e.SetSource("%secret") }},
		{"source is none", "source", leat.CodeInvalid, func(_ *event.Event, ec *event.EventContextV1) {
			ec.Source = types.URIRef{URL: url.URL{Opaque: "a b"}}
		}},
		{"empty media type", "datacontenttype", leat.CodeInvalid, func(_ *event.Event, ec *event.EventContextV1) { ec.DataContentType = &empty }},
		{"media type", "datacontenttype", leat.CodeInvalid, func(e *event.Event, _ *event.EventContextV1) { e.SetDataContentType("garbage") }},
		{"relative schema", "dataschema", leat.CodeInvalid, func(e *event.Event, _ *event.EventContextV1) { e.SetDataSchema("a") }},
		{"fragment", "dataschema", leat.CodeInvalid, func(e *event.Event, _ *event.EventContextV1) { e.SetDataSchema("urn:x#y") }},
		{"empty subject", "subject", leat.CodeInvalid, func(_ *event.Event, ec *event.EventContextV1) { ec.Subject = &empty }},
		{"control in subject", "subject", leat.CodeInvalid, func(_ *event.Event, ec *event.EventContextV1) { ec.Subject = &blank }},
		{"year", "time", leat.CodeInvalid, func(e *event.Event, _ *event.EventContextV1) {
			e.SetTime(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC))
		}},
		{"refused extension", "a", leat.CodeInvalid, func(e *event.Event, _ *event.EventContextV1) { e.SetExtension("a", struct{}{}) }},
		{"refused name", "a-b", leat.CodeInvalid, func(e *event.Event, _ *event.EventContextV1) { e.SetExtension("a-b", 1) }},
		{"name in capitals", "Abc", leat.CodeInvalid, set("Abc", "x")},
		{"no name", "", leat.CodeInvalid, set("", "x")},
		{"reserved name", "data", leat.CodeInvalid, set("data", "x")},
		{"core attribute", "subject", leat.CodeInvalid, set("subject", "x")},
		{"long name", strings.Repeat("n", 128) + "...", leat.CodeInvalid, set(strings.Repeat("n", 129), "x")},
		{"float", "a", leat.CodeInvalid, set("a", math.NaN())},
		{"int64", "a", leat.CodeInvalid, set("a", int64(math.MaxInt32+1))},
		{"map", "a", leat.CodeInvalid, set("a", map[string]any{})},
		{"nil pointer", "a", leat.CodeInvalid, set("a", (*types.URI)(nil))},
		{"control in extension", "a", leat.CodeInvalid, set("a", "\x7f")},
		{"relative URI", "a", leat.CodeInvalid, set("a", types.URI{URL: url.URL{Path: "x"}})},
		{"URI-reference", "a", leat.CodeInvalid, set("a", types.URIRef{URL: url.URL{Opaque: "x y"}})},
		{"year in extension", "a", leat.CodeInvalid, set("a", types.Timestamp{Time: time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)})},
		{"long value", "a", leat.CodeTooLarge, set("a", huge)},
		{"long binary", "a", leat.CodeTooLarge, set("a", []byte(huge))},
		{"too much data", "event", leat.CodeTooLarge, func(e *event.Event, _ *event.EventContextV1) { e.DataEncoded = make([]byte, 1<<20+1) }},
		{"a little too much", "event", leat.CodeTooLarge, func(e *event.Event, _ *event.EventContextV1) {
			e.DataEncoded = make([]byte, 1<<20-1)
		}},
		{"many attributes", "event", leat.CodeTooLarge, func(_ *event.Event, ec *event.EventContextV1) {
			for i := range 100 {
				ec.Extensions["x"+strings.Repeat("y", i)] = "z"
			}
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			_, err := cloudevents.FromSDK(sdkEvent(c.change))
			requireAttribute(t, err, c.code, c.name)
			assert.NotContains(t, err.Error(), "secret", "no value")
			assert.Less(t, len(err.Error()), 1000)
		})
	}
}

// TestFromSDKTakesWhatOnlyOthersMake: long names and values, and names that begin with leat, lose
// their type, not their text.
func TestFromSDKTakesWhatOnlyOthersMake(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", 100)
	e, err := cloudevents.FromSDK(sdkEvent(func(_ *event.Event, ec *event.EventContextV1) {
		ec.Extensions["leatattempts"], ec.Extensions[long], ec.Extensions["partitionkey"] = int32(3), true, int32(7)
		ec.Extensions["b"], ec.Extensions["none"], ec.Extensions["i"] = make([]byte, 4<<10), nil, 5
	}))
	require.NoError(t, err)
	for name, want := range map[string]any{
		"leatattempts": "3", long: "true", "partitionkey": "7", "b": strings.Repeat("A", 5462) + "==", "i": int32(5),
	} {
		got, ok := e.Extension(name)
		assert.True(t, ok, name)
		assert.Equal(t, want, got, name)
	}
	_, ok := e.Extension("none")
	assert.False(t, ok)
}

// TestNothingIsShared: changing one event does not change the other.
func TestNothingIsShared(t *testing.T) {
	t.Parallel()
	in := sdkEvent(func(e *event.Event, _ *event.EventContextV1) {
		e.SetExtension("b", []byte("abc"))
		_ = e.SetData("text/plain", []byte("abc"))
	})
	e, err := cloudevents.FromSDK(in)
	require.NoError(t, err)
	want, err := e.AppendJSON(nil)
	require.NoError(t, err)
	spoil := func(in event.Event) {
		copy(in.DataEncoded, "xyz")
		copy(in.Extensions()["b"].([]byte), "xyz")
		in.SetID("other")
		in.SetExtension("c", "x")
	}
	spoil(in)
	out, err := cloudevents.ToSDK(e)
	require.NoError(t, err)
	spoil(out)
	got, err := e.AppendJSON(nil)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got))
}

func TestConversionErrorsAreTyped(t *testing.T) {
	t.Parallel()
	_, err := cloudevents.FromSDK(event.Event{})
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
	assert.False(t, leat.Retryable(err))
	assert.NotErrorIs(t, err, errors.ErrUnsupported)
	assert.EqualError(t, err,
		`leat: convert: invalid: the event has no context; make it with the SDK's NewEvent (CloudEvents SDK v2.16.2)`)
}

// TestTooLargeCostsNothing: what is refused for its size is not copied first.
func TestTooLargeCostsNothing(t *testing.T) {
	e := sdkEvent(func(e *event.Event, _ *event.EventContextV1) { e.DataEncoded = make([]byte, 64<<20) })
	binary := sdkEvent(func(_ *event.Event, ec *event.EventContextV1) { ec.Extensions["b"] = make([]byte, 64<<20) })
	many := sdkEvent(func(_ *event.Event, ec *event.EventContextV1) {
		for i := range 10_000 {
			ec.Extensions[fmt.Sprint("x", i)] = strings.Repeat("x", 1000)
		}
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, e := range []event.Event{e, binary, many} {
		_, err := cloudevents.FromSDK(e)
		assert.Equal(t, leat.CodeTooLarge, leat.CodeOf(err), "%v", err)
	}
	runtime.ReadMemStats(&after)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
}
