package protobuf_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/leatgo/leat/schema"
	"github.com/leatgo/leat/schema/protobuf"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func bundleOf(version int, text string, imports ...string) schema.Bundle {
	b := schema.Bundle{Ref: schema.Ref{Subject: "s", Version: version}, Text: text, Imports: map[string]string{}}
	for i := 0; i < len(imports); i += 2 {
		b.Imports[imports[i]] = imports[i+1]
	}
	return b
}

// pair is a change of a schema.
type pair struct {
	Name  string `json:"name"`
	Older string `json:"older"`
	Newer string `json:"newer"`
	// Buf are the rules of buf's category WIRE_JSON that the change breaks, in order.
	Buf []string `json:"buf"`
}

var update = flag.Bool("update", false, "ask buf for its verdicts, and write testdata/pairs.json")

const pairsFile = "testdata/pairs.json"

// proto3 is a file whose first message has a body.
func proto3(body string) string {
	return "syntax = \"proto3\";\npackage p;\nmessage M {" + body + "}\n"
}

func proto2(body string) string {
	return "syntax = \"proto2\";\npackage p;\nmessage M {" + body + "}\n"
}

// changes are the pairs, without verdicts.
func changes() (all []pair) {
	add := func(name, older, newer string) { all = append(all, pair{Name: name, Older: older, Newer: newer}) }
	kinds := []string{
		"int32", "uint32", "sint32", "fixed32", "sfixed32", "int64", "uint64", "sint64", "fixed64", "sfixed64",
		"bool", "string", "bytes", "float", "double",
	}
	for i, a := range kinds {
		for _, b := range kinds[i+1:] {
			add(a+" to "+b, proto3(a+" a = 1;"), proto3(b+" a = 1;"))
		}
	}
	const enum = "\nenum E { Z = 0; A = 1; }\n"
	field := func(s string) string { return proto3("int32 a = 1; " + s) }
	add("the same", field(""), field(""))
	add("a field is added", field(""), field("string b = 2;"))
	add("a field is deleted", field("string b = 2;"), field(""))
	add("a field is deleted and its number reserved", field("string b = 2;"), field("reserved 2;"))
	add("a field is deleted and its name reserved", field("string b = 2;"), field(`reserved "b";`))
	add("a field is deleted and reserved", field("string b = 2;"), field(`reserved 2; reserved "b";`))
	add("a range is reserved", field("string b = 2;"), field(`reserved 2 to 9; reserved "b";`))
	add("a reserved number is taken back", field(`reserved 2; reserved "b";`), field(`reserved "b";`))
	add("a reserved name is taken back", field(`reserved 2; reserved "b";`), field(`reserved 2;`))
	add("a reserved range is made smaller", field("reserved 2 to 9;"), field("reserved 2 to 8;"))
	add("a reserved range is made larger", field("reserved 2 to 9;"), field("reserved 2 to 10;"))
	add("a reserved range is split", field("reserved 2 to 3;"), field("reserved 2, 3;"))
	add("a field is renamed", field("string b = 2;"), field("string c = 2;"))
	add("a field is renamed and keeps its json_name", field("string b = 2;"), field(`string c = 2 [json_name = "b"];`))
	add("json_name is changed", field("string b = 2;"), field(`string b = 2 [json_name = "c"];`))
	add("json_name is written out", field("string b_c = 2;"), field(`string b_c = 2 [json_name = "bC"];`))
	add("a field is renumbered", field("string b = 2;"), field("string b = 3;"))
	add("fields in another order", field("string b = 2;"), proto3("string b = 2; int32 a = 1;"))
	add("one to optional", field("string b = 2;"), field("optional string b = 2;"))
	add("one to a list", field("string b = 2;"), field("repeated string b = 2;"))
	add("a list to one", field("repeated int32 b = 2;"), field("int32 b = 2;"))
	add("a map to a list",
		field("map<string, string> b = 2;"),
		proto3("int32 a = 1; repeated BEntry b = 2; message BEntry { string key = 1; string value = 2; }"))
	add("the key of a map", field("map<int32, string> b = 2;"), field("map<int64, string> b = 2;"))
	add("the key of a map with the same encoding", field("map<int32, string> b = 2;"), field("map<uint32, string> b = 2;"))
	add("the value of a map", field("map<int32, string> b = 2;"), field("map<int32, int32> b = 2;"))
	add("a field of a message in a map",
		field("map<int32, N> b = 2; message N { string x = 1; }"),
		field("map<int32, N> b = 2; message N { int32 x = 1; }"))
	add("into a oneof", field("string b = 2;"), field("oneof o { string b = 2; }"))
	add("out of a oneof", field("oneof o { string b = 2; }"), field("string b = 2;"))
	add("a oneof gets a field", field("oneof o { string b = 2; }"), field("oneof o { string b = 2; string c = 3; }"))
	add("a oneof is renamed", field("oneof o { string b = 2; }"), field("oneof p { string b = 2; }"))
	add("a message is used", field("N b = 2; message N { string x = 1; }"), field("N b = 2; message N { string x = 1; string y = 2; }"))
	add("a field of a message", field("N b = 2; message N { string x = 1; }"), field("N b = 2; message N { bytes x = 1; }"))
	add("another message",
		field("N b = 2; message N { string x = 1; } message O { string x = 1; }"),
		field("O b = 2; message N { string x = 1; } message O { string x = 1; }"))
	add("a message to bytes", field("N b = 2; message N { string x = 1; }"), field("bytes b = 2; message N { string x = 1; }"))
	add("a recursive message", field("M b = 2; string c = 3;"), field("M b = 2; int32 c = 3;"))
	add("a message is deleted that nothing uses", proto3("int32 a = 1;")+"message N { string x = 1; }\n", proto3("int32 a = 1;"))
	add("an enum", field("E b = 2;")+enum, field("E b = 2;")+enum)
	add("an enum to int32", field("E b = 2;")+enum, field("int32 b = 2;")+enum)
	add("a value is added", field("E b = 2;")+enum, field("E b = 2;")+"enum E { Z = 0; A = 1; B = 2; }\n")
	add("a value is deleted", field("E b = 2;")+enum, field("E b = 2;")+"enum E { Z = 0; }\n")
	add("a value is deleted and reserved", field("E b = 2;")+enum, field("E b = 2;")+"enum E { Z = 0; reserved 1; reserved \"A\"; }\n")
	add("a value is deleted and its number reserved", field("E b = 2;")+enum, field("E b = 2;")+"enum E { Z = 0; reserved 1; }\n")
	add("a value is renamed", field("E b = 2;")+enum, field("E b = 2;")+"enum E { Z = 0; B = 1; }\n")
	add("a value gets an alias", field("E b = 2;")+enum, field("E b = 2;")+"enum E { option allow_alias = true; Z = 0; A = 1; B = 1; }\n")
	add("values are renumbered", field("E b = 2;")+enum, field("E b = 2;")+"enum E { Z = 0; A = 2; }\n")
	add("a reserved value is taken back",
		field("E b = 2;")+"enum E { Z = 0; reserved 5; }\n",
		field("E b = 2;")+"enum E { Z = 0; A = 1; }\n")
	add("another enum with the same values",
		field("E b = 2; enum F { Y = 0; }")+enum,
		field("G.E b = 2; enum F { Y = 0; } message G { enum E { Z = 0; A = 1; } }")+enum)
	add("another enum with more values",
		field("E b = 2;")+enum+"message G { enum E { Z = 0; A = 1; B = 2; } }\n",
		field("G.E b = 2;")+enum+"message G { enum E { Z = 0; A = 1; B = 2; } }\n")
	add("another enum with fewer values",
		field("G.E b = 2;")+enum+"message G { enum E { Z = 0; A = 1; B = 2; } }\n",
		field("E b = 2;")+enum+"message G { enum E { Z = 0; A = 1; B = 2; } }\n")
	add("another enum with another name",
		field("E b = 2; enum F { Z = 0; A = 1; }")+enum,
		field("F b = 2; enum F { Z = 0; A = 1; }")+enum)
	add("the package", proto3("int32 a = 1;"), strings.Replace(proto3("int32 a = 1;"), "package p", "package q", 1))
	add("a required field is added", proto2("optional int32 a = 1;"), proto2("optional int32 a = 1; required int32 b = 2;"))
	add("a required field is optional", proto2("required int32 a = 1;"), proto2("optional int32 a = 1;"))
	add("an optional field is required", proto2("optional int32 a = 1;"), proto2("required int32 a = 1;"))
	add("a default is added", proto2("optional int32 a = 1;"), proto2("optional int32 a = 1 [default = 5];"))
	add("a default is changed", proto2("optional int32 a = 1 [default = 4];"), proto2("optional int32 a = 1 [default = 5];"))
	add("a default of 0", proto2("optional int32 a = 1;"), proto2("optional int32 a = 1 [default = 0];"))
	add("the default of an enum",
		proto2("optional E a = 1; enum E { Z = 0; A = 1; }"),
		proto2("optional E a = 1 [default = A]; enum E { Z = 0; A = 1; }"))
	extended := func(more string) string {
		return proto2("extensions 100 to 200; optional N a = 1;") + "message N { optional int32 x = 1; extensions 5 to 9; }\n" + more
	}
	add("an extension is added", extended(""), extended("extend M { optional int32 x = 100; }\n"))
	add("an extension is deleted", extended("extend M { optional int32 x = 100; }\n"), extended(""))
	add("the type of an extension", extended("extend M { optional int32 x = 100; }\n"), extended("extend M { optional string x = 100; }\n"))
	add("an extension is renamed", extended("extend M { optional int32 x = 100; }\n"), extended("extend M { optional int32 y = 100; }\n"))
	add("an extension is renumbered", extended("extend M { optional int32 x = 100; }\n"), extended("extend M { optional int32 x = 101; }\n"))
	add("an extension becomes a list", extended("extend M { optional int32 x = 100; }\n"), extended("extend M { repeated int32 x = 100; }\n"))
	add("the default of an extension",
		extended("extend M { optional int32 x = 100; }\n"),
		extended("extend M { optional int32 x = 100 [default = 5]; }\n"))
	add("an extension moves into a message",
		extended("extend M { optional int32 x = 100; }\n"),
		extended("message S { extend M { optional int32 x = 100; } }\n"))
	add("the type of an extension of a message that is used",
		extended("extend N { optional int32 x = 5; }\n"),
		extended("extend N { optional bytes x = 5; }\n"))
	add("a field of a message that an extension uses",
		extended("extend M { optional O o = 100; }\nmessage O { optional int32 x = 1; }\n"),
		extended("extend M { optional O o = 100; }\nmessage O { optional bool x = 1; }\n"))
	add("the message of an extension",
		extended("extend M { optional N o = 100; }\nmessage O { optional int32 x = 1; }\n"),
		extended("extend M { optional O o = 100; }\nmessage O { optional int32 x = 1; }\n"))
	add("the range of extensions", extended(""), strings.Replace(extended(""), "100 to 200", "150 to 200", 1))
	add("proto2 to proto3", proto2("optional int32 a = 1;"), proto3("optional int32 a = 1;"))
	add("packed is turned off", proto3("repeated int32 a = 1;"), proto3("repeated int32 a = 1 [packed = false];"))
	add("deprecated", field("string b = 2;"), field("string b = 2 [deprecated = true];"))
	return all
}

func pairs(t *testing.T) (all []pair) {
	t.Helper()
	text, err := os.ReadFile(pairsFile)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &all))
	return all
}

// Every change is compared, and the verdict is buf's, which has one for both directions.
func TestPairs(t *testing.T) {
	all := pairs(t)
	require.GreaterOrEqual(t, len(all), 60)
	for _, p := range all {
		t.Run(p.Name, func(t *testing.T) {
			breaks, err := protobuf.Format{}.Compare(bundleOf(1, p.Older), bundleOf(2, p.Newer))
			require.NoError(t, err)
			assert.Equal(t, len(p.Buf) > 0, len(breaks) > 0, "buf says %v; we say %v", p.Buf, breaks)
			for _, b := range breaks {
				assert.NotEmpty(t, b.Text, b.Rule)
			}
			forward, err := protobuf.Format{}.Compare(bundleOf(2, p.Newer), bundleOf(1, p.Older))
			require.NoError(t, err)
			if len(forward) > 0 {
				assert.NotEmpty(t, breaks, "what breaks forward breaks backward")
			}
		})
	}
}

// The verdicts in the file are those of buf, where there is one: npm install @bufbuild/buf.
func TestBuf(t *testing.T) {
	buf, err := exec.LookPath("buf")
	if err != nil {
		t.Skip("SKIPPED: no buf in PATH; the verdicts of testdata/pairs.json count as they are")
	}
	all := changes()
	for i := range all {
		all[i].Buf = verdict(t, buf, &all[i])
	}
	if *update {
		var b strings.Builder
		encoder := json.NewEncoder(&b)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", " ")
		require.NoError(t, encoder.Encode(all))
		require.NoError(t, os.WriteFile(pairsFile, []byte(b.String()), 0o600))
	}
	assert.Equal(t, pairs(t), all, "run go test -run TestBuf -update")
}

// verdict returns the rules that a change breaks.
func verdict(t *testing.T, buf string, p *pair) []string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"old/m.proto": p.Older, "old/buf.yaml": "version: v2\n",
		"new/m.proto": p.Newer, "new/buf.yaml": "version: v2\nbreaking:\n  use: [WIRE_JSON]\n",
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	cmd := exec.CommandContext(context.Background(), buf, "breaking", "new", "--against", "old", "--error-format", "json")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "BUF_CACHE_DIR="+dir)
	out, err := cmd.Output()
	exit, isExit := errors.AsType[*exec.ExitError](err)
	require.True(t, err == nil || isExit && exit.ExitCode() == 100, "%s: %v: %s", p.Name, err, out)
	rules := []string{}
	for line := range strings.Lines(string(out)) {
		var found struct {
			Type string `json:"type"`
		}
		require.NoError(t, json.Unmarshal([]byte(line), &found))
		rules = append(rules, found.Type)
	}
	slices.Sort(rules)
	return slices.Compact(rules)
}
