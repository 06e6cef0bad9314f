package protobuf_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A required field is missed wherever the data may have its message.
func TestRequired(t *testing.T) {
	const inner = "message N { required int32 a = 1; }\n"
	const imported = "syntax = \"proto2\";\npackage p;\n" + inner
	using := func(body string) string {
		return "syntax = \"proto2\";\npackage p;\nimport \"n.proto\";\nmessage M { optional int32 z = 9; " + body + " }\n"
	}
	for name, c := range map[string]struct {
		text, data string
		imports    []string
	}{
		"in a field":                 {proto2("optional N n = 1;") + inner, "\x0a\x00", nil},
		"in a list":                  {proto2("repeated N n = 1;") + inner, "\x0a\x00", nil},
		"in a map":                   {proto2("map<string, N> n = 1;") + inner, "\x0a\x02\x12\x00", nil},
		"in a group":                 {proto2("optional group G = 1 { optional N n = 1; }") + inner, "\x0b\x0a\x00\x0c", nil},
		"in an import":               {using("optional N n = 1;"), "\x0a\x00", []string{"n.proto", imported}},
		"in an extension":            {proto2("extensions 1;") + inner + "extend M { optional N n = 1; }\n", "\x0a\x00", nil},
		"in one of an inner message": {proto2("extensions 1; message X { extend M { optional N n = 1; } }") + inner, "\x0a\x00", nil},
		"in one of an import": {"syntax = \"proto2\";\npackage p;\nimport \"n.proto\";\nmessage M { optional B b = 1; }\n", "\x0a\x02\x0a\x00",
			[]string{"n.proto", imported + "message B { extensions 1; }\nextend B { optional N n = 1; }\n"}},
	} {
		v := compile(t, c.text, c.imports...)
		require.NoError(t, v.Validate("", ""), name)
		assert.ErrorContains(t, v.Validate("", c.data), "a required field is missing", name)
	}
	require.NoError(t, compile(t, using(""), "n.proto", imported).Validate("", ""), "nobody uses it")
}
