package leat_test

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
)

// TestExtensionTypes has the seven types of the CloudEvents type system, each with its Go value and
// its canonical string.
func TestExtensionTypes(t *testing.T) {
	zone := time.FixedZone("", -(5*3600 + 30*60))
	for name, c := range map[string]struct {
		in, out   any
		canonical string
	}{
		"Boolean true":     {true, true, "true"},
		"Boolean false":    {false, false, "false"},
		"Integer":          {42, int32(42), "42"},
		"Integer least":    {int64(math.MinInt32), int32(math.MinInt32), "-2147483648"},
		"Integer greatest": {uint64(math.MaxInt32), int32(math.MaxInt32), "2147483647"},
		"Integer int8":     {int8(-1), int32(-1), "-1"},
		"Integer int16":    {int16(-1), int32(-1), "-1"},
		"Integer int32":    {int32(-1), int32(-1), "-1"},
		"Integer uint":     {uint(1), int32(1), "1"},
		"Integer uint8":    {uint8(1), int32(1), "1"},
		"Integer uint16":   {uint16(1), int32(1), "1"},
		"Integer uint32":   {uint32(1), int32(1), "1"},
		"String":           {"a€😀 \"\\", "a€😀 \"\\", "a€😀 \"\\"},
		"String empty":     {"", "", ""},
		"Binary":           {[]byte{0, 255}, []byte{0, 255}, "AP8="},
		"Binary empty":     {[]byte{}, []byte{}, ""},
		"URI":              {leat.URI("HTTPS://Example/%7e?q=1"), leat.URI("HTTPS://Example/%7e?q=1"), "HTTPS://Example/%7e?q=1"},
		"URI-reference":    {leat.URIRef("../a#b"), leat.URIRef("../a#b"), "../a#b"},
		"Timestamp": {
			time.Date(2026, 1, 2, 3, 4, 5, 60_000_000, zone), time.Date(2026, 1, 2, 8, 34, 5, 60_000_000, time.UTC),
			"2026-01-02T03:04:05.06-05:30",
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEvent(t).WithExtension("x", c.in)
			require.NoError(t, e.Validate())
			got, ok := e.Extension("x")
			require.True(t, ok)
			if at, isTime := got.(time.Time); isTime {
				assert.True(t, at.Equal(c.out.(time.Time)))
			} else {
				assert.Equal(t, c.out, got)
			}
			assert.Equal(t, c.canonical, maps.Collect(e.Attributes())["x"])
		})
	}
}

func TestExtensionsAreSorted(t *testing.T) {
	e := newEvent(t).WithKey("k")
	for _, name := range []string{"z", "a", "p", "q", "0", "partitionkeyz"} {
		e = e.WithExtension(name, name)
	}
	require.NoError(t, e.Validate())
	var names []string
	for name := range e.Extensions() {
		names = append(names, name)
	}
	assert.Equal(t, []string{"0", "a", "p", "partitionkey", "partitionkeyz", "q", "z"}, names)
	for range e.Extensions() {
		break
	}
	for range e.Attributes() {
		break
	}
	names = names[:0]
	for name := range e.Attributes() {
		names = append(names, name)
	}
	assert.Equal(t, []string{"specversion", "id", "source", "type", "time", "0", "a"}, names[:7])
}

func TestKeyIsPartitionkey(t *testing.T) {
	e, err := leat.NewEvent("t", &leat.EventOptions{Extensions: map[string]any{"partitionkey": "k"}})
	require.NoError(t, err)
	assert.Equal(t, "k", e.Key())
	e, err = leat.NewEvent("t", &leat.EventOptions{Key: "k", Extensions: map[string]any{"partitionkey": "k"}})
	require.NoError(t, err)
	v, ok := e.Extension("partitionkey")
	assert.True(t, ok)
	assert.Equal(t, "k", v)
	_, err = leat.NewEvent("t", &leat.EventOptions{Key: "k", Extensions: map[string]any{"partitionkey": "other"}})
	requireAttributeError(t, err, leat.CodeInvalid, "partitionkey", "twice", "Partitioning")
	_, err = leat.NewEvent("t", &leat.EventOptions{Extensions: map[string]any{"partitionkey": ""}})
	requireAttributeError(t, err, leat.CodeInvalid, "partitionkey", "empty", "Partitioning")
}

func TestExtensionErrors(t *testing.T) {
	for name, c := range map[string]struct {
		name       string
		value      any
		rule, spec string
	}{
		"no name":           {"", 1, "no name", "Naming"},
		"upper case":        {"Abc", 1, "a-z", "Naming"},
		"underscore":        {"data_base64", 1, "a-z", "Naming"},
		"not ASCII":         {"ä", 1, "a-z", "Naming"},
		"too long":          {strings.Repeat("a", 21), 1, "longer than 20", "Naming"},
		"data":              {"data", 1, "reserved", "Naming"},
		"core":              {"subject", "x", "context attribute", "Extension"},
		"specversion":       {"specversion", "1.0", "context attribute", "Extension"},
		"leat":              {"leatfoo", "x", "reserved", "poison"},
		"float":             {"x", 1.5, "float64", "Type System"},
		"struct":            {"x", struct{}{}, "struct {}", "Type System"},
		"int too large":     {"x", int64(math.MaxInt32) + 1, "32 bits", "Type System"},
		"int too small":     {"x", math.MinInt32 - 1, "32 bits", "Type System"},
		"uint64 too large":  {"x", uint64(math.MaxUint64), "32 bits", "Type System"},
		"uint too large":    {"x", uint(math.MaxUint), "32 bits", "Type System"},
		"control":           {"x", "a\x00", "control", "Type System"},
		"delete":            {"x", "\x7f", "control", "Type System"},
		"C1 control":        {"x", "\u0085", "control", "Type System"},
		"noncharacter":      {"x", "\ufdd0", "noncharacter", "Type System"},
		"noncharacter end":  {"x", "\U0010ffff", "noncharacter", "Type System"},
		"UTF-8":             {"x", "\xff", "UTF-8", "Type System"},
		"surrogate":         {"x", "\xed\xa0\x80", "UTF-8", "Type System"},
		"relative URI":      {"x", leat.URI("/a"), "no scheme", "Type System"},
		"URI fragment":      {"x", leat.URI("a:b#c"), "fragment", "Type System"},
		"URI-reference":     {"x", leat.URIRef("a b"), "percent-encoded", "Type System"},
		"year":              {"x", time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC), "year", "Type System"},
		"long string":       {"x", strings.Repeat("a", 4097), "longer than 4096", "Size"},
		"long binary":       {"x", make([]byte, 3100), "longer than 4096", ""},
		"control at byte 9": {"x", "12345678\n", "control", "Type System"},
	} {
		t.Run(name, func(t *testing.T) {
			requireAttributeError(t, newEvent(t).WithExtension(c.name, c.value).Validate(), leat.CodeInvalid, c.name, c.rule, c.spec)
			_, err := leat.NewEvent("t", &leat.EventOptions{Extensions: map[string]any{c.name: c.value}})
			requireAttributeError(t, err, leat.CodeInvalid, c.name, c.rule, c.spec)
		})
	}
}

func TestAttributeErrors(t *testing.T) {
	long := strings.Repeat("a", 4097)
	for name, c := range map[string]struct {
		typ        string
		o          leat.EventOptions
		attribute  string
		rule, spec string
	}{
		"type missing":       {"", leat.EventOptions{}, "type", "is empty", "Required Attributes: type"},
		"type control":       {"a\n", leat.EventOptions{}, "type", "control", "Type System: String"},
		"type long":          {long, leat.EventOptions{}, "type", "longer than 4096", "Size"},
		"id control":         {"t", leat.EventOptions{ID: "\x1f"}, "id", "control", "Type System: String"},
		"id UTF-8":           {"t", leat.EventOptions{ID: "a\xc0\xa0"}, "id", "UTF-8", "Type System: String"},
		"source space":       {"t", leat.EventOptions{Source: "a b"}, "source", "percent-encoded", "Required Attributes: source"},
		"source long":        {"t", leat.EventOptions{Source: long}, "source", "longer", "Size"},
		"subject":            {"t", leat.EventOptions{Subject: "\u009f"}, "subject", "control", "String"},
		"time":               {"t", leat.EventOptions{Time: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}, "time", "year", "time"},
		"content type":       {"t", leat.EventOptions{DataContentType: "garbage"}, "datacontenttype", "no media type", "datacontenttype"},
		"schema relative":    {"t", leat.EventOptions{DataSchema: "/a"}, "dataschema", "no scheme", "dataschema"},
		"schema fragment":    {"t", leat.EventOptions{DataSchema: "http://a/b#c"}, "dataschema", "fragment", "dataschema"},
		"schema syntax":      {"t", leat.EventOptions{DataSchema: "http://a/{b}"}, "dataschema", "percent-encoded", "dataschema"},
		"key control":        {"t", leat.EventOptions{Key: "\t"}, "partitionkey", "control", "Type System"},
		"content type ctrl":  {"t", leat.EventOptions{DataContentType: "a/b;c=\"\x01\""}, "datacontenttype", "control", "datacontenttype"},
		"content type value": {"t", leat.EventOptions{DataContentType: "a/b;c="}, "datacontenttype", "no value", "datacontenttype"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := leat.NewEvent(c.typ, &c.o)
			requireAttributeError(t, err, leat.CodeInvalid, c.attribute, c.rule, c.spec)
		})
	}
}

func TestTooManyAttributes(t *testing.T) {
	o := &leat.EventOptions{Extensions: map[string]any{}}
	for i := range 59 {
		o.Extensions["x"+strconv.Itoa(i)] = i
	}
	e, err := leat.NewEvent("t", o)
	require.NoError(t, err, "id, source, type, specversion, time and 59 make 64")
	requireAttributeError(t, e.WithSubject("s").Validate(), leat.CodeTooLarge, "event", "65 attributes", "Size")
	o.Extensions["y"] = 1
	_, err = leat.NewEvent("t", o)
	requireAttributeError(t, err, leat.CodeTooLarge, "event", "65 attributes", "Size")
}

func TestTimes(t *testing.T) {
	utc := func(sec, nsec int) time.Time { return time.Date(2026, 2, 28, 23, 59, sec, nsec, time.UTC) }
	for s, want := range map[string]time.Time{
		"2026-02-28T23:59:01Z":             utc(1, 0),
		"2026-02-28t23:59:01z":             utc(1, 0),
		"2026-02-28T23:59:01.5Z":           utc(1, 5e8),
		"2026-02-28T23:59:01.1234567899Z":  utc(1, 123456789),
		"2026-02-28T23:59:60Z":             utc(60, 0),
		"2026-03-01T01:59:01+02:00":        utc(1, 0),
		"2026-02-28T18:29:01-05:30":        utc(1, 0),
		"2024-02-29T00:00:00-00:00":        time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC),
		"2000-02-29T00:00:00Z":             time.Date(2000, 2, 29, 0, 0, 0, 0, time.UTC),
		"0000-01-01T00:00:00.000000000Z":   time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC),
		"9999-12-31T23:59:59.999999999Z":   time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC),
		"2026-04-30T00:00:00.00000000001Z": time.Date(2026, 4, 30, 0, 0, 0, 0, time.UTC),
	} {
		e, err := leat.ParseEvent([]byte(`{"specversion":"1.0","id":"1","source":"/","type":"t","time":"` + s + `"}`))
		require.NoError(t, err, s)
		assert.Equal(t, s, e.TimeString())
		assert.True(t, want.Equal(e.Time()), "%s is %s", s, e.Time())
	}
	invalid := []string{
		"", "2026-02-28", "2026-02-28 23:59:01Z", "2026-02-28T23:59:01", "2026-02-28T23:59Z", "2026-02-29T00:00:00Z", "1900-02-29T00:00:00Z",
		"2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-01-00T00:00:00Z", "2026-01-32T00:00:00Z", "2026-04-31T00:00:00Z",
		"2026-01-01T24:00:00Z",
		"2026-01-01T00:60:00Z", "2026-01-01T00:00:61Z", "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00,5Z", "2026-01-01T0:00:00Z0",
		"2026-01-01T00:00:00+0100",
		"2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00+00:60", "2026-01-01T00:00:00Zx", "+026-01-01T00:00:00Z", "2026-01-01T00:00:00 Z",
		"2026/01/01T00:00:00Z",
	}
	for _, s := range invalid {
		_, err := leat.ParseEvent([]byte(`{"specversion":"1.0","id":"1","source":"/","type":"t","time":"` + s + `"}`))
		assert.Error(t, err, s)
	}
}

func TestTimeInZoneWithSeconds(t *testing.T) {
	at := time.Date(1890, 1, 1, 0, 0, 0, 0, time.FixedZone("LMT", 53*60+28))
	e := newEvent(t).WithTime(at)
	require.NoError(t, e.Validate())
	assert.True(t, at.Equal(e.Time()))
	assert.Equal(t, "1889-12-31T23:06:32Z", e.TimeString())
}

func TestAttributeErrorTextHasNoValue(t *testing.T) {
	err := newEvent(t).WithSource("SECRET VALUE").WithSubject("x").Validate()
	assert.NotContains(t, err.Error(), "SECRET")
	assert.NotContains(t, err.Error(), "VALUE")
	assert.Equal(t, `leat: event`+` "1": invalid: attribute "source" has a character that a URI cannot have unless it is `+
		`percent-encoded (CloudEvents 1.0.2, Required Attributes: source)`, err.Error())
	assert.True(t, slices.Contains([]leat.Code{leat.CodeInvalid}, leat.CodeOf(err)))
}
