package protovalidate_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leatgo/leat/schema"
	"github.com/leatgo/leat/schema/protovalidate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protowire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// file returns a schema whose first message has the body.
func file(body string, more ...string) string {
	return "syntax = \"proto3\";\npackage p;\nimport \"buf/validate/validate.proto\";\n" +
		"message M {\n" + body + "\n}\n" + strings.Join(more, "\n")
}

func bundleOf(text string) schema.Bundle {
	return schema.Bundle{Ref: schema.Ref{Subject: "orders", Version: 1}, Text: text}
}

func compile(t testing.TB, text string) schema.Validator {
	t.Helper()
	v, err := protovalidate.Format{}.Compile(bundleOf(text))
	require.NoError(t, err)
	return v
}

// The encodings of fields.
func text(number protowire.Number, s string) string {
	return string(protowire.AppendString(protowire.AppendTag(nil, number, protowire.BytesType), s))
}

func number(n protowire.Number, v uint64) string {
	return string(protowire.AppendVarint(protowire.AppendTag(nil, n, protowire.VarintType), v))
}

const secret = "s3cr3t"

// Every kind of rule is enforced, and the error has the place and the id of the rule alone.
func TestRules(t *testing.T) {
	for _, c := range []struct{ name, schema, right, wrong, want string }{
		{"string", file(`string a = 1 [(buf.validate.field).string.max_len = 3];`), text(1, "abc"), text(1, secret), "at /a: string.max_len"},
		{"pattern", file(`string a = 1 [(buf.validate.field).string.pattern = "^[a-z]*$"];`),
			text(1, "abc"), text(1, secret), "at /a: string.pattern"},
		{"email", file(`string a = 1 [(buf.validate.field).string.email = true];`),
			text(1, "a@example.com"), text(1, secret), "at /a: string.email"},
		{"in", file(`string a = 1 [(buf.validate.field).string = {in: ["x", "y"]}];`), text(1, "x"), text(1, secret), "at /a: string.in"},
		{"const", file(`string a = 1 [(buf.validate.field).string.const = "x"];`), text(1, "x"), text(1, secret), "at /a: string.const"},
		{"number", file(`int32 a = 1 [(buf.validate.field).int32 = {gt: 0, lt: 10}];`), number(1, 9), number(1, 10), "at /a: int32.gt_lt"},
		{"bytes", file(`bytes a = 1 [(buf.validate.field).bytes.len = 3];`), text(1, "abc"), text(1, secret), "at /a: bytes.len"},
		{"enum", file(`E a = 1 [(buf.validate.field).enum.defined_only = true];`, `enum E { Z = 0; A = 1; }`), number(1, 1), number(1, 2),
			"at /a: enum.defined_only"},
		{"required", file(`string a = 1 [(buf.validate.field).required = true]; string b = 2;`),
			text(1, "x"), text(2, secret), "at /a: required"},
		{"oneof", file(`oneof o { option (buf.validate.oneof).required = true; string a = 1; } string b = 2;`), text(1, "x"), text(2, secret),
			"at /o: required"},
		{"items", file(`repeated string a = 1 [(buf.validate.field).repeated.items.string.max_len = 3];`), text(1, "abc"),
			text(1, "abc") + text(1, secret), "at /a/1: string.max_len"},
		{"unique", file(`repeated string a = 1 [(buf.validate.field).repeated.unique = true];`), text(1, "a") + text(1, "b"),
			text(1, secret) + text(1, secret), "at /a: repeated.unique"},
		{"keys", file(`map<string, string> a = 1 [(buf.validate.field).map.keys.string.max_len = 3];`),
			text(1, text(1, "abc")), text(1, text(1, secret)), "at /a/*: string.max_len"},
		{"values", file(`map<string, string> a = 1 [(buf.validate.field).map.values.string.max_len = 3];`),
			text(1, text(1, secret)), text(1, text(1, secret)+text(2, secret)), "at /a/*: string.max_len"},
		{"nested", file(`repeated N a = 1;`, `message N { string b = 1 [(buf.validate.field).string.max_len = 3]; }`),
			text(1, text(1, "abc")), text(1, "") + text(1, text(1, secret)), "at /a/1/b: string.max_len"},
		{"wrapper", file(`google.protobuf.StringValue a = 1 [(buf.validate.field).string.max_len = 3];`,
			`import "google/protobuf/wrappers.proto";`), text(1, text(1, "abc")), text(1, text(1, secret)), "at /a: string.max_len"},
		{"duration", file(`google.protobuf.Duration a = 1 [(buf.validate.field).duration.gt = {}];`,
			`import "google/protobuf/duration.proto";`), text(1, number(1, 1)), text(1, ""), "at /a: duration.gt"},
		{"CEL of a field", file(`string a = 1 [(buf.validate.field).cel = {id: "short", message: "too long", expression: "size(this) < 4"}];`),
			text(1, "abc"), text(1, secret), "at /a: short"},
		{"CEL that quotes", file(`string a = 1 [(buf.validate.field).cel =
			{id: "short", expression: "size(this) < 4 ? '' : this + ' is long'"}];`),
			text(1, "abc"), text(1, secret), "at /a: short"},
		{"CEL without an id", file(`string a = 1 [(buf.validate.field).cel_expression = "size(this) < 4"];`),
			text(1, "abc"), text(1, secret), "at /a: size(this) < 4"},
		{"CEL of a message", file(`option (buf.validate.message).cel = {id: "ordered", expression: "this.a <= this.b"};
			int32 a = 1; int32 b = 2;`),
			number(1, 1) + number(2, 2), number(1, 2), "ordered"},
		{"CEL of a message in a list", file(`repeated N n = 1;`,
			`message N { option (buf.validate.message).cel = {id: "ordered", expression: "this.a <= this.b"}; int32 a = 1; int32 b = 2; }`),
			text(1, number(2, 2)), text(1, "") + text(1, number(1, 2)), "at /n/1: ordered"},
		{"CEL of items", file(`repeated string a = 1 [(buf.validate.field).repeated.items.cel = {id: "short", expression: "size(this) < 4"}];`),
			text(1, "abc"), text(1, "abc") + text(1, secret), "at /a/1: short"},
		{"CEL with loops", file(`repeated string a = 1 [(buf.validate.field).cel =
			{id: "each", expression: "this.all(x, this.exists(y, y != x))"}];`),
			text(1, "a") + text(1, "b"), text(1, secret), "at /a: each"},
		{"CEL of a map", file(`map<string, int32> a = 1 [(buf.validate.field).cel = {id: "few", expression: "this.all(k, this[k] < 3)"}];`),
			text(1, text(1, secret)+number(2, 2)), text(1, text(1, secret)+number(2, 3)), "at /a: few"},
		{"CEL of keys", file(`map<string, int32> a = 1 [(buf.validate.field).map.keys.cel =
			{id: "short", expression: "[this].all(k, size(k) < 4)"}];`),
			text(1, text(1, "abc")), text(1, text(1, secret)), "at /a/*: short"},
		{"CEL that cannot be evaluated", file(`repeated N n = 1;`,
			`message N { int32 a = 1 [(buf.validate.field).cel = {id: "divides", expression: "10 / (this - 1) > 0"}]; }`),
			text(1, number(1, 2)), text(1, "") + text(1, number(1, 1)), "at /n/1/a: divides, which cannot be evaluated"},
		{"CEL that cannot be evaluated, behind one without data", file(`optional int32 z = 2 [(buf.validate.field).cel =
			{id: "unset", expression: "10 / this > 0"}];
			int32 a = 1 [(buf.validate.field).cel = {id: "divides", expression: "10 / (this - 1) > 0"}];`),
			number(1, 2), number(1, 1), "at /a: divides, which cannot be evaluated"},
		{"CEL without the key", file(`map<string, int32> a = 1 [(buf.validate.field).cel = {id: "has", expression: "this['x'] > 0"}];`),
			text(1, text(1, "x")+number(2, 2)), text(1, text(1, secret)), "at /a: has, which cannot be evaluated"},
		{"now", file(`google.protobuf.Timestamp a = 1 [(buf.validate.field).cel = {id: "past", expression: "this < now"}];`,
			`import "google/protobuf/timestamp.proto";`), text(1, number(1, 5)), text(1, number(1, 1<<37)), "at /a: past"},
		{"predefined", `syntax = "proto2"; package p; import "buf/validate/validate.proto";
			message M { optional int32 a = 1 [(buf.validate.field).int32.(p.times) = 5]; optional string b = 2; }
			extend buf.validate.Int32Rules { optional int32 times = 1800 [(buf.validate.predefined).cel =
				{id: "int32.times", message: "no multiple", expression: "this % rule == 0"}]; }`, number(1, 10), number(1, 11), "at /a: int32.times"},
		{"predefined with a loop", `syntax = "proto2"; package p; import "buf/validate/validate.proto";
			message M { repeated string a = 1 [(buf.validate.field).repeated.(p.prefix) = "x"]; }
			extend buf.validate.RepeatedRules { optional string prefix = 1800 [(buf.validate.predefined).cel =
				{id: "repeated.prefix", expression: "this.all(x, x.startsWith(rule))"}]; }`, text(1, "xy"), text(1, secret), "at /a: repeated.prefix"},
		{"a pattern of a rule", `syntax = "proto2"; package p; import "buf/validate/validate.proto";
			message M { optional string a = 1 [(buf.validate.field).string.(p.like) = "^a+$"]; }
			extend buf.validate.StringRules { optional string like = 1800 [(buf.validate.predefined).cel =
				{id: "string.like", expression: "this.matches(rule)"}]; }`, text(1, "aa"), text(1, secret), "at /a: string.like"},
		{"many constants", file(`string a = 1 [(buf.validate.field).cel = {id: "known",
			expression: "this.replace('-', '') in [` + strings.Repeat("'x', ", 300) + `'abc']"}];`),
			text(1, "a-bc"), text(1, secret), "at /a: known"},
		{"replaced, and then a loop", file(`string a = 1 [(buf.validate.field).cel =
			{id: "parts", expression: "this.replace(', ', ',').split(',').all(x, size(x) < 4)"}];`),
			text(1, "a, bc"), text(1, secret), "at /a: parts"},
		{"format and join", file(`repeated string a = 1 [(buf.validate.field).cel =
			{id: "few", expression: "size(this) < 2 ? '' : '%s are many'.format([this.join(', ')])"}];`),
			text(1, "a"), text(1, secret) + text(1, "b"), "at /a: few"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := compile(t, c.schema)
			require.NoError(t, v.Validate("", c.right))
			err := v.Validate("", c.wrong)
			_, ok := errors.AsType[*schema.MismatchError](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, c.want, err.Error())
			assert.NotContains(t, err.Error(), secret)
		})
	}
}

// A validator serves all goroutines of a service.
func TestConcurrentUse(t *testing.T) {
	v := compile(t, orderWithCEL)
	right, wrong := data(), strings.Replace(data(), "aaa", "AAA", 1)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				assert.NoError(t, v.Validate("", right))
				assert.EqualError(t, v.Validate("", wrong), "at /lines/0/sku: string.pattern")
			}
		})
	}
	wg.Wait()
}

// Rules that make no sense are an error of the schema, and name the place.
func TestBrokenRules(t *testing.T) {
	for name, c := range map[string][2]string{
		"syntax": {file(`string a = 1 [(buf.validate.field).cel = {id: "x", expression: "this ++ 1"}];`),
			"the rules of p.M.a: expression x"},
		"type":         {file(`string a = 1 [(buf.validate.field).cel = {id: "x", expression: "size(this)"}];`), "the rules of p.M.a"},
		"typed":        {file(`string a = 1 [(buf.validate.field).cel = {id: "x", expression: "this > 5"}];`), "the rules of p.M.a"},
		"of a message": {file(`option (buf.validate.message).cel = {id: "x", expression: "this.b == 1"}; int32 a = 1;`), "the rules of p.M: "},
		"wrong kind":   {file(`string a = 1 [(buf.validate.field).int32.gt = 5];`), "the rules of p.M.a"},
		"deep": {file(`repeated N n = 1;`, `message N { map<string, O> o = 1; }`,
			`message O { string a = 1; int32 b = 2 [(buf.validate.field).string.len = 5]; }`), "the rules of p.O.b"},
		"items":    {file(`repeated string a = 1 [(buf.validate.field).repeated.items.int32.gt = 5];`), "the rules of p.M.a"},
		"pattern":  {file(`string a = 1 [(buf.validate.field).string.pattern = "("];`), "the rules of p.M.a"},
		"unknown":  {file(`string a = 1 [(buf.validate.field).string.nothing = 1];`), "nothing"},
		"oneof":    {file(`option (buf.validate.message).oneof = {fields: ["z"]}; string a = 1;`), "the rules of p.M"},
		"oversize": {file(`string a = 1 [(buf.validate.field).cel_expression = "` + strings.Repeat("true && ", 600) + `true"];`), "4096 bytes"},
		"many":     {file(strings.Repeat(`option (buf.validate.message).cel_expression = "true";`, 2_001)), "more than 2000"},
	} {
		_, err := protovalidate.Format{}.Compile(bundleOf(c[0]))
		if assert.Error(t, err, name) {
			assert.ErrorContains(t, err, c[1], name)
			assert.Less(t, len(err.Error()), 2_000, name)
		}
	}
}

// Expressions that would take long, or make very much of the data, are refused or end.
func TestHostileRules(t *testing.T) {
	began := time.Now()
	long := "[" + strings.TrimSuffix(strings.Repeat("1,", 300), ",") + "]"
	short := long[:len(long)/3] + "]"
	compile(t, file(`option (buf.validate.message).cel_expression = "`+short+`.all(a, `+short+`.all(b, a + b > 0))";`))
	field := func(expression string) string {
		return file(`repeated string a = 1 [(buf.validate.field).cel = {id: "x", expression: "` + expression + `"}];`)
	}
	for name, c := range map[string][2]string{
		"a constant": {field(long + `.all(a, ` + long + `.all(b, ` + long + `.all(c, ` + long + `.all(d, a + b + c + d > 0))))`), "steps"},
		"in a predefined rule": {`syntax = "proto2"; package p; import "buf/validate/validate.proto";
			message M { optional string b = 1 [(buf.validate.field).string.(p.x) = true]; }
			extend buf.validate.StringRules { optional bool x = 1800 [(buf.validate.predefined).cel = {id: "x",
				expression: "` + long + `.all(a, ` + long + `.all(b, ` + long + `.all(c, ` + long + `.all(d, a + b + c + d > 0))))"}]; }`, "steps"},
		"in a branch that has no data": {`syntax = "proto2"; package p; import "buf/validate/validate.proto";
			message M { optional string b = 1 [(buf.validate.field).string.(p.x) = true]; }
			extend buf.validate.StringRules { optional bool x = 1800 [(buf.validate.predefined).cel = {id: "x",
				expression: "this == '' || ` + long + `.all(a, ` + long + `.all(b, ` + long + `.all(c, a + b + c > 0)))"}]; }`, "steps"},
		"many that take long": {file(strings.Repeat(`option (buf.validate.message).cel_expression = "`+
			short+`.all(a, `+short+`.all(b, a + b > 0))";`, 30)), "steps"},
		"doubling":            {field(`['a']` + strings.Repeat(`.map(x, x + x)`, 60) + `.size() > 0`), "steps"},
		"replacing":           {field(`'a'` + strings.Repeat(`.replace('', '0123456789abcdef')`, 9) + ` != ''`), "more than 64 times"},
		"replaced by data":    {field(`this[0].replace('', this[0]) != ''`), "is not a constant"},
		"a list of data":      {field(`this.map(x, this[0]).join('') != ''`), "join and a loop"},
		"joined in a loop":    {field(`this.map(x, [this[0], this[0]].join(''))[0] != ''`), "join and a loop"},
		"formatted in a loop": {field(`this.all(x, '%s'.format([x]) != '')`), "format and a loop"},
		"a pattern of data":   {field(`this[0].matches(this[1])`), "pattern of matches"},
		"a loop's own rule":   {field(`this.all(rule, !this[0].matches(rule))`), "a variable with the name rule,"},
		"a loop's own rules":  {field(`this.exists(x, this.map(rules, rules + 'z').exists(y, x == y))`), "a variable with the name rules,"},
		"a loop's own this":   {field(`this.all(this, this != '')`), "a variable with the name this,"},
		"a loop's own now":    {field(`this.filter(now, now != '').size() > 0`), "a variable with the name now,"},
		"many joins":          {field(strings.Repeat(`this.join('; ') + `, 4) + `'' != ''`), "more than 64 times"},
		"a wide format":       {field(`'%.999999999f'.format([1.0]) != ''`), "precision"},
		"a format of data":    {field(`this[0].format([1.0]) != ''`), "not a constant"},
		"much": {field(`'%s%s'.format(['` + strings.Repeat("%s", 65) + `'.format([` + strings.Repeat("this[0],", 64) + `this[0]]), 1]) != ''`),
			"more than 64 times"},
	} {
		_, err := protovalidate.Format{}.Compile(bundleOf(c[0]))
		assert.ErrorContains(t, err, c[1], name)
	}
	for name, expression := range map[string]string{
		"squared":       `this.all(x, this.exists(y, x != y + 'z'))`,
		"cubed":         `this.all(x, this.all(y, this.all(z, x + y != z)))`,
		"a long search": `this.all(x, !this[0].contains(x + 'b'))`,
		"of an address": `this.all(x, !this[0].isUri() || true)`,
		"long patterns": `this.all(x, !x.matches('(a?){1000}c'))`,
	} {
		v := compile(t, field(expression))
		require.NoError(t, v.Validate("", text(1, "a")+text(1, "b")), name)
		err := v.Validate("", text(1, strings.Repeat("a", 50_000))+strings.Repeat(text(1, "aaaa"), 10_000))
		if assert.Error(t, err, name) {
			assert.Equal(t, "at /a: x, which takes too many steps", err.Error(), name)
		}
	}
	items := compile(t, file(`repeated int32 a = 1 [(buf.validate.field).repeated.items.cel =
		{id: "x", expression: "this >= 0 && this < 10"}];`))
	err := items.Validate("", text(1, strings.Repeat("\x01", 1<<20)))
	require.ErrorContains(t, err, "at /a: x, which takes too many steps")
	assert.Less(t, time.Since(began), 2*time.Minute)
}

// Data that breaks a rule a million times costs no more than data that breaks it once.
func TestHostileData(t *testing.T) {
	v := compile(t, file(`repeated int32 a = 1 [(buf.validate.field).repeated.items.int32.gt = 5];
		M m = 2; string p = 3 [(buf.validate.field).string.pattern = "^(a*)*$"];`))
	began := time.Now()
	assert.ErrorContains(t, v.Validate("", text(1, strings.Repeat("\x01", 1<<20))), "at /a/0: int32.gt")
	assert.ErrorContains(t, v.Validate("", text(3, strings.Repeat("a", 1<<20)+"b")), "at /p: string.pattern")
	deep := ""
	for range 5_000 {
		deep = text(2, deep)
	}
	require.NoError(t, v.Validate("", deep))
	assert.Less(t, time.Since(began), 2*time.Minute)
	err := v.Validate("", text(1, strings.Repeat("\x01", 1_000)))
	mismatch, ok := errors.AsType[*schema.MismatchError](err)
	require.True(t, ok)
	assert.Len(t, mismatch.Problems, 10)
}

// Schemas that are large compile in time.
func TestLargeSchemas(t *testing.T) {
	began := time.Now()
	var expressions, fields strings.Builder
	for i := range 2_000 {
		fmt.Fprintf(&expressions, `string a%d = %d [(buf.validate.field).cel_expression = "size(this) < 4 || this == 'abcd'"];`, i, i+1)
	}
	for i := range 2_000 {
		fmt.Fprintf(&fields, "string a%d = %d [(buf.validate.field).string = {min_len: 1, max_len: 64, pattern: \"^[a-z]*$\"}];", i, i+1)
	}
	compile(t, file(expressions.String()))
	t.Log(time.Since(began))
	compile(t, file(fields.String()))
	t.Log(time.Since(began))
	assert.Less(t, time.Since(began), 2*time.Minute)
}

// The first message is compared as without rules, which may change.
func TestCompare(t *testing.T) {
	older := bundleOf(file(`string a = 1 [(buf.validate.field).string.max_len = 3];`))
	newer := bundleOf(file(`string a = 1 [(buf.validate.field).string.max_len = 2];`))
	newer.Ref.Version = 2
	breaks, err := protovalidate.Format{}.Compare(older, newer)
	require.NoError(t, err)
	assert.Empty(t, breaks)
	newer.Text = file(`bytes a = 1;`)
	breaks, err = protovalidate.Format{}.Compare(older, newer)
	require.NoError(t, err)
	assert.Len(t, breaks, 1)
}

// The file with the rules is the one that is compiled in, whatever the references are.
func TestTheRulesAreOurOwn(t *testing.T) {
	b := bundleOf(file(`string a = 1 [(buf.validate.field).string.max_len = 3];`))
	b.Imports = map[string]string{"buf/validate/validate.proto": "syntax = \"proto3\";"}
	v, err := protovalidate.Format{}.Compile(b)
	require.NoError(t, err)
	require.Error(t, v.Validate("", text(1, secret)))
	require.Error(t, v.Validate("application/json", text(1, "a")))
	require.ErrorContains(t, v.Validate("", text(2, "a")), "a field that the schema does not have")
	require.NoError(t, compile(t, "syntax = \"proto3\";\nmessage M { string a = 1; }").Validate("", text(1, "a")), "without rules")
}

func FuzzValidate(f *testing.F) {
	f.Add(`string a = 1 [(buf.validate.field).string.max_len = 3];`, text(1, secret))
	f.Add(`repeated M a = 1 [(buf.validate.field).cel = {id: "x", expression: "this.all(x, this.exists(y, x == y))"}];`, text(1, ""))
	f.Add(`map<string, M> a = 1 [(buf.validate.field).map = {min_pairs: 1, keys: {string: {in: ["x"]}}}];`, text(1, text(1, "x")))
	f.Add(`option (buf.validate.message).cel = {id: "x", expression: "'%s'.format([this.a]).replace('a', 'b') != ''"}; string a = 1;`,
		text(1, "a"))
	f.Add(`oneof o { option (buf.validate.oneof).required = true; string a = 1; google.protobuf.Any b = 2; }`, number(1, 1))
	f.Fuzz(func(t *testing.T, body, data string) {
		v, err := protovalidate.Format{}.Compile(bundleOf(file(body)))
		if err != nil {
			return
		}
		if err := v.Validate("", data); err != nil {
			_, ok := errors.AsType[*schema.MismatchError](err)
			require.True(t, ok, "%v", err)
		}
	})
}
