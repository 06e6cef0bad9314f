package leat_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
)

const minimal = `"specversion":"1.0","id":"1","source":"/s","type":"t"`

func parse(tb testing.TB, members string) leat.Event {
	tb.Helper()
	e, err := leat.ParseEvent([]byte("{" + minimal + members + "}"))
	require.NoError(tb, err, members)
	return e
}

func appendJSON(tb testing.TB, e leat.Event) string {
	tb.Helper()
	b, err := e.AppendJSON([]byte("x"))
	require.NoError(tb, err)
	require.Equal(tb, byte('x'), b[0], "dst is kept")
	require.True(tb, json.Valid(b[1:]), "%s", b)
	return string(b[1:])
}

func TestAppendJSONGolden(t *testing.T) {
	e, err := leat.NewEvent("t", &leat.EventOptions{
		ID: "1", Source: "/s", Subject: `a"b\c`, Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), DataContentType: "application/json",
		DataSchema: "urn:x", Key: "k", Extensions: map[string]any{
			"b": true, "i": -5, "s": "€<>&\u2028", "y": []byte("hi"), "u": leat.URI("a:b"), "r": leat.URIRef("c"), "z": time.Unix(0, 0).UTC(),
		}, Data: []byte(`{"a": [1, null]}`),
	})
	require.NoError(t, err)
	want := `{"specversion":"1.0","id":"1","source":"/s","type":"t","time":"2026-01-02T03:04:05Z","datacontenttype":"application/json",` +
		`"dataschema":"urn:x","subject":"a\"b\\c","partitionkey":"k","b":true,"i":-5,"r":"c","s":"€<>&` + "\u2028" + `","u":"a:b","y":"aGk=",` +
		`"z":"1970-01-01T00:00:00Z","data":{"a": [1, null]}}`
	assert.Equal(t, want, appendJSON(t, e))
}

// TestDataInJSON has how data of each kind is written, and that it comes back byte for byte.
func TestDataInJSON(t *testing.T) {
	deep := strings.Repeat("[", 65) + strings.Repeat("]", 65)
	for name, c := range map[string]struct{ contentType, data, member string }{
		"JSON":              {"application/json", `{"a":1}`, `"data":{"a":1}`},
		"JSON null":         {"application/json", `null`, `"data":null`},
		"JSON string":       {"application/json", `"x"`, `"data":"x"`},
		"JSON inner space":  {"application/json", `[1 , 2]`, `"data":[1 , 2]`},
		"JSON outer space":  {"application/json", "{}\n", `"data_base64":"e30K"`},
		"JSON space before": {"application/json", " 1", `"data_base64":"IDE="`},
		"JSON empty":        {"application/json", ``, `"data_base64":""`},
		"JSON malformed":    {"application/json", `{`, `"data_base64":"ew=="`},
		"JSON not UTF-8":    {"application/json", "\"\xff\"", `"data_base64":"Iv8i"`},
		"JSON too deep": {
			"application/json", deep,
			`"data_base64":"` + strings.Repeat("W1tb", 21) + "W1tdXV1d" + strings.Repeat("XV1d", 20) + `XQ=="`,
		},
		"JSON suffix":           {"application/vnd.x+JSON; a=b", `1`, `"data":1`},
		"JSON other type":       {"x/Json", `1`, `"data":1`},
		"no content type":       {"", `[]`, `"data":[]`},
		"no content type, text": {"", `hello`, `"data_base64":"aGVsbG8="`},
		"text":                  {"text/plain", "a\"b\\c\t\r\n€", `"data":"a\"b\\c\t\r\n€"`},
		"text empty":            {"text/plain", "", `"data":""`},
		"text null":             {"text/plain", "null", `"data":"null"`},
		"text of JSON":          {"text/plain", `{"a":1}`, `"data":"{\"a\":1}"`},
		"text not UTF-8":        {"text/plain", "a\xff", `"data_base64":"Yf8="`},
		"text control":          {"text/plain", "12345678\x00", `"data_base64":"MTIzNDU2NzgA"`},
		"text C1":               {"text/plain", "\u0085", `"data_base64":"woU="`},
		"XML":                   {"application/xml", "<a/>", `"data":"<a/>"`},
		"XML suffix":            {"image/svg+xml", "<a/>", `"data":"<a/>"`},
		"charset":               {"application/x; charset=UTF-8", "a", `"data":"a"`},
		"binary":                {"application/octet-stream", "text", `"data_base64":"dGV4dA=="`},
		"protobuf":              {"application/protobuf", "", `"data_base64":""`},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEvent(t).WithData(c.contentType, []byte(c.data))
			text := appendJSON(t, e)
			assert.True(t, strings.HasSuffix(text, ","+c.member+"}"), text)
			back, err := leat.ParseEvent([]byte(text))
			require.NoError(t, err)
			assert.True(t, back.Equal(e))
			assert.Equal(t, c.data, back.DataString())
			assert.True(t, back.HasData())
			assert.Equal(t, text, appendJSON(t, back))
		})
	}
	assert.NotContains(t, appendJSON(t, newEvent(t)), "data")
}

// TestWithJSONInJSON has what json.Marshal lets pass although the JSON format cannot carry it as it
// is.
func TestWithJSONInJSON(t *testing.T) {
	deep := strings.Repeat("[", 65) + strings.Repeat("]", 65)
	wide := "[" + strings.Repeat("[],", 99) + "[]]"
	for name, c := range map[string]struct{ raw, member string }{
		"plain":     {" {\n} ", `"data":{}`},
		"not UTF-8": {"\"\xff\"", `"data_base64":"Iv8i"`},
		"deep":      {deep, `"data_base64":"W1tb`},
		"wide":      {wide, `"data":` + wide},
		"U+FFFE":    {"\"\ufffe\"", `"data_base64":"Iu+/viI="`},
		"U+FFFD":    {"\"\ufffd\"", `"data":"` + "\ufffd" + `"`},
	} {
		t.Run(name, func(t *testing.T) {
			raw := leat.EventType[json.RawMessage]{Name: "t", Source: "/s"}
			typed, err := raw.New(json.RawMessage(c.raw))
			require.NoError(t, err)
			for _, e := range []leat.Event{newEvent(t).WithJSON(json.RawMessage(c.raw)), typed} {
				text := appendJSON(t, e)
				assert.Contains(t, text, c.member)
				back, err := leat.ParseEvent([]byte(text))
				require.NoError(t, err)
				assert.True(t, back.Equal(e))
			}
		})
	}
}

// TestJSONHasOnlyCharactersOfXML: SQS takes no others, and there is no way to escape the two that
// JSON data can have as they are.
func TestJSONHasOnlyCharactersOfXML(t *testing.T) {
	for _, contentType := range []string{"", "application/json", "application/x+json"} {
		for data, asItIs := range map[string]bool{
			`"` + "\ufffe" + `"`:                                  false,
			`"` + "\uffff" + `"`:                                  false,
			`{"` + "\uffff" + `":1}`:                              false,
			`["` + "\uffc0\ufffd" + `",{"a":"` + "\uffff" + `"}]`: false,
			`"` + strings.Repeat("\uffef", 99) + "\ufffe" + `"`:   false,
			`"\ufffe\uffff\u0000"`:                                true,
			`"` + "\uffc0\uffdc\uffee\ufffc\ufffd" + `"`:          true,
			`"` + "\U0001fffe\U0010ffff\ufdd0" + `"`:              true, // XML allows these noncharacters
			`"` + "\u007f\u0080\u009f" + `"`:                      true, // and DEL and C1
		} {
			e := newEvent(t).WithData(contentType, []byte(data))
			for range 2 { // made here, and read
				text := appendJSON(t, e)
				assert.Equal(t, asItIs, strings.HasSuffix(text, `,"data":`+data+"}"), text)
				assert.NotContains(t, text, "\ufffe")
				assert.NotContains(t, text, "\uffff")
				back, err := leat.ParseEvent([]byte(text))
				require.NoError(t, err)
				assert.True(t, back.Equal(e), text)
				assert.Equal(t, data, back.DataString())
				e = back
			}
			read, err := leat.ParseEvent([]byte("{" + minimal + `,"data":` + data + "}")) // somebody else wrote it
			require.NoError(t, err)
			assert.Equal(t, data, read.DataString())
			assert.Equal(t, asItIs, !strings.Contains(appendJSON(t, read), "base64"))
		}
	}
}

func TestParseData(t *testing.T) {
	for members, want := range map[string]string{
		`,"data":{"a" : "\u0041"}`: `{"a" : "\u0041"}`,
		` , "data" : 1.50 `:        `1.50`,
		`,"data":null`:             `null`,
		`,"data":"\ud800"`:         `"\ud800"`,
		`,"data":"x"`:              `"x"`,
		`,"datacontenttype":"text/plain","data":"a\u0041\ud83d\ude00\/\b"`: "aA😀/\b",
		`,"data":{"a": 1},"datacontenttype":"text/plain"`:                  `{"a": 1}`,
		`,"data_base64":"AP8=","datacontenttype":"application/json"`:       "\x00\xff",
		`,"data_base64":"\/\/8="`:                                          "\xff\xff",
		`,"data_base64":null,"data":1`:                                     `1`,
		`,"data":["\uABCD",-0.5E+1,false,true,"\f\n\r\t\\",{"é":{}}]`:      `["\uABCD",-0.5E+1,false,true,"\f\n\r\t\\",{"é":{}}]`,
		`,"datacontenttype":"text/plain","data":"\uABcd\f\n\r\t\\\""`:      "\uabcd\f\n\r\t\\\"",
		`,"d\u0061ta":[]`: `[]`,
		`,"data":` + strings.Repeat("[", 64) + strings.Repeat("]", 64): strings.Repeat("[", 64) + strings.Repeat("]", 64),
	} {
		e := parse(t, members)
		assert.True(t, e.HasData(), members)
		assert.Equal(t, want, e.DataString(), members)
	}
	for _, members := range []string{``, `,"data_base64":null`, `,"datacontenttype":"text/plain","data":null`} {
		e := parse(t, members)
		assert.False(t, e.HasData(), members)
		assert.Nil(t, e.Data(), members)
	}
}

func TestParseAttributes(t *testing.T) {
	e := parse(t, `,"subject":null,"time":null,"unset":null,"flag":true,"off":false,"n":-5,"zero":-0,"s":"5","partitionkey":"k","leatx":"y",`+
		`"averylongextensionname12345":"x","0":"","\u0061bc":"\u00e9"`)
	require.NoError(t, e.Validate())
	assert.Empty(t, e.Subject())
	assert.Empty(t, e.TimeString())
	assert.True(t, e.Time().IsZero())
	assert.Equal(t, "k", e.Key())
	for name, want := range map[string]any{
		"flag": true, "off": false, "n": int32(-5), "zero": int32(0), "s": "5", "leatx": "y", "averylongextensionname12345": "x",
		"0": "", "abc": "é", "partitionkey": "k",
	} {
		got, ok := e.Extension(name)
		assert.True(t, ok, name)
		assert.Equal(t, want, got, name)
	}
	_, ok := e.Extension("unset")
	assert.False(t, ok)

	e = parse(t, `,"partitionkey":""`)
	_, ok = e.Extension("partitionkey")
	assert.True(t, ok, "what another producer wrote is kept")
	assert.Contains(t, appendJSON(t, e), `"partitionkey":""`)

	e, err := leat.ParseEvent([]byte("\ufeff"[:0] + " \r\n\t{ \"specversion\" : \"1.0\" , \"id\":\"1\"," +
		"\"source\":\"HTTP://EX/#\",\"type\":\" \",\"time\":\"2026-01-02t03:04:60.1z\"} \n"))
	require.NoError(t, err)
	assert.Equal(t, "HTTP://EX/#", e.Source())
	assert.Equal(t, "2026-01-02t03:04:60.1z", e.TimeString())
	assert.Equal(t, " ", e.Type())
}

func TestParseErrors(t *testing.T) {
	var many strings.Builder
	for i := range 80 {
		many.WriteString(`,"x` + strconv.Itoa(i) + `":null`)
	}
	for members, want := range map[string][3]string{
		`,"id":"2"`:                                {"id", "twice", "Naming"},
		`,"\u0069d":"2"`:                           {"id", "twice", "Naming"},
		`,"subject":null,"subject":"a"`:            {"subject", "twice", "Naming"},
		`,"specversion":"1.0"`:                     {"specversion", "twice", "Naming"},
		`,"a":1,"b":2,"a":1`:                       {"a", "twice", "Naming"},
		`,"a":null,"a":null`:                       {"a", "twice", "Naming"},
		`,"data":1,"data":1`:                       {"data", "twice", "§3"},
		`,"data_base64":null,"data_base64":""`:     {"data_base64", "twice", "§3"},
		`,"data":1,"data_base64":""`:               {"data_base64", "beside data", "§3.1"},
		`,"data_base64":"","data":null`:            {"data_base64", "beside data", "§3.1"},
		`,"data_base64":"A"`:                       {"data_base64", "not base64", "§3.1.2"},
		`,"data_base64":"AA"`:                      {"data_base64", "not base64", "§3.1.2"},
		`,"data_base64":"AB=="`:                    {"data_base64", "not base64", "§3.1.2"},
		`,"data_base64":"AA==\n"`:                  {"data_base64", "not base64", "§3.1.2"},
		`,"data_base64":"-_=="`:                    {"data_base64", "not base64", "§3.1.2"},
		`,"data_base64":1`:                         {"data_base64", "no string", "§3.1.2"},
		`,"data_base64":"\ud800"`:                  {"data_base64", "surrogate", "8259"},
		`,"datacontenttype":"a/b","data":"\udc00"`: {"data", "surrogate", "8259"},
		`,"subject":""`:                            {"subject", "is empty", "Optional Attributes: subject"},
		`,"subject":5`:                             {"subject", "no JSON string", "§2.2"},
		`,"subject":true`:                          {"subject", "no JSON string", "§2.2"},
		`,"subject":{}`:                            {"subject", "object or array", "§2.2"},
		`,"subject":"\u0000"`:                      {"subject", "control", "String"},
		`,"subject":"\uffff"`:                      {"subject", "noncharacter", "String"},
		`,"a":[]`:                                  {"a", "object or array", "§2.2"},
		`,"a":1.0`:                                 {"a", "fraction", "§2.2"},
		`,"a":1e2`:                                 {"a", "fraction", "§2.2"},
		`,"a":2147483648`:                          {"a", "32 bits", "§2.2"},
		`,"a":-2147483649`:                         {"a", "32 bits", "§2.2"},
		`,"a":99999999999999999999999999999`:       {"a", "32 bits", "§2.2"},
		`,"a":"\u0007"`:                            {"a", "control", "String"},
		`,"A":1`:                                   {"A", "a-z", "Naming"},
		`,"data_base65":""`:                        {"data_base65", "a-z", "Naming"},
		`,"":1`:                                    {"", "no name", "Naming"},
		`,"` + strings.Repeat("a", 129) + `":1`:    {strings.Repeat("a", 128) + "...", "longer than 128", "Naming"},
		`,"dataschema":"/a"`:                       {"dataschema", "no scheme", "dataschema"},
		`,"datacontenttype":"x"`:                   {"datacontenttype", "media type", "datacontenttype"},
		`,"time":"yesterday"`:                      {"time", "RFC 3339", "time"},
	} {
		_, err := leat.ParseEvent([]byte("{" + minimal + members + "}"))
		requireAttributeError(t, err, leat.CodeInvalid, want[0], want[1], want[2])
		_, err = leat.ParseEventBatch([]byte("[{" + minimal + "},{" + minimal + members + "}]"))
		requireAttributeError(t, err, leat.CodeInvalid, want[0], want[1], want[2])
		assert.Contains(t, err.Error(), "event 1 of the batch")
		assert.IsType(t, &leat.Error{}, err) //nolint:testifylint // the error itself, not one that it wraps
	}
	for members, want := range map[string][3]string{
		many.String() + `,"y":1`:                                        {"event", "more than 80", "Size"},
		strings.ReplaceAll(many.String(), "null", "1"):                  {"event", "84 attributes", "Size"},
		`,"data":"` + strings.Repeat("x", 1<<20) + `"`:                  {"event", "bytes", "Size"},
		`,"a":"` + strings.Repeat("x", 64<<10+1) + `"`:                  {"a", "longer than 65536", "Size"},
		`,"subject":"` + strings.Repeat("x", 64<<10+1) + `"`:            {"subject", "longer than 65536", "Size"},
		`,"data":1` + strings.Repeat(" ", 8<<20):                        {"event", "JSON of more", "Size"},
		`,"a":"` + strings.Repeat("\\u0041", 1<<20) + `","b":1,"c":"c"`: {"event", "1 MiB", "Size"},
	} {
		_, err := leat.ParseEvent([]byte("{" + minimal + members + "}"))
		requireAttributeError(t, err, leat.CodeTooLarge, want[0], want[1], want[2])
	}
	for text, want := range map[string][2]string{
		`{}`: {"specversion", "missing"},
		`{"specversion":"1.0","source":"/s","type":"t"}`:              {"id", "missing"},
		`{"specversion":"1.0","id":"1","type":"t"}`:                   {"source", "missing"},
		`{"specversion":"1.0","id":"1","source":"/s"}`:                {"type", "missing"},
		`{"specversion":"1.0","id":null,"source":"/s","type":"t"}`:    {"id", "missing"},
		`{"specversion":"0.3","id":"1","source":"/s","type":"t"}`:     {"specversion", `not "1.0"`},
		`{"specversion":"","id":"1","source":"/s","type":"t"}`:        {"specversion", `not "1.0"`},
		`{"specversion":null,"id":"1","source":"/s","type":"t"}`:      {"specversion", `missing`},
		`{"specversion":1.0,"id":"1","source":"/s","type":"t"}`:       {"specversion", "fraction"},
		`{"specversion":1,"id":"1","source":"/s","type":"t"}`:         {"specversion", "no JSON string"},
		`{"specversion":"1.0","id":"","source":"/s","type":"t"}`:      {"id", "empty"},
		`{"specversion":"1.0","id":"1","source":"","type":"t"}`:       {"source", "empty"},
		`{"specversion":"1.0","id":"1","source":"a b","type":"t"}`:    {"source", "percent-encoded"},
		`{"specversion":"1.0","id":"1","source":"/s","type":""}`:      {"type", "empty"},
		`{"specversion":"1.0","id":"a\u0080","source":"/","type":""}`: {"id", "control"},
	} {
		_, err := leat.ParseEvent([]byte(text))
		requireAttributeError(t, err, leat.CodeInvalid, want[0], want[1], "CloudEvents")
	}
}

func TestParseSyntaxErrors(t *testing.T) {
	for text, want := range map[string]string{
		``:                                   "byte 0: it ends too early",
		` `:                                  "byte 1: it ends too early",
		`null`:                               "byte 0: a value was expected",
		`[]`:                                 "byte 0: a value was expected",
		`{`:                                  "ends too early",
		`{"`:                                 "ends too early",
		`{"id`:                               "ends too early",
		`{"id"`:                              "ends too early",
		`{"id":`:                             "ends too early",
		`{"id":"1"`:                          "ends too early",
		`{"id":"1",`:                         "ends too early",
		`{"id":"1",}`:                        "byte 10: a member name was expected",
		`{id:1}`:                             "a member name was expected",
		`{"id" 1}`:                           "a ':' was expected",
		`{"id":"1" "a":1}`:                   "a ',' or the end",
		`{"id":tru}`:                         "a value was expected",
		`{"id":t`:                            "ends too early",
		`{"id":+1}`:                          "a value was expected",
		`{"a":01}`:                           "a ',' or the end",
		`{"a":-}`:                            "a number is malformed",
		`{"a":1.}`:                           "a number is malformed",
		`{"a":1e}`:                           "a number is malformed",
		`{"a":-`:                             "ends too early",
		"{\"a\":\"\n\"}":                     "a control character",
		"{\"a\n\":1}":                        "a control character",
		`{"a":"\x"}`:                         "an escape is none",
		`{"a":"\u12g4"}`:                     "an escape is none",
		`{"a":"\u12`:                         "ends too early",
		`{"a":"\`:                            "ends too early",
		`{"a":"\ud800"}`:                     "half of a surrogate",
		`{"a":"\udc00\ud800"}`:               "half of a surrogate",
		`{"a":"\ud800\ud800"}`:               "half of a surrogate",
		`{"a":"\ud800x"}`:                    "half of a surrogate",
		`{"\ud800":1}`:                       "half of a surrogate",
		"{\"a\":\"\xff\"}":                   "byte 6: it is not valid UTF-8",
		"{\"a\":\"\xed\xa0\x80\"}":           "not valid UTF-8",
		"\ufeff{}":                           "byte 0: a value was expected",
		`{"data":[}`:                         "a value was expected",
		`{"data":[1,]}`:                      "a value was expected",
		`{"data":[1 2]}`:                     "a ',' or the end",
		`{"data":[1}`:                        "a ',' or the end",
		`{"data":{"a":1]}`:                   "a ',' or the end",
		`{"data":{"a":1,}}`:                  "a member name was expected",
		`{"data":{"a"}}`:                     "a ':' was expected",
		`{"data":{1:1}}`:                     "a member name was expected",
		`{"data":{`:                          "ends too early",
		`{"data":[`:                          "ends too early",
		`{"data":`:                           "ends too early",
		`{"data":[1`:                         "ends too early",
		`{"data":{"a":1,`:                    "ends too early",
		`{"data":{"a`:                        "ends too early",
		`{"data":{"a":"` + "\x01" + `"}}`:    "a control character",
		`{"data":` + strings.Repeat("[", 65): "nested more than 64",
		`{` + minimal + `}x`:                 "something follows",
		`{` + minimal + `}{}`:                "something follows",
	} {
		_, err := leat.ParseEvent([]byte(text))
		require.Error(t, err, text)
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), text)
		assert.Contains(t, err.Error(), "leat: decode: invalid: malformed JSON at byte", text)
		assert.Contains(t, err.Error(), want, text)
	}
}

func TestParseErrorsQuoteNoData(t *testing.T) {
	for _, members := range []string{
		`,"data":{"SECRET":SECRET}`, `,"data_base64":"SECRET!"`, `,"subject":"SECRET\u0000"`, `,"a":"SECRET` + "\x01" + `"`,
	} {
		_, err := leat.ParseEvent([]byte("{" + minimal + members + "}"))
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "SECRET")
	}
}

func TestStandardLibraryJSON(t *testing.T) {
	type doc struct {
		One  leat.Event   `json:"One"`
		Many []leat.Event `json:"Many"`
	}
	e := newEvent(t).WithJSON(map[string]any{"a": "<b>"})
	in := doc{e, []leat.Event{e, e.WithID("2").WithText("<x>&")}}
	text, err := json.Marshal(in)
	require.NoError(t, err)
	var out doc
	require.NoError(t, json.Unmarshal(text, &out))
	assert.True(t, out.One.Equal(in.One))
	require.Len(t, out.Many, 2)
	assert.True(t, out.Many[1].Equal(in.Many[1]))

	_, err = json.Marshal(leat.Event{})
	assert.Error(t, err)
	was := out.One
	assert.Error(t, json.Unmarshal([]byte(`{"id":"1"}`), &out.One))
	assert.True(t, was.Equal(out.One), "a failure changes nothing")
	assert.NoError(t, json.Unmarshal([]byte(`null`), &out.One))
	assert.True(t, was.Equal(out.One))
}

func TestBatch(t *testing.T) {
	e := newEvent(t)
	for _, events := range [][]leat.Event{{}, {e}, {e, e.WithText("x"), e.WithID("3").WithData("a/b", []byte{0})}} {
		text, err := leat.AppendJSONBatch([]byte("x"), events)
		require.NoError(t, err)
		back, err := leat.ParseEventBatch(text[1:])
		require.NoError(t, err)
		require.Len(t, back, len(events))
		require.NotNil(t, back)
		for i := range back {
			assert.True(t, back[i].Equal(events[i]))
		}
	}
	dst, err := leat.AppendJSONBatch([]byte("x"), []leat.Event{e, e.WithID("")})
	requireAttributeError(t, err, leat.CodeInvalid, "id", "empty", "id")
	assert.Equal(t, "x", string(dst))
	text, err := leat.AppendJSONBatch(nil, nil)
	require.NoError(t, err)
	assert.Equal(t, "[]", string(text))

	back, err := leat.ParseEventBatch([]byte(" [ {" + minimal + "} , {" + minimal + "} ] "))
	require.NoError(t, err)
	assert.Len(t, back, 2)
	for text, want := range map[string]string{
		``: "ends", `{}`: "value was expected", `[`: "ends", `[null]`: "value was expected",
		`[{` + minimal + `}`: "ends", `[{` + minimal + `},`: "ends",
		`[{` + minimal + `},]`: "value was expected", `[{` + minimal + `}{`: "',' or the end", `[]x`: "follows",
		`[{` + minimal + `}]x`: "follows", "[\"\xff\"]": "UTF-8",
	} {
		events, err := leat.ParseEventBatch([]byte(text))
		require.Error(t, err, text)
		assert.Contains(t, err.Error(), want, text)
		assert.Nil(t, events)
	}
	_, err = leat.ParseEventBatch(make([]byte, 16<<20+1))
	requireAttributeError(t, err, leat.CodeTooLarge, "event", "JSON of more", "Size")
}

// TestSpecExamples has the examples of CloudEvents JSON format 1.0.2 §3.2.
func TestSpecExamples(t *testing.T) {
	const common = `"specversion":"1.0","type":"com.example.someevent","source":"/mycontext","time":"2018-04-05T17:31:00Z",` +
		`"comexampleextension1":"value","comexampleothervalue":5,`
	for rest, want := range map[string][2]string{
		`"id":"A234-1234-1234","datacontenttype":"application/vnd.apache.thrift.binary","data_base64":"AAEC"`: {
			"application/vnd.apache.thrift.binary", "\x00\x01\x02",
		},
		`"id":"B234-1234-1234","unsetextension":null,"datacontenttype":"application/xml","data":"<much wow=\"xml\"/>"`: {
			"application/xml", `<much wow="xml"/>`,
		},
		`"subject":null,"id":"C234-1234-1234","datacontenttype":"application/json",` +
			`"data":{"appinfoA" : "abc","appinfoB" : 123,"appinfoC" : true}`: {
			"application/json", `{"appinfoA" : "abc","appinfoB" : 123,"appinfoC" : true}`,
		},
		`"subject":null,"id":"D234-1234-1234","data":"I'm just a string"`: {
			"", `"I'm just a string"`,
		},
	} {
		e, err := leat.ParseEvent([]byte("{" + common + rest + "}"))
		require.NoError(t, err)
		assert.Equal(t, want[0], e.DataContentType())
		assert.Equal(t, want[1], e.DataString())
		n, _ := e.Extension("comexampleothervalue")
		assert.Equal(t, int32(5), n)
		assert.Equal(t, "2018-04-05T17:31:00Z", e.TimeString())
		back, err := leat.ParseEvent([]byte(appendJSON(t, e)))
		require.NoError(t, err)
		assert.True(t, back.Equal(e))
	}
}
