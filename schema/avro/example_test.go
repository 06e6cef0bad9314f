package avro_test

import (
	"context"
	"fmt"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/schema/avro"
)

// An event whose data is Avro.
func ExampleCodec() {
	codec, err := avro.NewCodec(`{"type":"record","name":"Order","fields":[{"name":"id","type":"string"},{"name":"total","type":"long"}]}`)
	if err != nil {
		fmt.Println(err)
		return
	}
	placed := leat.EventType[order]{Name: "com.example.order.placed", Topic: "orders", Source: "/shop", Codec: codec}

	broker := memory.New(nil)
	defer broker.Close() //nolint:errcheck // nothing is kept
	ctx := context.Background()
	fmt.Println(placed.Publish(ctx, leat.NewProducer(broker, nil), order{"o-1", 7}))
	router := leat.NewRouter(placed.Handler(func(_ context.Context, e leat.Event, o order) error {
		fmt.Println(e.DataContentType(), len(e.Data()), "bytes:", o)
		return nil
	}))
	consumer := leat.NewConsumer(broker, leat.Subscription{Topic: "orders", Group: "billing"}, router, nil)
	fmt.Println(leat.RunUntilIdle(ctx, 100*time.Millisecond, consumer))
	// Output:
	// <nil>
	// application/avro 5 bytes: {o-1 7}
	// <nil>
}
