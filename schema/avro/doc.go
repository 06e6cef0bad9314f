// Package avro reads, checks and compares Avro schemas for package schema, and turns Go values into
// Avro data and back.
//
//	registry, err := schema.FromFS(files, avro.Format{}) // files has orders/1.avsc
//	...
//	codec, err := avro.NewCodec(text) // of the version that the service is written for
//	placed := leat.EventType[Order]{Name: "com.example.order.placed", Topic: "orders", Codec: codec}
//
// Avro data does not say how it was written: whoever reads it needs the schema of the writer. So
// [schema.Enforcer.Process] turns the data of an event whose dataschema names another version than
// the pin into data of the pinned version, with the defaults, aliases and promotions of Avro's
// schema resolution. The Codec of a handler then needs one schema only.
//
// Data is Avro's binary encoding without anything in front of it, with the content type
// application/avro. The work is done by github.com/twmb/avro.
package avro
