package jsontext_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"

	"github.com/leatgo/leat/internal/jsontext"
)

func TestSkipValue(t *testing.T) {
	end, fault := jsontext.SkipValue([]byte(`{"a":1} rest`), 0)
	assert.Equal(t, 7, end)
	assert.Equal(t, jsontext.FaultNone, fault)
	for text, want := range map[string]jsontext.Fault{
		`{"a"`: jsontext.FaultEnd, `?`: jsontext.FaultValue, `{1:2}`: jsontext.FaultName, `{"a"1}`: jsontext.FaultColon,
		`[1 2]`: jsontext.FaultComma, "\"\x1f\"": jsontext.FaultControl, `"\x"`: jsontext.FaultEscape,
		`"\u12g4"`: jsontext.FaultEscape, `-x`: jsontext.FaultNumber, `1.x`: jsontext.FaultNumber,
		strings.Repeat("[", 65): jsontext.FaultDepth,
	} {
		_, fault := jsontext.SkipValue([]byte(text), 0)
		assert.Equal(t, want, fault, text)
		assert.Contains(t, (&jsontext.SyntaxError{Offset: 3, Fault: want}).Error(), "malformed JSON at byte 3: ", text)
	}
}

// FuzzCarries compares Carries with encoding/json.Valid, which differs in three known ways: it
// takes invalid UTF-8, white space around a value, and 10,000 levels.
func FuzzCarries(f *testing.F) {
	for _, s := range []string{
		"{}", "[]", "[[],{}]", `{"a":{"b":[1,-0,0.5e+7,1E-2,true,false,null,"\u12aF\"\\\/\b\f\n\r\t"]}}`, `"1234567\`,
		`"12345678\u`, "01", "-", "1.", "1e", "[1,]", "{,}", `{"a":1,}`, `{"a"}`, `{"a":}`, "tru", "nullx", "[}", "{]",
		" 1", "1 ", "\"\x1f\"", "\"1234567\x1f\"", "\"\x7f\"", "\"\xff\"", `"é"`,
		strings.Repeat("[", 64) + strings.Repeat("]", 64), strings.Repeat("[", 65) + strings.Repeat("]", 65),
		strings.Repeat(`{"":`, 65) + "1" + strings.Repeat("}", 65), "\"\uffff\"",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		want := json.Valid(data) && utf8.Valid(data) && len(bytes.TrimSpace(data)) == len(data) && depth(data) <= 64
		if got := jsontext.Carries(string(data)); want != got {
			t.Fatalf("%q: encoding/json says %t, Carries %t", data, want, got)
		}
		var compact bytes.Buffer
		if json.Compact(&compact, data) == nil && jsontext.MarshaledIsValid(compact.String()) && !jsontext.Carries(compact.String()) {
			t.Fatalf("%q is valid for MarshaledIsValid and not for Carries", compact.String())
		}
	})
}

// FuzzStrings checks that a string that is escaped comes back, and that encoding/json reads it
// likewise.
func FuzzStrings(f *testing.F) {
	for _, s := range []string{"", "plain", "\"\\\n\r\t\x00\x1f", "12345678\"", "é😀\u2028"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			return
		}
		text := append(jsontext.AppendEscaped([]byte{'"'}, s), '"')
		end, escaped, fault := jsontext.SkipString(text, 1)
		if end != len(text) || fault != jsontext.FaultNone || !escaped && string(text[1:end-1]) != s {
			t.Fatalf("%q: end %d of %d, fault %d", text, end, len(text), fault)
		}
		back, ok := jsontext.Unescape(nil, text[1:end-1])
		var std string
		if err := json.Unmarshal(text, &std); err != nil || !ok || string(back) != s || std != s {
			t.Fatalf("%q: %q, %q, %v", text, back, std, err)
		}
	})
}

// FuzzUnescape compares Unescape with encoding/json, which writes U+FFFD for half of a surrogate
// pair, where Unescape refuses.
func FuzzUnescape(f *testing.F) {
	for _, s := range []string{`\u00e9`, `\ud83d\ude00`, `\ud800`, `\ud800\u0041`, `\udc00`, `\/\b\f`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		text := append(append([]byte{'"'}, raw...), '"')
		end, _, fault := jsontext.SkipString(text, 1)
		if end != len(text) || fault != jsontext.FaultNone || !utf8.Valid(raw) {
			return
		}
		back, ok := jsontext.Unescape(nil, raw)
		var std string
		if err := json.Unmarshal(text, &std); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if ok && string(back) != std {
			t.Fatalf("%q: %q, encoding/json says %q", text, back, std)
		}
		if !ok && !strings.ContainsRune(std, utf8.RuneError) {
			t.Fatalf("%q is refused, and encoding/json says %q", text, std)
		}
	})
}

// depth returns how deep valid JSON is nested.
func depth(data []byte) int {
	d := json.NewDecoder(bytes.NewReader(data))
	level, deepest := 0, 0
	for {
		token, err := d.Token()
		if err != nil {
			return deepest
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			level++
			deepest = max(deepest, level)
		case json.Delim('}'), json.Delim(']'):
			level--
		}
	}
}
