package interop_test

import (
	"errors"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/leatgo/leat/schema"
	"github.com/leatgo/leat/schema/confluent"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	avroOrder  = `{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"id","type":"string"},{"name":"total","type":"int"}]}`
	protoOrder = "syntax = \"proto3\";\npackage shop;\nmessage Order {\n  string id = 1;\n  int32 total = 2;\n}\n"
	jsonOrder  = `{"$schema":"https://json-schema.org/draft/2020-12/schema","title":"Order","type":"object",` +
		`"properties":{"id":{"type":"string"},"total":{"type":"integer"}},"required":["id","total"],"additionalProperties":false}`
)

func avroText(s string, references ...schema.Reference) schema.Definition {
	return schema.Definition{Format: "AVRO", Text: s, References: references}
}

func record(fields string) schema.Definition {
	return avroText(`{"type":"record","name":"R","fields":[` + fields + `]}`)
}

// What one registers, others find; in each language, and by each name that Apicurio knows.
func TestRegisterAndFind(t *testing.T) {
	r := shared(t)
	ctx := t.Context()
	for _, d := range []schema.Definition{
		{Format: "AVRO", Text: avroOrder}, {Format: "JSON", Text: jsonOrder}, {Format: "PROTOBUF", Text: protoOrder},
	} {
		t.Run(d.Format, func(t *testing.T) {
			subject := brokertest.Name(t)
			made := r.register(t, subject, d)
			assert.Equal(t, schema.Ref{Subject: subject, Version: 1}, made.Ref)
			assert.Equal(t, d, made.Definition)
			assert.Equal(t, made, r.register(t, subject, d), "the same text makes no new version")
			for name, find := range map[string]func() (*schema.Schema, error){
				"by version": func() (*schema.Schema, error) { return r.ByRef(ctx, made.Ref) },
				"latest":     func() (*schema.Schema, error) { return r.ByRef(ctx, schema.Ref{Subject: subject}) },
				"by ID":      func() (*schema.Schema, error) { return r.ByID(ctx, subject, made.ID) },
			} {
				found, err := find()
				require.NoError(t, err, name)
				assert.Equal(t, made, found, name)
			}
			found, err := r.ByID(ctx, "", made.ID)
			require.NoError(t, err)
			assert.Equal(t, d, found.Definition)
			versions, err := r.Versions(ctx, subject)
			require.NoError(t, err)
			assert.Equal(t, []int{1}, versions)
			_, err = r.ByRef(ctx, schema.Ref{Subject: subject, Version: 9})
			hasCode(t, err, leat.CodeNotFound, "Version 9 not found")
			_, err = r.ByID(ctx, brokertest.Name(t), made.ID)
			hasCode(t, err, leat.CodeNotFound)
			_, err = r.Register(ctx, subject, schema.Definition{Format: d.Format, Text: "{"})
			hasCode(t, err, leat.CodeInvalid, "status 422")
		})
	}
	_, err := r.ByID(ctx, "", 2_000_000_000)
	hasCode(t, err, leat.CodeNotFound, "Schema 2000000000 not found")
	_, err = r.ByRef(ctx, schema.Ref{Subject: "none", Version: 1})
	hasCode(t, err, leat.CodeNotFound, "Subject 'none' not found")
	_, err = r.Versions(ctx, "none")
	hasCode(t, err, leat.CodeNotFound)
	_, err = r.ByGUID(ctx, "", "5b1ea4bf-6b8d-4a5a-8e2c-0d4f5a1b2c3d")
	hasCode(t, err, leat.CodeUnavailable, "the registry does not know GUIDs")
}

// A wrong path is not a registry that has no schemas: events would be poisoned.
func TestWrongPath(t *testing.T) {
	r := open(t, brokertest.Apicurio(t)+"/elsewhere", confluent.Options{})
	_, err := r.ByRef(t.Context(), schema.Ref{Subject: "s", Version: 1})
	hasCode(t, err, leat.CodeUnavailable, "correct Options.URLs")
	_, err = r.ByGUID(t.Context(), "", "5b1ea4bf-6b8d-4a5a-8e2c-0d4f5a1b2c3d")
	hasCode(t, err, leat.CodeUnavailable, "correct Options.URLs")
}

func TestSubjectsNeedEscapes(t *testing.T) {
	r := shared(t)
	for _, subject := range []string{"a b", "ä-日本", "p%20q", "shop.Order", "a:b", "x+y", "orders-value"} {
		subject += brokertest.Name(t)
		made := r.register(t, subject, schema.Definition{Format: "AVRO", Text: avroOrder})
		assert.Equal(t, subject, made.Subject)
		found, err := r.ByRef(t.Context(), made.Ref)
		require.NoError(t, err)
		assert.Equal(t, made, found)
	}
}

// A schema with a reference is found with it, and compiled by the Enforcer.
func TestReferences(t *testing.T) {
	r := shared(t)
	customer := brokertest.Name(t)
	for _, c := range []struct{ name, format, customer, order, good, bad string }{
		{
			"customer.json", "JSON", `{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"string"}`,
			`{"$schema":"https://json-schema.org/draft/2020-12/schema","properties":{"by":{"$ref":"customer.json"}}}`,
			`{"by":"c-1"}`, `{"by":7}`,
		},
		{
			"shop.Customer", "AVRO", `{"type":"record","name":"Customer","namespace":"shop","fields":[{"name":"id","type":"string"}]}`,
			`{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"by","type":"shop.Customer"}]}`,
			"\x06c-1", "\x06",
		},
		{
			"customer.proto", "PROTOBUF", "syntax = \"proto3\";\npackage shop;\nmessage Customer { string id = 1; }\n",
			"syntax = \"proto3\";\npackage shop;\nimport \"customer.proto\";\nmessage Order { Customer by = 1; }\n",
			"\n\x05\n\x03c-1", "\x12\x00",
		},
	} {
		t.Run(c.format, func(t *testing.T) {
			of := r.register(t, customer+c.format, schema.Definition{Format: c.format, Text: c.customer})
			subject := brokertest.Name(t)
			r.setLevel(t, subject, schema.Backward)
			d := schema.Definition{Format: c.format, Text: c.order, References: []schema.Reference{{Name: c.name, Ref: of.Ref}}}
			made := r.register(t, subject, d)
			found, err := r.ByRef(t.Context(), made.Ref)
			require.NoError(t, err)
			assert.Equal(t, d, found.Definition)
			found, err = r.ByID(t.Context(), subject, made.ID)
			require.NoError(t, err)
			assert.Equal(t, made, found)
			h := handler(t, r, made.Ref, schema.EnforcerOptions{})
			require.NoError(t, h.Handle(t.Context(), typed(t, c.format, c.good)))
			assert.True(t, leat.IsRejected(h.Handle(t.Context(), typed(t, c.format, c.bad))))

			broken := d
			broken.References = []schema.Reference{{Name: c.name, Ref: schema.Ref{Subject: "none", Version: 1}}}
			_, err = r.Register(t.Context(), brokertest.Name(t), broken)
			hasCode(t, err, leat.CodeInvalid, "Unresolved reference")
		})
	}
}

// The levels forbid what they say, and the refusal says why.
func TestLevels(t *testing.T) {
	const a, b, c = `{"name":"a","type":"string"}`, `{"name":"b","type":"int"}`, `{"name":"b","type":"int","default":1}`
	r := shared(t)
	for _, l := range []struct {
		level        schema.Level
		add, takeOff bool // a field without a default
		back         bool // b, whose type was another one two versions before
	}{
		{schema.None, true, true, true},
		{schema.Backward, false, true, true}, {schema.BackwardTransitive, false, true, false},
		{schema.Forward, true, false, true}, {schema.ForwardTransitive, true, false, false},
		{schema.Full, false, false, true}, {schema.FullTransitive, false, false, false},
	} {
		t.Run(string(l.level), func(t *testing.T) {
			try := func(want bool, versions ...string) {
				t.Helper()
				subject := brokertest.Name(t)
				for _, v := range versions[:len(versions)-1] {
					r.register(t, subject, record(v))
				}
				r.setLevel(t, subject, l.level)
				last := record(versions[len(versions)-1])
				breaks, err := r.Check(t.Context(), subject, last)
				require.NoError(t, err)
				assert.Equal(t, want, len(breaks) == 0, "Check")
				_, err = r.Register(t.Context(), subject, last)
				if want {
					require.NoError(t, err)
					return
				}
				hasCode(t, err, leat.CodeConflict, "Incompatible artifact")
				refused, ok := errors.AsType[*schema.IncompatibleError](err)
				require.True(t, ok)
				assert.Len(t, refused.Breaks, 1)
			}
			try(l.add, a, a+","+b)
			try(l.takeOff, a+","+b, a)
			try(true, a, a+","+c)
			try(l.back, a+`,{"name":"b","type":"string","default":""}`, a, a+","+c)
		})
	}
}

// Where nobody has set a level, Apicurio accepts every change.
func TestLevelOfNewSubjects(t *testing.T) {
	r := shared(t)
	subject := brokertest.Name(t)
	for i, kind := range []string{"int", "string"} {
		d := record(`{"name":"a","type":"` + kind + `"}`)
		breaks, err := r.Check(t.Context(), subject, d)
		require.NoError(t, err)
		assert.Empty(t, breaks)
		assert.Equal(t, i+1, r.register(t, subject, d).Version)
	}
}
