// Package protovalidate reads, checks and compares Protobuf schemas with rules of
// [protovalidate], such as
//
//	string id = 1 [(buf.validate.field).string.min_len = 1];
//
// Use its Format where package schema/protobuf has one. Its Codec is that of schema/protobuf.
//
//	registry, err := schema.FromFS(files, protovalidate.Format{}) // files has orders/1.proto
//
// A schema may import buf/validate/validate.proto without a reference. It is a module of its own,
// because protovalidate needs the Common Expression Language (CEL), which is large.
//
// [protovalidate]: https://protovalidate.com
package protovalidate
