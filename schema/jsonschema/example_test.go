package jsonschema_test

import (
	"context"
	"errors"
	"fmt"
	"testing/fstest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/middleware"
	"github.com/leatgo/leat/schema"
	"github.com/leatgo/leat/schema/jsonschema"
)

// files would be an embed.FS in a service.
var files = fstest.MapFS{
	"orders/1.json": {Data: []byte(`{"type":"object","properties":{"id":{"type":"string"}},"required":["id"],"additionalProperties":false}`)},
}

// A producer and a consumer that check every event, and an event that breaks the contract.
func Example() {
	ctx := context.Background()
	registry, err := schema.FromFS(files, jsonschema.Format{})
	if err != nil {
		fmt.Println(err)
		return
	}
	enforcer, err := schema.NewEnforcer(registry, &schema.EnforcerOptions{
		Formats: []schema.Format{jsonschema.Format{}},
		Base:    "https://schemas.example.com/subjects",
		Pins:    map[string]schema.Ref{"com.example.order.placed": {Subject: "orders", Version: 1}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	broker := memory.New(nil)
	defer broker.Close() //nolint:errcheck // nothing is kept
	placed := leat.EventType[map[string]any]{Name: "com.example.order.placed", Topic: "orders", Source: "/shop"}

	checked := leat.NewProducer(broker, &leat.ProducerOptions{Middleware: []leat.PublishMiddleware{enforcer.Publish()}})
	fmt.Println(placed.Publish(ctx, checked, map[string]any{"id": "o-1"}))
	fmt.Println(leat.CodeOf(placed.Publish(ctx, checked, map[string]any{"id": 2})))

	unchecked := leat.NewProducer(broker, nil) // of a service that does not know the contract yet
	fmt.Println(placed.Publish(ctx, unchecked, map[string]any{"number": 3}))

	show := leat.HandlerFunc(func(_ context.Context, e leat.Event) error {
		fmt.Println("handled:", e.DataString(), e.DataSchema())
		return nil
	})
	consumer := leat.NewConsumer(broker, leat.Subscription{Topic: "orders", Group: "billing"}, show, &leat.ConsumerOptions{
		Middleware:  []leat.Middleware{enforcer.Process()},
		PoisonQueue: middleware.PoisonQueue(checked, nil),
	})
	fmt.Println(leat.RunUntilIdle(ctx, 100*time.Millisecond, consumer))
	fmt.Println("poisoned:", consumer.Stats().Poisoned)
	// Output:
	// <nil>
	// invalid
	// <nil>
	// handled: {"id":"o-1"} https://schemas.example.com/subjects/orders/versions/1
	// <nil>
	// poisoned: 1
}

// A new version that breaks consumers does not get into a build.
func ExampleFormat() {
	_, err := schema.FromFS(fstest.MapFS{
		"name/1.json":       {Data: []byte(`{"type":"string"}`)},
		"name/2.json":       {Data: []byte(`{"type":"string","maxLength":10}`)},
		"name/subject.json": {Data: []byte(`{"level": "BACKWARD"}`)},
	}, jsonschema.Format{})
	incompatible, _ := errors.AsType[*schema.IncompatibleError](err)
	for _, b := range incompatible.Breaks {
		fmt.Println(b)
	}
	// Output:
	// name/2 cannot read what name/1 has written: limit-tightened at #/maxLength: data may be outside of the new limit; keep the old one
}
