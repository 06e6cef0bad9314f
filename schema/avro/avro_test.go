package avro_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/view/viewtest"
	"github.com/leatgo/leat/schema"
	"github.com/leatgo/leat/schema/avro"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func bundleOf(version int, text string, imports ...string) schema.Bundle {
	b := schema.Bundle{Ref: schema.Ref{Subject: "s", Version: version}, Text: text, Imports: map[string]string{}}
	for i := 0; i < len(imports); i += 2 {
		b.Imports[imports[i]] = imports[i+1]
	}
	return b
}

// record is a schema with fields.
func record(fields ...string) string {
	return `{"type":"record","name":"Order","fields":[` + strings.Join(fields, ",") + `]}`
}

func field(name, kind, more string) string {
	return `{"name":"` + name + `","type":` + kind + more + `}`
}

func enum(symbols, more string) string {
	return `{"type":"enum","name":"E","symbols":[` + symbols + `]` + more + `}`
}

func fixed(size string) string { return `{"type":"fixed","name":"F","size":` + size + `}` }

var (
	id    = field("id", `"string"`, "")
	total = field("total", `"int"`, "")
)

// What Avro's schema resolution allows, in both directions; the rule is that of the break.
func TestCompare(t *testing.T) {
	for name, c := range map[string]struct{ older, newer, backward, forward string }{
		"the same":                       {record(id), record(id), "", ""},
		"a field with a default":         {record(id), record(id, field("n", `"int"`, `,"default":1`)), "", ""},
		"a field without a default":      {record(id), record(id, total), "default-missing", ""},
		"null is no default":             {record(id), record(id, field("n", `["null","int"]`, "")), "default-missing", ""},
		"a default of null":              {record(id), record(id, field("n", `["null","int"]`, `,"default":null`)), "", ""},
		"a field is taken away":          {record(id, total), record(id), "", "default-missing"},
		"int to long":                    {record(total), record(field("total", `"long"`, "")), "", "type-changed"},
		"int to string":                  {record(total), record(field("total", `"string"`, "")), "type-changed", "type-changed"},
		"string to bytes":                {record(id), record(field("id", `"bytes"`, "")), "", ""},
		"a field is renamed by an alias": {record(id), record(field("number", `"string"`, `,"aliases":["id"]`)), "", "default-missing"},
		"a record is renamed":            {record(id), strings.Replace(record(id), "Order", "Sale", 1), "type-changed", "type-changed"},
		"null is allowed":                {record(id), record(field("id", `["null","string"]`, "")), "", "type-changed"},
		"a symbol is added":              {enum(`"A"`, ""), enum(`"A","B"`, ""), "", "symbol-missing"},
		"a symbol with a default":        {enum(`"A"`, `,"default":"A"`), enum(`"A","B"`, `,"default":"A"`), "", ""},
		"a size":                         {fixed("4"), fixed("8"), "size-changed", "size-changed"},
		"millis to micros": {
			record(field("at", `{"type":"long","logicalType":"timestamp-millis"}`, "")),
			record(field("at", `{"type":"long","logicalType":"timestamp-micros"}`, "")), "logical-changed", "logical-changed",
		},
		"a logical type is added": {
			record(field("at", `"long"`, "")), record(field("at", `{"type":"long","logicalType":"timestamp-micros"}`, "")), "", "",
		},
		"items": {`{"type":"array","items":"int"}`, `{"type":"array","items":"double"}`, "", "type-changed"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, d := range []struct{ writer, reader, rule string }{{c.older, c.newer, c.backward}, {c.newer, c.older, c.forward}} {
				breaks, err := avro.Format{}.Compare(bundleOf(1, d.writer), bundleOf(2, d.reader))
				require.NoError(t, err)
				if d.rule == "" {
					assert.Empty(t, breaks)
					continue
				}
				require.Len(t, breaks, 1)
				assert.Equal(t, d.rule, breaks[0].Rule, "%v", breaks[0])
				assert.Contains(t, breaks[0].Text, "; ")
			}
		})
	}
}

type order struct {
	ID    string `avro:"id"`
	Total int64  `avro:"total"`
}

func TestValidate(t *testing.T) {
	codec, err := avro.NewCodec(record(id, total))
	require.NoError(t, err)
	data, err := codec.Encode(order{"o-1", 7})
	require.NoError(t, err)
	v, err := avro.Format{}.Compile(bundleOf(1, record(id, total)))
	require.NoError(t, err)
	for _, contentType := range []string{"application/avro", "", "avro/binary", "application/avro; x=y"} {
		require.NoError(t, v.Validate(contentType, string(data)))
	}
	for want, c := range map[string][2]string{
		"the content type is not application/avro": {"application/json", string(data)},
		"1 bytes behind the value":                 {"", string(data) + "x"},
		"the data ends within":                     {"", string(data[:3])},
	} {
		err := v.Validate(c[0], c[1])
		_, ok := errors.AsType[*schema.MismatchError](err)
		require.True(t, ok)
		require.ErrorContains(t, err, want)
	}
	var decoded order
	require.NoError(t, codec.Decode("application/avro", data, &decoded))
	assert.Equal(t, order{"o-1", 7}, decoded)
	require.Error(t, codec.Decode("application/json", data, &decoded))
	_, err = codec.Encode(map[string]any{"id": 1})
	require.Error(t, err)
	_, err = avro.NewCodec()
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
	_, err = avro.NewCodec(`{`)
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
}

// No message tells anything of the data.
func TestNoValueIsTold(t *testing.T) {
	v, err := avro.Format{}.Compile(bundleOf(1, `{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}`))
	require.NoError(t, err)
	require.NoError(t, v.Validate("", strings.Repeat("x", 16)))
	u, err := avro.NewCodec(record(field("id", `{"type":"string","logicalType":"uuid"}`, "")))
	require.NoError(t, err)
	var into struct {
		ID [16]byte `avro:"id"`
	}
	err = u.Decode("", []byte("\x0cs3cr3t"), &into)
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "s3cr3t")
}

func TestReferences(t *testing.T) {
	customer := `{"type":"record","name":"Customer","namespace":"com.example","fields":[{"name":"at","type":"com.example.Address"}]}`
	address := `{"type":"record","name":"Address","namespace":"com.example","fields":[{"name":"city","type":"string"}]}`
	text := record(field("by", `"com.example.Customer"`, ""))
	b := bundleOf(1, text, "com.example.Customer", customer, "com.example.Zip", address)
	v, err := avro.Format{}.Compile(b)
	require.NoError(t, err)
	require.NoError(t, v.Validate("", "\x06Ulm"))
	_, err = avro.NewCodec(address, customer, text)
	require.NoError(t, err)
	_, err = avro.Format{}.Compile(bundleOf(1, text, "com.example.Customer", customer))
	require.ErrorContains(t, err, `reference "com.example.Customer"`)
	_, err = avro.Format{}.Compile(bundleOf(1, text))
	require.Error(t, err)
}

// Data and schemas that are made to cost time or memory do not.
func TestHostile(t *testing.T) {
	began := time.Now()
	deep := strings.Repeat(`{"type":"array","items":`, 10_000) + `"int"` + strings.Repeat(`}`, 10_000)
	tree := `{"type":"record","name":"T","fields":[{"name":"c","type":["null","T"]}]}`
	for name, c := range map[string][2]string{
		"2^40 nulls":        {`{"type":"array","items":"null"}`, "\x80\x80\x80\x80\x80\x80\x01\x00"},
		"a string of 2^40":  {`"string"`, "\x80\x80\x80\x80\x80\x80\x01"},
		"a deep value":      {tree, strings.Repeat("\x02", 1_000_000)},
		"an endless varint": {`"long"`, strings.Repeat("\xff", 100)},
		"no union branch":   {`["null","int"]`, "\x10"},
		"no symbol":         {`{"type":"enum","name":"E","symbols":["A"]}`, "\x10"},
		"a negative block":  {`{"type":"map","values":"int"}`, "\x03\x01\x02a"},
	} {
		v, err := avro.Format{}.Compile(bundleOf(1, c[0]))
		require.NoError(t, err, name)
		_, ok := errors.AsType[*schema.MismatchError](v.Validate("", c[1]))
		assert.True(t, ok, name)
	}
	for _, text := range []string{deep, ``, `{}`, `"unknown"`, `{"type":"record","name":"a b","fields":[]}`, `[["int"]]`} {
		_, err := avro.Format{}.Compile(bundleOf(1, text))
		assert.Error(t, err)
	}
	assert.Less(t, time.Since(began), 30*time.Second)
}

// The library gets the bytes of the event itself, to which the decoded value then refers.
func TestDataIsOnlyRead(t *testing.T) {
	logical := func(name, kind, logical string) string {
		return field(name, `{"type":`+kind+`,"logicalType":"`+logical+`","precision":9,"scale":2}`, "")
	}
	text := record(id, total, logical("price", `"bytes"`, "decimal"), logical("at", `"long"`, "timestamp-millis"),
		logical("key", `"fixed","name":"U","size":16`, "uuid"), logical("left", `"fixed","name":"D","size":12`, "duration"),
		logical("cost", `"fixed","name":"C","size":4`, "decimal"), field("note", `["null","string","bytes"]`, ""),
		field("tags", `{"type":"map","values":{"type":"array","items":"string"}}`, ""), field("rate", `"double"`, ""))
	data := "\x06o-1" + "\x0e" + "\x04\xff\x38" + "\x80\x01" + "0123456789abcdef" + "0123456789ab" + "\xff\xff\xff\x38" + "\x04\x04\x00\xff" +
		"\x02\x02k\x04\x02a\x02b\x00\x00" + "\x00\x00\x00\x00\x00\x00\xf0\x3f"
	v, err := avro.Format{}.Compile(bundleOf(1, text))
	require.NoError(t, err)
	require.NoError(t, v.Validate("", data))
	viewtest.ReadOnly(t, data, func(data string) { _ = v.Validate("", data) })
	convert, err := avro.Format{}.Convert(bundleOf(1, text), bundleOf(2, text))
	require.NoError(t, err)
	converted, err := convert("", data)
	require.NoError(t, err)
	assert.Equal(t, data, string(converted))
	viewtest.ReadOnly(t, data, func(data string) { _, _ = convert("", data) })
}

func FuzzValidate(f *testing.F) {
	f.Add(record(id, total), "\x06o-1\x0e")
	f.Add(`{"type":"array","items":"null"}`, "\x80\x80\x80\x80\x80\x80\x01\x00")
	f.Fuzz(func(t *testing.T, text, data string) {
		v, err := avro.Format{}.Compile(bundleOf(1, text))
		if err != nil {
			return
		}
		if err := v.Validate("", data); err != nil {
			_, ok := errors.AsType[*schema.MismatchError](err)
			require.True(t, ok)
		}
		_, _ = avro.Format{}.Compare(bundleOf(1, text), bundleOf(2, record(id)))
	})
}

// A handler gets data of the version that it is written for, whichever version it was written with.
func TestOldAndNewWriters(t *testing.T) {
	v1 := record(id, total)
	v2 := record(id, field("total", `"long"`, ""), field("currency", `"string"`, `,"default":"EUR"`))
	registry, err := schema.NewMemory(&schema.MemoryOptions{Formats: []schema.Format{avro.Format{}}, Level: schema.Backward})
	require.NoError(t, err)
	for _, text := range []string{v1, v2} {
		_, err := registry.Register(t.Context(), "orders", schema.Definition{Format: "AVRO", Text: text})
		require.NoError(t, err)
	}
	enforcer, err := schema.NewEnforcer(registry, &schema.EnforcerOptions{
		Formats: []schema.Format{avro.Format{}}, Base: "https://schemas.example.com/subjects", Trust: []string{"/"},
		Pins: map[string]schema.Ref{"order.placed": {Subject: "orders", Version: 2}},
	})
	require.NoError(t, err)
	old, err := avro.NewCodec(v1)
	require.NoError(t, err)
	current, err := avro.NewCodec(v2)
	require.NoError(t, err)
	placed := leat.EventType[order]{
		Name: "order.placed", Topic: "orders", Source: "/shop", Codec: old,
		DataSchema: "https://schemas.example.com/subjects/orders/versions/1",
	}
	written, err := placed.New(order{"o-1", 7})
	require.NoError(t, err)

	type priced struct {
		ID       string `avro:"id"`
		Total    int64  `avro:"total"`
		Currency string `avro:"currency"`
	}
	var got priced
	handle := enforcer.Process()(leat.HandlerFunc(func(_ context.Context, e leat.Event) error {
		assert.Equal(t, "https://schemas.example.com/subjects/orders/versions/2", e.DataSchema())
		return current.Decode(e.DataContentType(), e.Data(), &got)
	}))
	require.NoError(t, handle.Handle(t.Context(), written))
	assert.Equal(t, priced{"o-1", 7, "EUR"}, got)

	broken := written.WithData("application/avro", []byte("\x06o"))
	err = handle.Handle(t.Context(), broken)
	assert.True(t, leat.IsRejected(err))
	require.ErrorContains(t, err, "the data does not match schema orders/1, or cannot be made that of orders/2: at id: the data ends within")
}

// A conversion keeps the branches of unions, which their values alone do not tell.
func TestUnionsAreConverted(t *testing.T) {
	a := `{"type":"record","name":"A","fields":[{"name":"x","type":"string"}]}`
	b := strings.Replace(a, `"A"`, `"B"`, 1)
	for name, union := range map[string]string{
		"two records":      `[` + a + `,` + b + `]`,
		"two namespaces":   `[` + strings.Replace(a, `"A"`, `"n.A"`, 1) + `,` + strings.Replace(a, `"A"`, `"m.A"`, 1) + `]`,
		"string and enum":  `["string",{"type":"enum","name":"E","symbols":["S"]}]`,
		"bytes and fixed":  `["bytes",{"type":"fixed","name":"F","size":1}]`,
		"map and record":   `["null",{"type":"map","values":"string"},` + a + `]`,
		"int and long":     `["int","long"]`,
		"float and double": `["float","double"]`,
	} {
		t.Run(name, func(t *testing.T) {
			older := record(field("u", union, ""))
			newer := record(field("u", union, ""), field("n", `"int"`, `,"default":1`))
			convert, err := avro.Format{}.Convert(bundleOf(1, older), bundleOf(2, newer))
			require.NoError(t, err)
			for branch, value := range []string{"\x02q", "\x02q", "\x02q"} {
				data := string(rune(2*branch)) + value
				if strings.Contains(name, "enum") && branch == 1 || strings.Contains(name, "int") {
					data = string(rune(2*branch)) + "\x00"
				}
				if strings.Contains(name, "fixed") && branch == 1 {
					data = "\x02q"
				}
				if strings.Contains(name, "float") {
					data = string(rune(2*branch)) + strings.Repeat("\x00", 4+4*branch)
				}
				if strings.Contains(name, "map") {
					data = []string{"\x00", "\x02\x02\x02k\x02v\x00", "\x04\x02q"}[branch]
				} else if branch == 2 {
					continue
				}
				converted, err := convert("", data)
				require.NoError(t, err, "branch %d", branch)
				assert.Equal(t, data+"\x02", string(converted), "branch %d", branch)
			}
			_, err = convert("application/json", "")
			require.ErrorContains(t, err, "the content type")
		})
	}
}
