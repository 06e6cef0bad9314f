package avro_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/leatgo/leat/schema"
	"github.com/leatgo/leat/schema/avro"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	twmb "github.com/twmb/avro"
)

const millis, micros = `{"type":"long","logicalType":"timestamp-millis"}`, `{"type":"long","logicalType":"timestamp-micros"}`

// at is a record that has a time in a unit; head is its name, namespace and aliases.
func at(head, unit string) string {
	return `{"type":"record",` + head + `,"fields":[` + field("at", unit, "") + `]}`
}

// in is a record in the namespace com.acme.
func in(fields ...string) string {
	return strings.Replace(record(fields...), `"Order"`, `"Order","namespace":"com.acme"`, 1)
}

// A pair is compatible where only names are written in another way. With another unit in the
// reader, it is not.
func TestNames(t *testing.T) {
	u := func(branch string) string { return `["null",` + branch + `]` }
	for name, c := range map[string]struct{ older, newer func(unit string) string }{
		"a definition moves to the front": {
			func(unit string) string { return in(field("billing", at(`"name":"Address"`, unit), "")) },
			func(unit string) string {
				return in(field("shipping", u(at(`"name":"Address"`, unit)), `,"default":null`), field("billing", `"Address"`, ""))
			},
		},
		"a reference is written as a full name": {
			func(unit string) string { return in(field("a", at(`"name":"A"`, unit), ""), field("b", `"A"`, "")) },
			func(unit string) string {
				return in(field("b", at(`"name":"com.acme.A"`, unit), ""), field("a", `"com.acme.A"`, ""))
			},
		},
		"a namespace within another": {
			func(unit string) string {
				return in(field("o", `{"type":"record","name":"O","namespace":"com.other","fields":[`+
					field("a", at(`"name":"A"`, unit), "")+`,`+field("b", `"A"`, "")+`]}`, ""))
			},
			func(unit string) string {
				return in(field("x", `["null",`+at(`"name":"com.other.A"`, unit)+`]`, `,"default":null`),
					field("o", `{"type":"record","name":"com.other.O","fields":[`+field("a", `"A"`, "")+`,`+field("b", `"A"`, "")+`]}`, ""))
			},
		},
		"the namespace is left": {
			func(unit string) string { return in(field("a", at(`"name":"A","namespace":""`, unit), "")) },
			func(unit string) string {
				return in(field("n", `["null",`+at(`"name":"A","namespace":""`, unit)+`]`, `,"default":null`), field("a", `"A"`, ""))
			},
		},
		"a primitive has the name of a type": {
			func(unit string) string {
				return in(field("a", at(`"name":"long"`, unit), ""), field("n", `"long"`, ""))
			},
			func(unit string) string {
				return in(field("n", `"long"`, ""), field("a", at(`"name":"com.acme.long"`, unit), ""))
			},
		},
		"a dotted name in a union": {
			func(unit string) string { return record(field("u", u(at(`"name":"a.R"`, unit)), "")) },
			func(unit string) string { return record(field("u", u(at(`"name":"R","namespace":"a"`, unit)), "")) },
		},
		"another namespace in a union": {
			func(unit string) string { return record(field("u", u(at(`"name":"R","namespace":"a"`, unit)), "")) },
			func(unit string) string { return record(field("u", u(at(`"name":"R","namespace":"b"`, unit)), "")) },
		},
		"references in a union": {
			func(unit string) string { return in(field("a", at(`"name":"A"`, unit), ""), field("u", u(`"A"`), "")) },
			func(unit string) string {
				return in(field("u", u(at(`"name":"A"`, unit)), ""), field("a", `"com.acme.A"`, ""))
			},
		},
		"a record and a union": {
			func(unit string) string { return record(field("u", at(`"name":"a.R"`, unit), "")) },
			func(unit string) string {
				return record(field("u", `[`+at(`"name":"R","namespace":"a"`, unit)+`]`, ""))
			},
		},
		"an error in a union": {
			func(unit string) string { return in(field("u", u(at(`"name":"R"`, unit)), "")) },
			func(unit string) string {
				return in(field("u", u(strings.Replace(at(`"name":"R"`, unit), "record", "error", 1)), ""))
			},
		},
		"a record that has itself": {
			func(unit string) string {
				return in(field("t", `{"type":"record","name":"T","fields":[`+field("next", u(`"T"`), "")+`,`+field("at", unit, "")+`]}`, ""))
			},
			func(unit string) string {
				return in(field("t", `{"type":"record","name":"com.acme.T","fields":[`+
					field("at", unit, "")+`,`+field("next", u(`"com.acme.T"`), "")+`]}`, ""))
			},
		},
		"items of a long": { // mean nothing
			func(unit string) string { return in(field("at", unit, "")) },
			func(unit string) string {
				return in(field("at", strings.Replace(unit, "{", `{"items":`+at(`"name":"A"`, `"string"`)+`,`, 1), ""))
			},
		},
		"a logical type next to the type": {
			func(unit string) string { return in(field("at", unit, "")) },
			func(unit string) string { return in(strings.Replace(unit, "{", `{"name":"at",`, 1)) },
		},
		"a logical type next to a union": {
			func(unit string) string { return in(field("at", u(unit), "")) },
			func(unit string) string {
				return in(strings.NewReplacer("{", `{"name":"at",`, `"long"`, u(`"long"`)).Replace(unit))
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, d := range [][2]func(string) string{{c.older, c.newer}, {c.newer, c.older}} {
				assert.Empty(t, compare(t, d[0](millis), d[1](millis)))
				require.Equal(t, "logical-changed", compare(t, d[0](millis), d[1](micros)))
				_, err := avro.Format{}.Convert(bundleOf(1, d[0](millis)), bundleOf(2, d[1](micros)))
				require.ErrorContains(t, err, "timestamp-millis")
			}
		})
	}
}

// compare returns the rules of the breaks.
func compare(t *testing.T, writer, reader string) string {
	t.Helper()
	breaks, err := avro.Format{}.Compare(bundleOf(1, writer), bundleOf(2, reader))
	require.NoError(t, err)
	rules := make([]string, len(breaks))
	for i, b := range breaks {
		rules[i] = b.Rule
	}
	return strings.Join(rules, " ")
}

// A type of the writer is compared with the branch that the library reads it as.
func TestBranches(t *testing.T) {
	union := func(branches ...string) string { return record(field("u", "["+strings.Join(branches, ",")+"]", "")) }
	date, timeMillis := `{"type":"int","logicalType":"date"}`, `{"type":"int","logicalType":"time-millis"}`
	fixed := func(head, logical string) string {
		return `{"type":"fixed",` + head + `,"logicalType":"` + logical + `"}`
	}
	r, mr := at(`"name":"R"`, millis), at(`"name":"m.R"`, millis)
	more := func(head string) string {
		return `{"type":"record",` + head + `,"fields":[` + field("at", millis, "") + `,` + field("n", `["null","int"]`, "") + `]}`
	}
	for name, c := range map[string]struct{ writer, reader, rule string }{
		"an alias":                    {union(r), union(at(`"name":"S","aliases":["R"]`, micros)), "logical-changed"},
		"an alias next to null":       {union(`"null"`, r), union(`"null"`, at(`"name":"S","aliases":["R"]`, micros)), "logical-changed"},
		"an alias in the namespace":   {union(at(`"name":"n.R"`, millis)), union(at(`"name":"n.S","aliases":["R"]`, micros)), "logical-changed"},
		"an alias with a namespace":   {union(mr), union(at(`"name":"n.S","aliases":["m.R"]`, micros)), "logical-changed"},
		"an alias without namespace":  {union(mr), union(at(`"name":"n.S","aliases":["R"]`, micros)), "logical-changed"},
		"an alias outside of all":     {union(r), union(at(`"name":"n.S","aliases":[".R"]`, micros)), "logical-changed"},
		"the full name comes first":   {union(mr), union(at(`"name":"b.R"`, micros), mr), ""},
		"not the first name":          {union(mr), union(at(`"name":"b.R"`, millis), at(`"name":"m.R"`, micros)), "logical-changed"},
		"the first of a short name":   {union(mr), union(at(`"name":"b.R"`, millis), at(`"name":"c.R"`, micros)), ""},
		"a writer without a union":    {record(field("u", date, "")), union(`"null"`, date), ""},
		"a promotion":                 {union(`"null"`, timeMillis), union(`"null"`, micros), "logical-changed"},
		"no promotion":                {union(`"null"`, timeMillis), union(`"null"`, micros, timeMillis), ""},
		"a promotion without a union": {record(field("u", date, "")), record(field("u", millis, "")), "logical-changed"},
		"all branches of a writer":    {union(date, millis), record(field("u", millis, "")), "logical-changed"},
		"the size is of the name": {
			union(fixed(`"name":"F","size":16`, "uuid")),
			union(fixed(`"name":"F","size":12`, "duration"), fixed(`"name":"n.F","size":16`, "uuid")), "",
		},
		"a field without a default":              {union(`"null"`, mr), union(`"null"`, more(`"name":"R","namespace":"m"`)), "default-missing"},
		"a field without a default, by an alias": {union(`"null"`, r), union(`"null"`, more(`"name":"S","aliases":["R"]`)), "default-missing"},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.rule, compare(t, c.writer, c.reader)) })
	}
}

// The branch that is compared is the one that the library decodes into.
func TestBranchesAreThoseOfTheLibrary(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	one := func(of ...string) string { return of[random.IntN(len(of))] }
	names, units := []string{"R", "S", "a.R", "a.S", "b.R"}, map[string]string{}
	branch := func(name, aliases string) string { // the unit of each is in units
		unit := one(millis, micros)
		units[name] = unit
		if name == "int" || name == "long" {
			units["int"] = `{"type":"int","logicalType":"time-millis"}`
			return units[name]
		}
		return at(`"name":"`+name+`","aliases":[`+aliases+`]`, unit)
	}
	compared := 0
	for range 2000 {
		written := one(append(names, "int", "long")...)
		writer := branch(written, "")
		unit := units[written]
		var union []string
		for _, name := range append(names, "int", "long", "float") {
			switch {
			case random.IntN(3) > 0:
			case name == "float":
				union = append(union, `"float"`)
			default:
				union = append(union, branch(name, one("", "", `"R"`, `"S"`, `"a.R"`, `"b.S"`, `".R"`)))
			}
		}
		random.Shuffle(len(union), func(i, j int) { union[i], union[j] = union[j], union[i] })
		reader := "[" + strings.Join(union, ",") + "]"
		w, err := twmb.Parse(writer)
		require.NoError(t, err)
		r, err := twmb.Parse(reader)
		if err != nil { // two aliases are one name
			continue
		}
		resolved, err := twmb.Resolve(w, r)
		if err != nil {
			continue
		}
		var value any
		_, err = resolved.Decode([]byte{0}, &value, twmb.TaggedUnions())
		require.NoError(t, err)
		for tag := range value.(map[string]any) {
			want := ""
			if tag != "float" && units[tag] != unit {
				want = "logical-changed"
			}
			require.Equal(t, want, compare(t, writer, reader), "seed %d: %s and %s, read as %s", seed, writer, reader, tag)
		}
		compared++
	}
	assert.Greater(t, compared, 200)
}

// A definition may move to another field between two files.
func TestFilesWithNames(t *testing.T) {
	address := func(unit string) string {
		return `{"type":"record","name":"Address","fields":[` + field("city", `"string"`, "") + "," + field("at", unit, "") + `]}`
	}
	v1 := in(field("billing", address(millis), ""))
	v2 := func(unit string) string {
		return in(field("shipping", `["null",`+address(unit)+`]`, `,"default":null`), field("billing", `"Address"`, ""))
	}
	_, err := schema.FromFS(fstest.MapFS{"orders/1.avsc": {Data: []byte(v1)}, "orders/2.avsc": {Data: []byte(v2(millis))}}, avro.Format{})
	require.NoError(t, err)
	_, err = schema.FromFS(fstest.MapFS{"orders/1.avsc": {Data: []byte(v1)}, "orders/2.avsc": {Data: []byte(v2(micros))}}, avro.Format{})
	incompatible, ok := errors.AsType[*schema.IncompatibleError](err)
	require.True(t, ok)
	require.Len(t, incompatible.Breaks, 2, "in each direction")
	assert.Equal(t, "billing.at", incompatible.Breaks[0].Path)
}

// The definitions are in other schemas, which are in the same namespace.
func TestNamesOfReferences(t *testing.T) {
	text := in(field("a", `["null","Address"]`, ""), field("b", `"com.acme.Address"`, ""))
	older := bundleOf(1, text, "address", at(`"name":"Address","namespace":"com.acme"`, millis))
	newer := bundleOf(2, text, "address", at(`"name":"com.acme.Address"`, micros))
	breaks, err := avro.Format{}.Compare(older, older)
	require.NoError(t, err)
	assert.Empty(t, breaks)
	breaks, err = avro.Format{}.Compare(older, newer)
	require.NoError(t, err)
	require.Len(t, breaks, 1)
	assert.Equal(t, "logical-changed", breaks[0].Rule)
}

// Types that have one another are compared once for each pair.
func TestTypesThatHaveEachOther(t *testing.T) {
	began := time.Now()
	cycle := func(n int) string { // R0 has R1, which has R2, up to R0
		text := `["null","n.R"]`
		for i := range n {
			text = `["null",{"type":"record","name":"` + strings.Repeat("p.", n-i) + `R","fields":[` + field("next", text, "") + `]}]`
		}
		return `{"type":"record","name":"n.R","fields":[` + field("next", text, "") + `]}`
	}
	assert.Empty(t, compare(t, cycle(36), cycle(40)))
	assert.Less(t, time.Since(began), 10*time.Second)
}
