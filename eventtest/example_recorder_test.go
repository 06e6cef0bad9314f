package eventtest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/eventtest"
)

// Order is what the events of the example carry.
type Order struct {
	ID       string `json:"id"`
	Customer string `json:"customer"`
}

var (
	OrderPlaced = leat.EventType[Order]{Name: "order.placed", Topic: "orders", Key: func(o Order) string { return o.Customer }}
	OrderPaid   = leat.EventType[Order]{Name: "order.paid", Topic: "payments", Key: func(o Order) string { return o.Customer }}
)

// runBilling is a service as it runs in production: it opens its broker by URL, shows an observer,
// such as one for metrics, what it does, and runs until ctx ends.
func runBilling(ctx context.Context, brokers leat.Openers, url string, o leat.Observer) (err error) {
	broker, err := brokers.Open(ctx, url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, broker.Close()) }()
	producer := leat.NewProducer(broker, &leat.ProducerOptions{Source: "/billing", Topics: []string{OrderPaid.Topic}})
	charge := OrderPlaced.Handler(func(ctx context.Context, _ leat.Event, o Order) error {
		if info, _ := leat.InfoFrom(ctx); info.Attempt == 1 {
			return leat.RetryAfter(time.Millisecond, errors.New("the bank does not answer"))
		}
		return OrderPaid.Publish(ctx, producer, o)
	})
	sub := leat.Subscription{Topic: "orders", Group: "billing"}
	return leat.Run(ctx, leat.NewConsumer(broker, sub, leat.NewRouter(charge), &leat.ConsumerOptions{Observer: o}))
}

// The service under test is the one of production. Only the Opener and the Observer are others.
func ExampleRecorder() {
	t := &exampleT{} // in a test, its *testing.T
	defer t.end()

	rec := eventtest.NewRecorder(t, nil)
	rec.Start(t, func(ctx context.Context) error {
		return runBilling(ctx, leat.Openers{"kafka": rec.Open}, "kafka://broker:9092", rec)
	}, "billing")

	shop := leat.NewProducer(rec.Broker(), &leat.ProducerOptions{Source: "/shop"})
	if err := OrderPlaced.Publish(context.Background(), shop, Order{ID: "7", Customer: "ada"}); err != nil {
		t.Fatal(err)
	}
	rec.Settled(t) // every event is handled by every group, retries included

	paid := rec.Published().Type("order.paid").One(t)
	fmt.Println(paid.Event.Type(), "for", paid.Event.Key())
	fmt.Println("because", paid.Cause.Group, "handled", paid.Cause.Event.Type(), "in attempt", paid.Cause.Attempt)
	fmt.Println("retried:", rec.Retried("billing").Len(), "poisoned:", rec.Poisoned("billing").Len())
	// Output:
	// order.paid for ada
	// because billing handled order.placed in attempt 2
	// retried: 1 poisoned: 0
}

// A wait that fails says what is missing, and why.
func ExampleRecorder_Wait() {
	t := &exampleT{} // in a test, its *testing.T
	defer t.end()

	rec := eventtest.NewRecorder(t, nil)
	reject := leat.HandlerFunc(func(context.Context, leat.Event) error { return leat.Reject(errors.New("unknown currency")) })
	billing := leat.NewConsumer(rec.Broker(), leat.Subscription{Topic: "orders", Group: "billing"}, reject,
		&leat.ConsumerOptions{Observer: rec})
	rec.Start(t, func(ctx context.Context) error { return leat.Run(ctx, billing) }, "billing")

	e, err := leat.NewEvent("order.placed", &leat.EventOptions{ID: "order-7", Source: "/shop", Key: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	if err := leat.NewProducer(rec.Broker(), nil).Publish(context.Background(), "orders", e); err != nil {
		t.Fatal(err)
	}
	err = rec.Wait(context.Background())
	fmt.Println(firstLines(err.Error(), 2))
	// Output:
	// eventtest: not settled: an event is stuck: it was given up, and there is no poison queue; outstanding: 1
	//   orders billing: order.placed order-7, key ada is stuck: it was given up, and there is no poison queue: unknown currency
}

// exampleT stands for the *testing.T that a test has and an example has not.
type exampleT struct {
	testing.TB

	cleanups []func()
}

func (t *exampleT) Helper()                           {}
func (t *exampleT) Cleanup(f func())                  { t.cleanups = append(t.cleanups, f) }
func (t *exampleT) Errorf(format string, args ...any) { fmt.Printf(format+"\n", args...) }
func (t *exampleT) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (t *exampleT) Fatal(args ...any)                 { panic(fmt.Sprint(args...)) }

func (t *exampleT) end() {
	for i := range t.cleanups {
		t.cleanups[len(t.cleanups)-1-i]()
	}
}
