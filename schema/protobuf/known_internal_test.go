package protobuf

import (
	"strings"
	"testing"

	"github.com/leatgo/leat/schema"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"
)

const everything = "optional string a = 1; repeated M b = 2; map<int32, M> c = 3; repeated int32 d = 4; " +
	"repeated double e = 5 [packed = true]; optional E f = 6; enum E { X = 0; } oneof o { M n = 7; bytes h = 8; } " +
	"optional fixed32 i = 9; optional group G = 10 { optional bool x = 1; } repeated group L = 11 { optional bool x = 1; } " +
	"extensions 100 to 200;"

func wrap(body string) schema.Bundle {
	return schema.Bundle{Text: "syntax = \"proto2\";\nmessage M {" + body + "}\nextend M { optional M more = 100; }\n"}
}

func TestKnown(t *testing.T) {
	compiled, err := Format{}.Compile(wrap(everything))
	require.NoError(t, err)
	v := compiled.(*validator)
	for data, want := range map[string]bool{
		"":                                  true,
		"\x0a\x01x\x12\x03\x0a\x01y":        true,
		"\x1a\x07\x08\x01\x12\x03\x0a\x01z": true,
		"\x20\x01\x22\x02\x01\x02":          true, // packed, and not packed
		"\x2a\x08\x00\x00\x00\x00\x00\x00\x00\x00\x29\x00\x00\x00\x00\x00\x00\x00\x00": true,
		"\x30\x05\x4d\x00\x00\x00\x00": true,
		"\x60\x01":                     false, // an unknown field
		"\x12\x02\x60\x01":             false,
		"\x08\x01":                     false, // a number for the string
		"\x5a\x00":                     false, // a message for the group
		"\x53\x54":                     true,  // a group
		"\x53\x08\x01\x54":             true,
		"\x53\x10\x01\x54":             false, // an unknown field in it
		"\x5b\x5c":                     true,  // a group of a list
		"\xa2\x06\x02\x30\x05":         true,  // an extension
		"\xa2\x06\x02\x60\x01":         false, // an unknown field in it
		"\xa8\x06\x01":                 false, // an extension that is not declared
		"\x1a\x02\x18\x01":             false, // an unknown field of an entry
		"\x1a\x02\x0a\x00":             false, // a text for the number that is the key
	} {
		assert.Equal(t, want, known(v.message, v.types, []byte(data)), "%x", data)
	}
}

// The look at the bytes finds what the message has, and more only in maps.
func FuzzKnown(f *testing.F) {
	f.Add(everything, []byte("\x12\x02\x60\x01"))
	f.Add(everything, []byte("\x3a\x02\x60\x01\x42\x01x"))
	f.Add(everything, []byte("\x5a\x02\x60\x01"))
	f.Add(everything, []byte("\x5b\x08\x01\x5c\x53\x54\xa2\x06\x00"))
	f.Add(strings.Replace(everything, "map<int32, M>", "optional M", 1), []byte("\x1a\x02\x53\x54"))
	f.Fuzz(func(t *testing.T, body string, data []byte) {
		compiled, err := Format{}.Compile(wrap(body))
		if err != nil {
			return
		}
		v := compiled.(*validator)
		m := dynamicpb.NewMessage(v.message)
		if (proto.UnmarshalOptions{Resolver: v.types, AllowPartial: true}).Unmarshal(data, m) != nil {
			return
		}
		switch found := unknown(nil, "", m); {
		case known(v.message, v.types, data):
			require.Empty(t, found)
		case !strings.Contains(body, "map"):
			require.NotEmpty(t, found)
		}
	})
}
