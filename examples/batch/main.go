// Command batch stores events in PostgreSQL, up to 500 at a time, with COPY:
//
//	DATABASE_URL=postgres://user@localhost/db go run ./examples/batch
//
// Some readings break a rule of the table. They end in the poison queue, and the others of their
// batch are stored. An event that comes again is stored once.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/middleware"
)

// Reading is what a sensor measured.
type Reading struct {
	Sensor  string
	Celsius float64
}

// ReadingTaken is the contract of the sensors and this service.
var ReadingTaken = leat.EventType[Reading]{
	Name: "com.example.reading.taken.v1", Topic: "readings", Key: func(r Reading) string { return r.Sensor },
}

func main() {
	url := os.Getenv("DATABASE_URL")
	if url == "" {
		fmt.Println("batch: NOTHING DONE: set DATABASE_URL to a PostgreSQL, in which it may create the table readings")
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, url, 5_000, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "batch:", err)
		os.Exit(1)
	}
}

// run publishes readings, every thousandth of which is wrong, and stores them.
func run(ctx context.Context, url string, readings int, out io.Writer) (err error) {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	s := &store{pool: pool}
	if err := s.create(ctx); err != nil {
		return err
	}
	broker := memory.New(nil)
	defer func() { err = errors.Join(err, broker.Close()) }()
	producer := leat.NewProducer(broker, &leat.ProducerOptions{Source: "/sensors"})
	sub := leat.Subscription{Topic: ReadingTaken.Topic, Group: "archive"}
	if err := leat.Declare(ctx, broker, sub); err != nil {
		return err
	}
	route := ReadingTaken.Batch(&leat.BatchOptions{MaxEvents: 500, MaxWait: 200 * time.Millisecond, SameKey: true}, s.insert)
	consumer := leat.NewConsumer(broker, sub, leat.NewRouter(route), &leat.ConsumerOptions{
		MaxInFlight: 2_000, // four batches: some run while the next one gathers
		Middleware:  []leat.Middleware{middleware.Retry(nil)},
		PoisonQueue: middleware.PoisonQueue(producer, nil),
	})
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ran := make(chan error, 1)
	go func() { ran <- leat.Run(ctx, consumer) }()
	for i := range readings {
		r := Reading{Sensor: fmt.Sprintf("sensor-%d", i%40), Celsius: float64(i%60) - 20}
		if i%1_000 == 0 {
			r.Celsius = -300 // colder than anything
		}
		if err := ReadingTaken.Publish(ctx, producer, r); err != nil {
			return err
		}
	}
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		if c := consumer.Stats(); c.Handled+c.Poisoned >= int64(readings) {
			tick.Stop()
			stop()
			_, err := fmt.Fprintf(out, "%d readings stored, %d poisoned\n", c.Handled, c.Poisoned)
			return errors.Join(err, <-ran)
		}
		select {
		case err := <-ran:
			return err
		case <-tick.C:
		}
	}
}
