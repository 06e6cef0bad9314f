package interop_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/leatgo/leat/schema"
	"github.com/leatgo/leat/schema/avro"
	"github.com/leatgo/leat/schema/jsonschema"
	"github.com/leatgo/leat/schema/protobuf"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// verdicts are whether Leat, and whether Apicurio, accept a change.
type verdicts struct{ ours, theirs bool }

// judge returns the verdicts on a change from older to newer, backward: of a reader with newer.
// ok is false where Apicurio does not take one of the schemas.
func judge(t *testing.T, r registry, f schema.Format, older, newer string) (v verdicts, ok bool) {
	t.Helper()
	breaks, err := f.Compare(bundle(1, older), bundle(2, newer))
	if err != nil { // a word of another draft
		return v, false
	}
	v.ours = len(breaks) == 0
	subject := brokertest.Name(t)
	_, err = r.Register(t.Context(), subject, schema.Definition{Format: f.Name(), Text: older})
	if err == nil {
		r.setLevel(t, subject, schema.Backward)
		breaks, err = r.Check(t.Context(), subject, schema.Definition{Format: f.Name(), Text: newer})
	}
	if code := leat.CodeOf(err); code == leat.CodeInvalid || code == leat.CodeUnavailable { // 422 and 500
		return v, false
	}
	require.NoError(t, err)
	v.theirs = len(breaks) == 0
	return v, true
}

func bundle(version int, text string) schema.Bundle {
	return schema.Bundle{Ref: schema.Ref{Subject: "s", Version: version}, Text: text}
}

// change is a pair of schemas, of which each is tried as the newer one.
type change struct{ name, older, newer string }

func (c change) directions() map[string][2]string {
	return map[string][2]string{c.name: {c.older, c.newer}, c.name + ", back": {c.newer, c.older}}
}

// tally counts how verdicts agree, and keeps those that differ.
type tally struct {
	agree, refused  int
	stricter, laxer []string // what only Leat refuses, and what only Apicurio refuses
}

// counts returns how many agree, Leat alone refuses, Apicurio alone refuses, and are not compared.
func (n *tally) counts() []int { return []int{n.agree, len(n.stricter), len(n.laxer), n.refused} }

func compare(t *testing.T, f schema.Format, changes []change) (n tally) {
	t.Helper()
	r := shared(t)
	for _, c := range changes {
		for name, d := range c.directions() {
			v, ok := judge(t, r, f, d[0], d[1])
			switch {
			case !ok:
				n.refused++
			case v.ours == v.theirs:
				n.agree++
			case v.theirs:
				n.stricter = append(n.stricter, name)
			default:
				n.laxer = append(n.laxer, name)
			}
		}
	}
	slices.Sort(n.stricter)
	slices.Sort(n.laxer)
	return n
}

// avroChanges are of the common subset: all types, defaults, aliases, unions, enums, fixed, names.
func avroChanges() (all []change) {
	add := func(name, older, newer string) { all = append(all, change{name, older, newer}) }
	rec := func(fields ...string) string {
		return `{"type":"record","name":"R","namespace":"n","fields":[` + strings.Join(fields, ",") + `]}`
	}
	field := func(name, kind, more string) string { return `{"name":"` + name + `","type":` + kind + more + `}` }
	one := func(kind string) string { return rec(field("x", kind, "")) }
	primitives := []string{"boolean", "int", "long", "float", "double", "bytes", "string"}
	for i, a := range primitives {
		for _, b := range primitives[i+1:] {
			add(a+" and "+b, one(`"`+a+`"`), one(`"`+b+`"`))
		}
	}
	x, y := field("x", `"int"`, ""), field("y", `"int"`, "")
	enum := func(name, symbols, more string) string {
		return `{"type":"enum","name":"` + name + `","symbols":[` + symbols + `]` + more + `}`
	}
	add("the same", rec(x), rec(x))
	add("a doc", rec(x), rec(field("x", `"int"`, `,"doc":"d"`)))
	add("a field", rec(x), rec(x, y))
	add("a field with a default", rec(x), rec(x, field("y", `"int"`, `,"default":1`)))
	add("a field that may be null", rec(x), rec(x, field("y", `["null","int"]`, `,"default":null`)))
	add("a field that may be null, no default", rec(x), rec(x, field("y", `["null","int"]`, "")))
	add("another order of fields", rec(x, y), rec(y, x))
	add("a default", rec(x), rec(field("x", `"int"`, `,"default":1`)))
	add("an alias of a field", rec(x), rec(field("z", `"int"`, `,"aliases":["x"]`)))
	add("a field with another name", rec(x), rec(field("z", `"int"`, "")))
	add("null is allowed", one(`"int"`), one(`["null","int"]`))
	add("a union of one", one(`"int"`), one(`["int"]`))
	add("a branch more", one(`["null","int"]`), one(`["null","int","string"]`))
	add("branches in another order", one(`["null","int"]`), one(`["int","null"]`))
	add("a branch promoted", one(`["null","int"]`), one(`["null","long"]`))
	add("a branch of another type", one(`["null","int"]`), one(`["null","string"]`))
	add("items promoted", one(`{"type":"array","items":"int"}`), one(`{"type":"array","items":"long"}`))
	add("items of another type", one(`{"type":"array","items":"int"}`), one(`{"type":"array","items":"string"}`))
	add("values promoted", one(`{"type":"map","values":"float"}`), one(`{"type":"map","values":"double"}`))
	add("an array and a map", one(`{"type":"array","items":"int"}`), one(`{"type":"map","values":"int"}`))
	add("an array and its items", one(`{"type":"array","items":"int"}`), one(`"int"`))
	add("a symbol", one(enum("E", `"A"`, "")), one(enum("E", `"A","B"`, "")))
	add("a symbol with a default", one(enum("E", `"A"`, `,"default":"A"`)), one(enum("E", `"A","B"`, `,"default":"A"`)))
	add("symbols in another order", one(enum("E", `"A","B"`, "")), one(enum("E", `"B","A"`, "")))
	add("an enum with another name", one(enum("E", `"A"`, "")), one(enum("F", `"A"`, "")))
	add("an enum with an alias", one(enum("E", `"A"`, "")), one(enum("F", `"A"`, `,"aliases":["E"]`)))
	add("an enum and a string", one(enum("E", `"A"`, "")), one(`"string"`))
	add("a size", one(`{"type":"fixed","name":"F","size":4}`), one(`{"type":"fixed","name":"F","size":8}`))
	add("a fixed with another name", one(`{"type":"fixed","name":"F","size":4}`), one(`{"type":"fixed","name":"G","size":4}`))
	add("a fixed and bytes", one(`{"type":"fixed","name":"F","size":4}`), one(`"bytes"`))
	add("a record with another name", rec(x), strings.Replace(rec(x), `"R"`, `"S"`, 1))
	add("a record with another namespace", rec(x), strings.Replace(rec(x), `"n"`, `"m"`, 1))
	add("a record with an alias", rec(x), `{"type":"record","name":"S","namespace":"n","aliases":["R"],"fields":[`+x+`]}`)
	inner := func(fields string) string { return one(`{"type":"record","name":"I","fields":[` + fields + `]}`) }
	add("a field of an inner record", inner(x), inner(x+","+y))
	add("a field of an inner record with a default", inner(x), inner(x+","+field("y", `"int"`, `,"default":1`)))
	add("an inner record with another name", inner(x), strings.Replace(inner(x), `"I"`, `"J"`, 1))
	tree := func(more ...string) string {
		return rec(append(more, field("next", `["null","n.R"]`, `,"default":null`))...)
	}
	add("a tree", tree(x), tree(x, field("y", `"string"`, `,"default":""`)))
	add("a tree with a field", tree(x), tree(x, y))
	logical := func(kind, name string) string { return one(`{"type":"` + kind + `","logicalType":"` + name + `"}`) }
	add("a logical type", one(`"long"`), logical("long", "timestamp-millis"))
	add("millis and micros", logical("long", "timestamp-millis"), logical("long", "timestamp-micros"))
	add("a date and an int", logical("int", "date"), one(`"int"`))
	decimal := func(scale string) string {
		return one(`{"type":"bytes","logicalType":"decimal","precision":9,"scale":` + scale + `}`)
	}
	add("a scale", decimal("2"), decimal("3"))
	return append(all, avroNames()...)
}

// avroNames are changes of definitions, namespaces and aliases, with one unit and with another.
func avroNames() (all []change) {
	rec := func(head, fields string) string { return `{"type":"record",` + head + `,"fields":[` + fields + `]}` }
	field := func(name, kind string) string { return `{"name":"` + name + `","type":` + kind + `}` }
	null := func(name, kind string) string {
		return `{"name":"` + name + `","type":["null",` + kind + `],"default":null}`
	}
	in := func(fields string) string { return rec(`"name":"R","namespace":"n"`, fields) }
	for name, unit := range map[string]string{"": "millis", ", another unit": "micros"} {
		at := func(head, unit string) string {
			return rec(head, field("at", `{"type":"long","logicalType":"timestamp-`+unit+`"}`))
		}
		add := func(s, older, newer string) { all = append(all, change{s + name, older, newer}) }
		add("a definition in front", in(field("b", at(`"name":"A"`, "millis"))), in(null("a", at(`"name":"A"`, unit))+","+field("b", `"A"`)))
		add("a full name",
			in(field("a", at(`"name":"A"`, "millis"))+","+field("b", `"A"`)), in(field("b", at(`"name":"n.A"`, unit))+","+field("a", `"n.A"`)))
		add("a namespace within another",
			in(field("o", rec(`"name":"O","namespace":"m"`, field("a", at(`"name":"A"`, "millis"))+","+field("b", `"A"`)))),
			in(null("x", at(`"name":"m.A"`, unit))+","+field("o", rec(`"name":"m.O"`, field("a", `"A"`)+","+field("b", `"m.A"`)))))
		add("a branch with a dotted name", in(null("a", at(`"name":"m.A"`, "millis"))), in(null("a", at(`"name":"A","namespace":"m"`, unit))))
		add("a branch in another namespace", in(null("a", at(`"name":"m.A"`, "millis"))), in(null("a", at(`"name":"o.A"`, unit))))
		add("a branch with an alias", in(null("a", at(`"name":"A"`, "millis"))), in(null("a", at(`"name":"B","aliases":["A"]`, unit))))
		add("a branch with an alias in another namespace",
			in(null("a", at(`"name":"m.A"`, "millis"))), in(null("a", at(`"name":"B","aliases":["m.A"]`, unit))))
		tree := func(name, unit string) string {
			return rec(`"name":"`+name+`"`, null("next", `"`+name+`"`)+","+field("a", at(`"name":"A"`, unit)))
		}
		add("a tree by its full name", in(field("t", tree("T", "millis"))), in(field("t", tree("n.T", unit))))
	}
	return all
}

// Verdicts on Avro are those of Apicurio, in both directions.
func TestAvroPairs(t *testing.T) {
	t.Parallel()
	n := compare(t, avro.Format{}, avroChanges())
	// Apicurio does not look at the units of logical types.
	for _, name := range n.stricter {
		assert.Regexp(t, "^a scale|^millis and micros|, another unit", name)
	}
	assert.Equal(t, []int{140, 18, 0, 0}, n.counts(), "Apicurio alone refuses %q", n.laxer)
}

// The pairs of JSON Schema, whose verdicts are checked there by data that one version accepts and
// the other refuses. Apicurio knows the drafts up to 7, is nearer to Strict, and does not see that
// schemas in other words say the same. docs/schemas.md has the numbers.
func TestJSONPairs(t *testing.T) {
	t.Parallel()
	long(t)
	var pairs []struct {
		Name         string
		Older, Newer json.RawMessage
	}
	load(t, "../../../jsonschema/testdata/pairs.json", &pairs)
	var changes []change
	for _, p := range pairs {
		changes = append(changes, change{p.Name, dialect(p.Older), dialect(p.Newer)})
	}
	for _, strict := range []bool{false, true} {
		n := compare(t, jsonschema.Format{Strict: strict}, changes)
		n.tell(t, 0.75)
	}
}

// dialect gives a schema its $schema, without which Apicurio does not know it. It compares no later
// draft than this one.
func dialect(text []byte) string {
	var s map[string]json.RawMessage
	if json.Unmarshal(text, &s) != nil || s["$schema"] != nil {
		return string(text)
	}
	s["$schema"] = json.RawMessage(`"http://json-schema.org/draft-07/schema#"`)
	parts := []string{}
	for _, name := range slices.Sorted(maps.Keys(s)) {
		parts = append(parts, fmt.Sprintf("%q:%s", name, s[name]))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// The pairs of Protobuf, whose verdicts are buf's for the binary encoding and JSON. Apicurio allows
// what changes JSON, defaults, oneofs and the package, and refuses types with the same encoding.
func TestProtobufPairs(t *testing.T) {
	t.Parallel()
	long(t)
	var pairs []struct{ Name, Older, Newer string }
	load(t, "../../../protobuf/testdata/pairs.json", &pairs)
	var changes []change
	for _, p := range pairs {
		changes = append(changes, change{p.Name, p.Older, p.Newer})
	}
	n := compare(t, protobuf.Format{}, changes)
	n.tell(t, 0.85)
}

// tell shows what docs/schemas.md says of the verdicts, and fails where fewer agree than this part.
func (n *tally) tell(t *testing.T, part float64) {
	t.Helper()
	counts := n.counts()
	t.Logf("agree, Leat alone, Apicurio alone, not compared: %d; Leat alone refuses %q, Apicurio alone %q", counts, n.stricter, n.laxer)
	assert.Greater(t, float64(n.agree), part*float64(counts[0]+counts[1]+counts[2]))
}

// long skips a test that takes a minute, unless all are asked for.
func long(t *testing.T) {
	t.Helper()
	if !brokertest.Long() {
		t.Skip("LEAT_LONG is not set")
	}
}

func load(t *testing.T, path string, pairs any) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, pairs))
}
