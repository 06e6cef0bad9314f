package protovalidate_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat/schema"
	"github.com/leatgo/leat/schema/protovalidate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// withExpression is a schema with fields of many kinds and an expression about them.
func withExpression(expression string) string {
	return file(`option (buf.validate.message).cel = {id: "x", expression: "`+strings.ReplaceAll(expression, `"`, `\"`)+`"};
		string s = 1; int32 i = 2; repeated string l = 3; map<string, N> m = 4; N n = 5; E e = 6; repeated N ns = 7; bytes b = 8;
		google.protobuf.Timestamp at = 9; google.protobuf.Duration d = 10; google.protobuf.StringValue w = 11; optional int64 o = 12;
		oneof of { string of_s = 13; N of_n = 14; } double f = 15; google.protobuf.Any any = 16; map<int32, string> k = 17; uint64 u = 18;`,
		`import "google/protobuf/any.proto"; import "google/protobuf/duration.proto"; import "google/protobuf/timestamp.proto";
		import "google/protobuf/wrappers.proto";
		message N { string s = 1; N n = 2; } enum E { Z = 0; A = 1; }`)
}

// Expressions as people write them are compiled, and hold for the data.
func TestExpressions(t *testing.T) {
	d := text(1, "abc") + number(2, 5) + text(3, "x") + text(3, "y") + text(4, text(1, "k")+text(2, text(1, "v"))) + text(5, text(1, "n")) +
		number(6, 1) + text(7, text(1, "p")) + text(7, text(1, "q")) + text(8, "bytes") + text(9, number(1, 100)) + text(10, number(1, 60)) +
		text(11, text(1, "w")) + number(12, 7) + text(14, "") + text(17, number(1, 1)+text(2, "one")) + number(18, 9)
	for _, expression := range []string{
		`this.s == 'abc' && this.i > 4 && size(this.s) == 3`,
		`this.e == p.E.A`,
		`this.e == 1`,
		`has(this.n) && !has(this.n.n) && has(this.o) && has(this.of_n) && !has(this.of_s)`,
		`this.l.all(x, x in ['x', 'y'])`,
		`this.l.unique() && this.ns.map(n, n.s).unique()`,
		`this.m.all(key, this.m[key].s == 'v')`,
		`'k' in this.m && this.k[1] == 'one'`,
		`this.ns.exists_one(n, n.s == 'p') && this.ns[1].s == 'q'`,
		`this.ns.filter(n, n.s != 'p').size() == 1`,
		`this.ns.all(n, this.ns.exists(other, other.s != n.s))`,
		`this.n == p.N{s: 'n'}`,
		`this.at < now && this.at == timestamp('1970-01-01T00:01:40Z')`,
		`this.at + this.d > this.at && this.d == duration('60s')`,
		`this.w == 'w'`,
		`this.b == b'bytes' && this.b.startsWith(b'by')`,
		`this.s.matches('^[a-z]+$') && this.s.contains('b') && this.s.endsWith('c')`,
		`!this.s.isEmail() && !this.s.isUri() && this.s.isHostname() && !this.s.isIp(4)`,
		`this.s.upperAscii() == 'ABC' && this.s.substring(1) == 'bc' && this.s.indexOf('c') == 2`,
		`'a,b'.split(',').size() == 2 && this.l.join('-') == 'x-y'`,
		`this.s != '' ? '' : '%s of %d'.format([this.s, this.i])`,
		`!this.f.isNan() && !this.f.isInf() && this.i % 5 == 0 && this.u == 9u`,
		`this.i > 4 && double(this.i) / 2.0 > 2.4`,
		`type(this.i) == int && string(this.i) == '5'`,
		`!has(this.any)`,
		`getField(this, 's') == 'abc'`,
		`this.l.map(x, x + '!')[0] == 'x!' && [1, 2, 3].exists(n, n == 3)`,
		`{'a': 1}['a'] == 1 && dyn(this.i) == 5`,
	} {
		v, err := protovalidate.Format{}.Compile(bundleOf(withExpression(expression)))
		if assert.NoError(t, err, expression) {
			assert.NoError(t, v.Validate("", d), expression)
		}
	}
}

// Any expression is compiled or refused, and evaluated in time.
func FuzzExpression(f *testing.F) {
	for _, expression := range []string{
		`this.l.all(x, x in ['x', 'y'])`, `this.m.all(key, this.m[key].s == 'v')`, `'%s'.format([this.l.join(', ')]).replace('a', 'b') != ''`,
		`this.ns.map(n, n.s + n.s).unique()`, `this.s.matches('(a*)*b')`, `this.at < now`, `[this.l, this.l].map(x, x.map(y, y + y)) == []`,
		`this.s.replace('', 'abc').split('b').all(x, x.lowerAscii() != this.s)`, `p.N{s: this.s, n: this.n} == this.n`,
	} {
		f.Add(expression, text(1, "abc")+text(3, strings.Repeat("x", 100))+text(7, text(1, "p")))
	}
	f.Fuzz(func(t *testing.T, expression, data string) {
		began := time.Now()
		v, err := protovalidate.Format{}.Compile(bundleOf(withExpression(expression)))
		if err == nil {
			err = v.Validate("", data)
			_, ok := errors.AsType[*schema.MismatchError](err)
			require.True(t, err == nil || ok, "%v", err)
		}
		require.Less(t, time.Since(began), time.Minute)
	})
}
