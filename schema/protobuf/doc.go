// Package protobuf reads, checks and compares Protobuf schemas for package schema, and turns
// generated Go messages into data and back.
//
//	registry, err := schema.FromFS(files, protobuf.Format{}) // files has orders/1.proto
//	...
//	placed := leat.EventType[*orderpb.Order]{Name: "com.example.order.placed", Topic: "orders", Codec: protobuf.Codec{}}
//
// The data of an event is the first message of the file, in the binary encoding without anything in
// front of it, with the content type application/protobuf. Protobuf itself accepts almost all data:
// an unknown field is kept, and a missing one has a default. Here a field that the schema does not
// have is a mismatch, because the schema is the writer's.
package protobuf
