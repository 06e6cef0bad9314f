package lifecycle_test

import (
	"context"
	"fmt"
	"time"

	"github.com/leatgo/leat/adapterkit/lifecycle"
)

// small is a Broker that has only its life.
type small struct {
	life lifecycle.Life[*stream]
}

// Declare is a call of a Broker.
func (b *small) Declare(ctx context.Context, topic string) error {
	return b.life.Refuse(ctx, "declare", topic)
}

// Close ends the Broker.
func (b *small) Close() error {
	b.life.Close(10*time.Second, func(context.Context) { fmt.Println("publishes are answered") },
		func([]*stream) { fmt.Println("connections are closed") })
	return nil
}

func Example() {
	b := &small{life: lifecycle.Life[*stream]{Broker: "the NATS broker"}}
	fmt.Println(b.Declare(context.Background(), "orders"))
	_ = b.Close()
	fmt.Println(b.Declare(context.Background(), "orders"))
	// Output:
	// <nil>
	// publishes are answered
	// connections are closed
	// leat: declare topic "orders": closed: the NATS broker is closed; close it behind the last Producer and Consumer
}
