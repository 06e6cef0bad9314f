package protovalidate_test

import (
	"strings"
	"testing"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	pv "buf.build/go/protovalidate"
	"github.com/leatgo/leat/schema"
	"github.com/leatgo/leat/schema/protobuf"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
)

// order is a schema of an order with lines, with rules of most kinds.
var order = file(`string id = 1 [(buf.validate.field).string = {min_len: 1, max_len: 64}];
	repeated Line lines = 2 [(buf.validate.field).repeated = {min_items: 1, max_items: 1000}];
	map<string, string> notes = 3 [(buf.validate.field).map.keys.string.min_len = 1];`,
	`message Line { string sku = 1 [(buf.validate.field).string.pattern = "^[a-z]+$"];
	int32 quantity = 2 [(buf.validate.field).int32.gt = 0]; }`)

// orderWithCEL has an expression as well.
var orderWithCEL = strings.Replace(order, "message M {",
	`message M { option (buf.validate.message).cel = {id: "some", expression: "this.lines.exists(l, l.quantity > 0)"};`, 1)

// data is an order of about 1 KiB.
func data() string {
	line := text(1, strings.Repeat("a", 28)) + number(2, 3)
	return text(1, "o-1") + strings.Repeat(text(2, line), 28) + text(3, text(1, "note")+text(2, "x"))
}

// What the check of an event costs, beside protovalidate itself on a message that is read
// already, and beside the reading of a message without rules.
func BenchmarkValidate(b *testing.B) {
	for name, text := range map[string]string{"rules": order, "CEL": orderWithCEL} {
		b.Run(name+"/protovalidate", func(b *testing.B) { benchmarkDirect(b, text) })
		b.Run(name+"/Format", func(b *testing.B) {
			benchmark(b, compile(b, text))
		})
	}
	b.Run("without rules", func(b *testing.B) {
		v, err := protobuf.Format{}.Compile(bundleOf(plain(order)))
		require.NoError(b, err)
		benchmark(b, v)
	})
}

func benchmark(b *testing.B, v schema.Validator) {
	b.Helper()
	d := data()
	b.ReportAllocs()
	for b.Loop() {
		if err := v.Validate("", d); err != nil {
			b.Fatal(err)
		}
	}
}

// plain is a schema without its rules.
func plain(text string) string {
	for {
		before, rest, found := strings.Cut(text, " [(")
		if !found {
			return strings.Replace(text, `import "buf/validate/validate.proto";`, "", 1)
		}
		_, after, _ := strings.Cut(rest, "];")
		text = before + ";" + after
	}
}

func benchmarkDirect(b *testing.B, text string) {
	b.Helper()
	var message protoreflect.MessageDescriptor
	_, err := protobuf.Format{
		Imports: []protoreflect.FileDescriptor{validate.File_buf_validate_validate_proto},
		Rules: func(m protoreflect.MessageDescriptor, _ protoregistry.ExtensionTypeResolver) (protobuf.Check, error) {
			message = m
			return nil, nil //nolint:nilnil // the descriptor is all that is wanted
		},
	}.Compile(bundleOf(text))
	require.NoError(b, err)
	v, err := pv.New(pv.WithMessageDescriptors(message), pv.WithDisableLazy())
	require.NoError(b, err)
	m := dynamicpb.NewMessage(message)
	require.NoError(b, proto.Unmarshal([]byte(data()), m))
	b.ReportAllocs()
	for b.Loop() {
		if err := v.Validate(m); err != nil {
			b.Fatal(err)
		}
	}
}
