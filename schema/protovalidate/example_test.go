package protovalidate_test

import (
	"context"
	"fmt"
	"testing/fstest"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/schema"
	"github.com/leatgo/leat/schema/protobuf"
	"github.com/leatgo/leat/schema/protovalidate"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// The Enforcer of a producer refuses a message that breaks a rule. Here the generated message is
// timestamppb.Timestamp, whose fields the schema has.
func Example() {
	registry, err := schema.FromFS(fstest.MapFS{"started/1.proto": {Data: []byte(`
		syntax = "proto3";
		package example;
		import "buf/validate/validate.proto";
		message Started {
			int64 seconds = 1 [(buf.validate.field).int64.gt = 0];
			int32 nanos = 2 [(buf.validate.field).cel = {id: "whole", expression: "this == 0"}];
		}`)}}, protovalidate.Format{})
	if err != nil {
		fmt.Println(err)
		return
	}
	enforcer, err := schema.NewEnforcer(registry, &schema.EnforcerOptions{
		Formats: []schema.Format{protovalidate.Format{}},
		Base:    "https://schemas.example.com/subjects",
		Pins:    map[string]schema.Ref{"com.example.started": {Subject: "started", Version: 1}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	broker := memory.New(nil)
	defer func() { _ = broker.Close() }()
	producer := leat.NewProducer(broker, &leat.ProducerOptions{Source: "/example", Middleware: []leat.PublishMiddleware{enforcer.Publish()}})
	started := leat.EventType[*timestamppb.Timestamp]{
		Name: "com.example.started", Topic: "started", Codec: protobuf.Codec{},
		ID: func(at *timestamppb.Timestamp) string { return fmt.Sprint("at-", at.GetSeconds()) },
	}
	fmt.Println(started.Publish(context.Background(), producer, &timestamppb.Timestamp{Seconds: 5}))
	fmt.Println(started.Publish(context.Background(), producer, &timestamppb.Timestamp{Seconds: 6, Nanos: 7}))
	fmt.Println(started.Publish(context.Background(), producer, &timestamppb.Timestamp{Seconds: -1, Nanos: 7}))
	// Output:
	// <nil>
	// leat: publish topic "started" event "at-6": invalid: the data does not match schema started/1: at /nanos: whole
	// leat: publish topic "started" event "at--1": invalid: the data does not match schema started/1: at /seconds: int64.gt; at /nanos: whole
}
