// Package schema checks the data of events against the schemas that producers and consumers have
// agreed on: when an event is published, and when it is handled.
//
//	registry, err := schema.FromFS(files, jsonschema.Format{}) // files has orders/1.json
//	...
//	enforcer, err := schema.NewEnforcer(registry, &schema.EnforcerOptions{
//		Formats: []schema.Format{jsonschema.Format{}},
//		Base:    "https://schemas.example.com/subjects",
//		Pins:    map[string]schema.Ref{"com.example.order.placed": {Subject: "orders", Version: 1}},
//	})
//	...
//	producer := leat.NewProducer(broker, &leat.ProducerOptions{Middleware: []leat.PublishMiddleware{enforcer.Publish()}})
//	...
//	consumer := leat.NewConsumer(broker, sub, handler, &leat.ConsumerOptions{Middleware: []leat.Middleware{enforcer.Process()}})
//
// A schema is a version of a subject, and never changes. A service pins the version that it writes;
// it does not ask for the latest one. Schemas live in the repository of the service, as an embed.FS
// ([FromFS]), or in a registry on the network (package schema/confluent). The languages of
// schemas are modules of their own: schema/jsonschema, schema/avro, schema/protobuf, and
// schema/protovalidate, which is Protobuf with rules.
package schema
