package cloudevents_test

import (
	"context"
	"fmt"
	"time"

	sdk "github.com/cloudevents/sdk-go/v2"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/cloudevents"
	"github.com/leatgo/leat/adapters/memory"
)

func ExampleToSDK() {
	e, err := leat.NewEvent("com.example.order.placed.v1", &leat.EventOptions{
		ID: "1", Source: "/shop", Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), DataContentType: "application/json",
		Data: []byte(`{"order":7}`), Extensions: map[string]any{"sampledrate": 30},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	out, err := cloudevents.ToSDK(e)
	if err != nil {
		fmt.Println(err)
		return
	}
	var order struct{ Order int }
	fmt.Println(out.Type(), out.DataAs(&order), order.Order, out.Extensions()["sampledrate"])

	_, err = cloudevents.ToSDK(e.WithSource("HTTP://Example.com/shop")) // the SDK would make http:// of it
	fmt.Println(err)
	// Output:
	// com.example.order.placed.v1 <nil> 7 30
	// leat: convert event "1": unsupported: attribute "source" would be written anew by the SDK (CloudEvents SDK v2.16.2)
}

func ExampleFromSDK() {
	in := sdk.NewEvent()
	in.SetID("1")
	in.SetSource("/shop")
	in.SetType("com.example.order.placed.v1")
	in.SetExtension("partitionkey", "customer-42")
	if err := in.SetData(sdk.ApplicationJSON, map[string]int{"order": 7}); err != nil {
		fmt.Println(err)
		return
	}
	e, err := cloudevents.FromSDK(in)
	fmt.Println(e.Key(), e.DataString(), err)

	in.SetSubject("two\nlines") // which the SDK lets pass
	_, err = cloudevents.FromSDK(in)
	fmt.Println(err)
	// Output:
	// customer-42 {"order":7} <nil>
	// leat: convert event "1": invalid: attribute "subject" has a control character (CloudEvents 1.0.2, Type System: String)
}

// A client of the SDK sends to and receives from a Leat broker; any broker will do.
func ExampleProtocol() {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	broker := memory.New(nil)
	defer func() { _ = broker.Close() }()
	billing := leat.Subscription{Topic: "orders", Group: "billing"}
	p, err := cloudevents.New(broker, &cloudevents.Options{Topic: "orders", Subscription: billing})
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := sdk.NewClient(p, sdk.WithTimeNow(), sdk.WithUUIDs())
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := leat.Declare(ctx, broker, billing); err != nil { // from here on, the broker keeps orders for billing
		fmt.Println(err)
		return
	}
	order := sdk.NewEvent()
	order.SetSource("/shop")
	order.SetType("com.example.order.placed.v1")
	fmt.Println("sent:", client.Send(ctx, order))

	attempts := 0
	err = client.StartReceiver(ctx, func(ctx context.Context, e sdk.Event) error {
		if attempts++; attempts == 1 {
			return leat.RetryAfter(time.Millisecond, fmt.Errorf("not yet"))
		}
		info, _ := leat.InfoFrom(ctx)
		fmt.Println("received:", e.Type(), "attempt", info.Attempt)
		stop() // the event is acknowledged when this function has returned
		return nil
	})
	fmt.Println("stopped:", err)
	// Output:
	// sent: <nil>
	// received: com.example.order.placed.v1 attempt 2
	// stopped: <nil>
}
