// Command fromwatermill moves a service with a Watermill Router to Leat in three steps, and runs
// each. The service has two handlers: one charges an order that was placed and says so, one ships
// what was paid.
//
//	before    the Router on Watermill's own gochannel
//	step 1    the same Router and handlers; the Pub/Sub is a broker of Leat
//	step 2    one handler is Leat's; it reads what the Router publishes
//	step 3    all is Leat's; the Router is gone
//
// In the place of the broker in memory there may be any other: steps 1 to 3 do not know which it
// is.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
)

// The topics.
const (
	placedTopic = "orders.placed"
	paidTopic   = "orders.paid"
)

// Order is the data of both topics.
type Order struct {
	ID    string `json:"id"`
	Cents int    `json:"cents"`
}

// step runs the service until the shop has shipped all orders, which it publishes itself.
type step struct {
	name string
	run  func(ctx context.Context, s *shop) error
}

func steps() []step {
	onLeat := func(run func(ctx context.Context, broker leat.Broker, s *shop) error) func(ctx context.Context, s *shop) error {
		return func(ctx context.Context, s *shop) error {
			broker := memory.New(nil)
			defer func() { _ = broker.Close() }() // its Close has no error
			return run(ctx, broker, s)
		}
	}
	return []step{{"before", before}, {"step 1", onLeat(step1)}, {"step 2", onLeat(step2)}, {"step 3", onLeat(step3)}}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "fromwatermill:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, s := range steps() {
		shop := newShop(20)
		if err := s.run(ctx, shop); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Printf("%s: %s\n", s.name, shop.report())
	}
	return nil
}
