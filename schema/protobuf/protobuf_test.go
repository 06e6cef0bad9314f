package protobuf_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/view/viewtest"
	"github.com/leatgo/leat/schema"
	"github.com/leatgo/leat/schema/protobuf"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/apipb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// api is the part of google.protobuf.Api that its generated code is tried with.
const api = `syntax = "proto3";
package google.protobuf;
import "google/protobuf/source_context.proto";
message Api {
  string name = 1;
  repeated Mixin mixins = 6;
  SourceContext source_context = 5;
  map<string, Mixin> more = 60;
}
message Mixin { string name = 1; }
`

func compile(t testing.TB, text string, imports ...string) schema.Validator {
	t.Helper()
	v, err := protobuf.Format{}.Compile(bundleOf(1, text, imports...))
	require.NoError(t, err)
	return v
}

// A mismatch says where, and nothing of the data.
func TestValidate(t *testing.T) {
	v := compile(t, api)
	data, err := proto.Marshal(&apipb.Api{Name: "secret", Mixins: []*apipb.Mixin{{Name: "a"}}})
	require.NoError(t, err)
	for _, contentType := range []string{"application/protobuf", "", "application/x-protobuf", "application/vnd.google.protobuf; x=y"} {
		require.NoError(t, v.Validate(contentType, string(data)))
	}
	unknown := func(m proto.Message) string {
		m.ProtoReflect().SetUnknown(protowire.AppendString(protowire.AppendTag(nil, 99, protowire.BytesType), "secret"))
		b, err := proto.Marshal(m)
		require.NoError(t, err)
		return string(b)
	}
	mixin := &apipb.Mixin{Name: "a"}
	nested := unknown(mixin)
	wrapped, err := proto.Marshal(&apipb.Api{Mixins: []*apipb.Mixin{{}, mixin}})
	require.NoError(t, err)
	entry := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "secret")
	entry = protowire.AppendString(protowire.AppendTag(entry, 2, protowire.BytesType), nested)
	inMap := protowire.AppendBytes(protowire.AppendTag(nil, 60, protowire.BytesType), entry)
	ofEntry := protowire.AppendString(protowire.AppendTag(nil, 60, protowire.BytesType), "\x0a\x01k\x18\x07") // the key k, and 3: 7
	inContext := protowire.AppendBytes(protowire.AppendTag(nil, 5, protowire.BytesType), []byte(unknown(&apipb.Mixin{})))
	for want, c := range map[string][2]string{
		"the content type is not application/protobuf":              {"application/json", string(data)},
		"malformed, or a required field is missing":                 {"", string(data[:3])},
		"a field that the schema does not have":                     {"", unknown(&apipb.Api{})},
		"at /mixins/1: a field that the schema does not have":       {"", string(wrapped)},
		"at /more/*: a field that the schema does not have":         {"", string(inMap)},
		"at /source_context: a field that the schema does not have": {"", string(inContext)},

		"an entry of a map has a field that the schema does not have": {"", string(ofEntry)},
	} {
		err := v.Validate(c[0], c[1])
		_, ok := errors.AsType[*schema.MismatchError](err)
		require.True(t, ok, want)
		assert.Equal(t, want, err.Error())
	}
	missing := "a required field is missing"
	require.ErrorContains(t, compile(t, proto2("required int32 a = 1;")).Validate("", ""), missing)
	inner := compile(t, proto2("optional N n = 1; message N { message O { required int32 a = 1; } optional O o = 1; }"))
	require.NoError(t, inner.Validate("", "\x0a\x00"))
	require.ErrorContains(t, inner.Validate("", "\x0a\x02\x0a\x00"), missing)
	imported := compile(t, "syntax = \"proto3\";\nimport \"a.proto\";\nmessage M { A a = 1; }\n",
		"a.proto", "syntax = \"proto2\";\nimport public \"b.proto\";\nmessage A { optional B b = 1; }\n",
		"b.proto", "syntax = \"proto2\";\nmessage B { required int32 a = 1; }\n")
	require.ErrorContains(t, imported.Validate("", "\x0a\x02\x0a\x00"), missing)
	require.ErrorContains(t, compile(t, proto3("string a = 1;")).Validate("", "\x0a\x01\xff"), "malformed")
}

// An extension that the schema declares is one of its fields.
func TestExtensions(t *testing.T) {
	v := compile(t, proto2("extensions 100 to 200;")+"extend M { optional int32 x = 100; }\n")
	require.NoError(t, v.Validate("", "\xa0\x06\x01"))
	require.ErrorContains(t, v.Validate("", "\xa8\x06\x01"), "a field that the schema does not have")
}

func TestCodec(t *testing.T) {
	created := leat.EventType[*timestamppb.Timestamp]{Name: "created", Topic: "t", Source: "/test", Codec: protobuf.Codec{}}
	e, err := created.New(&timestamppb.Timestamp{Seconds: 5})
	require.NoError(t, err)
	assert.Equal(t, "application/protobuf", e.DataContentType())
	got, err := created.Decode(e)
	require.NoError(t, err)
	assert.EqualValues(t, 5, got.GetSeconds())
	_, err = created.Decode(e.WithData("application/protobuf", []byte("\xffs3cr3t")))
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "s3cr3t")
	var into timestamppb.Timestamp
	require.NoError(t, protobuf.Codec{}.Decode("", e.Data(), &into))
	assert.EqualValues(t, 5, into.GetSeconds())
	require.Error(t, protobuf.Codec{}.Decode("application/json", e.Data(), &into))
	var text string
	require.ErrorContains(t, protobuf.Codec{}.Decode("", nil, &text), "*string is not a message")
	require.ErrorContains(t, protobuf.Codec{}.Decode("", nil, nil), "is not a message")
	_, err = protobuf.Codec{}.Encode("x")
	require.ErrorContains(t, err, "string is not a message")
}

func TestReferences(t *testing.T) {
	text := "syntax = \"proto3\";\nimport \"customer.proto\";\nimport \"google/protobuf/timestamp.proto\";\n" +
		"message Order { Customer by = 1; google.protobuf.Timestamp at = 2; }\n"
	v := compile(t, text, "customer.proto", "syntax = \"proto3\";\nmessage Customer { string name = 1; }\n")
	require.NoError(t, v.Validate("", "\x0a\x03\x0a\x01x"))
	_, err := protobuf.Format{}.Compile(bundleOf(1, text))
	require.ErrorContains(t, err, `the import "customer.proto" is not among the references`)
	breaks, err := protobuf.Format{}.Compare(
		bundleOf(1, text, "customer.proto", "syntax = \"proto3\";\nmessage Customer { string name = 1; }\n"),
		bundleOf(2, text, "customer.proto", "syntax = \"proto3\";\nmessage Customer { bytes name = 1; }\n"))
	require.NoError(t, err)
	require.Len(t, breaks, 1)
	assert.Equal(t, "Customer.name", breaks[0].Path)
}

// Data and schemas that are made to cost time or memory do not.
func TestHostile(t *testing.T) {
	began := time.Now()
	recursive := compile(t, proto3("M a = 1; repeated M b = 2; string c = 3; repeated int32 d = 4;"))
	deep := []byte{}
	for range 20_000 {
		deep = protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), deep)
		if len(deep) > 1<<20 {
			break
		}
	}
	for name, data := range map[string]string{
		"deep messages":       string(deep),
		"a length of 2^40":    "\x1a\x80\x80\x80\x80\x80\x80\x01x",
		"an endless varint":   "\x20" + strings.Repeat("\xff", 100),
		"a group without end": strings.Repeat("\x0b", 100_000),
		"field 0":             "\x00\x00",
	} {
		_, ok := errors.AsType[*schema.MismatchError](recursive.Validate("", data))
		assert.True(t, ok, name)
	}
	many := compile(t, proto3("repeated M b = 2;"))
	require.Error(t, many.Validate("", strings.Repeat("\x12\x02\x18\x01", 200_000)))
	for name, text := range map[string]string{
		"no message":          `syntax = "proto3";`,
		"empty":               "",
		"an import":           "syntax = \"proto3\";\nimport \"/etc/hostname\";\nmessage M {}\n",
		"an import of itself": "syntax = \"proto3\";\nimport \".\";\nmessage M {}\n",
		"an unknown type":     proto3("X a = 1;"),
		"deep messages":       "syntax = \"proto3\";\n" + strings.Repeat("message M {", 10_000) + strings.Repeat("}", 10_000),
		"no protobuf":         strings.Repeat("(", 100_000),
		"another edition":     `edition = "2099";` + "\nmessage M {}\n",
	} {
		_, err := protobuf.Format{}.Compile(bundleOf(1, text))
		if name != "deep messages" {
			assert.Error(t, err, name)
		}
	}
	assert.Less(t, time.Since(began), 30*time.Second)
}

// The library gets the bytes of the event itself.
func TestDataIsOnlyRead(t *testing.T) {
	v := compile(t, proto2("optional string a = 1; optional bytes b = 2; repeated sint64 c = 3 [packed = true]; map<string, M> d = 4; "+
		"optional group G = 5 { optional fixed32 x = 1; } extensions 100 to 200;")+"extend M { optional bytes e = 100; }\n")
	data := "\x0a\x01a\x12\x02\x00\xff\x1a\x03\x01\x80\x01\x22\x08\x0a\x01k\x12\x03\x0a\x01b\x2b\x0d\x01\x02\x03\x04\x2c\xa2\x06\x01x"
	require.NoError(t, v.Validate("", data))
	viewtest.ReadOnly(t, data+"\xb8\x06\x01", func(data string) { _ = v.Validate("", data) })
}

func FuzzValidate(f *testing.F) {
	f.Add("int32 a = 1;", "\x08\x01")
	f.Add("map<string, M> a = 1; oneof o { M b = 2; bytes c = 3; }", "\x0a\x02\x12\x00")
	f.Fuzz(func(t *testing.T, body, data string) {
		v, err := protobuf.Format{}.Compile(bundleOf(1, proto3(body)))
		if err != nil {
			return
		}
		if err := v.Validate("", data); err != nil {
			_, ok := errors.AsType[*schema.MismatchError](err)
			require.True(t, ok)
		}
		breaks, err := protobuf.Format{}.Compare(bundleOf(1, proto3(body)), bundleOf(2, proto3(body)))
		require.NoError(t, err)
		require.Empty(t, breaks)
	})
}

// Rules are asked about what the schema can read, and nothing else.
func TestRules(t *testing.T) {
	asked := 0
	format := protobuf.Format{
		Imports: []protoreflect.FileDescriptor{apipb.File_google_protobuf_api_proto},
		Rules: func(m protoreflect.MessageDescriptor, _ protoregistry.ExtensionTypeResolver) (protobuf.Check, error) {
			if m.Name() != "M" {
				return nil, errors.New("no rules for " + string(m.Name()))
			}
			return func(m protoreflect.Message, size int) []schema.Problem {
				asked++
				if m.Get(m.Descriptor().Fields().ByName("a")).Int() == 1 && size == 2 {
					return []schema.Problem{{Path: "/a", Rule: "not 1"}}
				}
				return nil
			}, nil
		},
	}
	v, err := format.Compile(bundleOf(1, proto3("int32 a = 1;")))
	require.NoError(t, err)
	require.NoError(t, v.Validate("", "\x08\x02"))
	require.EqualError(t, v.Validate("", "\x08\x01"), "at /a: not 1")
	require.Error(t, v.Validate("", "\x10\x01"))
	require.Error(t, v.Validate("", "\x08"))
	assert.Equal(t, 2, asked)
	_, err = format.Compile(bundleOf(1, "syntax = \"proto3\";\nmessage Other {}"))
	require.EqualError(t, err, "no rules for Other")
	imports := bundleOf(1, "syntax = \"proto3\";\nimport \"google/protobuf/api.proto\";\nmessage M { google.protobuf.Api b = 1; }",
		"google/protobuf/api.proto", "wrong")
	_, err = format.Compile(imports)
	require.NoError(t, err)
	breaks, err := format.Compare(imports, imports)
	require.NoError(t, err)
	assert.Empty(t, breaks)
}
