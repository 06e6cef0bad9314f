package cases

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/linker"
	leatprotobuf "github.com/leatgo/leat/schema/protobuf"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"
)

const protobufV1 = `syntax = "proto3";
package shop;
message Order {
  string id = 1;
  string placed = 2;
  repeated Line lines = 3;
}
message Line {
  string sku = 1;
  int32 quantity = 2;
}
`

func protobufLanguage() language {
	l := language{
		name: "protobuf", library: "protobuf, dynamicpb", times: 20_000, format: leatprotobuf.Format{}, content: "application/protobuf",
		about: "The library decodes the bytes to a dynamic message of the compiled file, as the Enforcer does. It accepts unknown fields. The " +
			"Enforcer looks for them.",
	}
	l.versions = [2]string{protobufV1, strings.Replace(protobufV1, "Order {", "Order {\n  string note = 4;", 1)}
	l.data = func() ([]byte, error) {
		file, err := compile(l.versions[1])
		if err != nil {
			return nil, err
		}
		return kilobyte(func(order map[string]any) ([]byte, error) {
			text, err := json.Marshal(order)
			if err != nil {
				return nil, err
			}
			m := dynamicpb.NewMessage(file.Messages().Get(0))
			if err := protojson.Unmarshal(text, m); err != nil {
				return nil, err
			}
			return proto.Marshal(m)
		})
	}
	l.direct = func() (func() error, error) {
		file, err := compile(l.versions[1])
		if err != nil {
			return nil, err
		}
		message, options := file.Messages().Get(0), proto.UnmarshalOptions{Resolver: linker.ResolverFromFile(file)}
		data, err := l.data()
		return func() error { return options.Unmarshal(data, dynamicpb.NewMessage(message)) }, err
	}
	return l
}

func compile(text string) (linker.File, error) {
	compiler := protocompile.Compiler{Resolver: &protocompile.SourceResolver{
		Accessor: protocompile.SourceAccessorFromMap(map[string]string{"order.proto": text}),
	}}
	files, err := compiler.Compile(context.Background(), "order.proto")
	if err != nil {
		return nil, err
	}
	return files[0], nil
}
