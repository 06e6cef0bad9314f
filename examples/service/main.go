// Service is a shop in three services, and a place to start your own from: checkout takes orders
// over HTTP, billing charges them, shipping ships what is paid. README.md shows how to run it.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/awssnssqs"
	"github.com/leatgo/leat/adapters/gcppubsub"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/adapters/nats"
	"github.com/leatgo/leat/adapters/rabbitmq"
	"github.com/leatgo/leat/health"
	"github.com/leatgo/leat/middleware"
	"golang.org/x/sync/errgroup"
)

const usage = `usage: service                           the whole shop in this process, with some orders
       service checkout|billing|shipping one service, until it is told to stop
       service poison ls|replay SERVICE  show or repeat what a service could not handle
environment: BROKER_URL (mem://), HTTP_ADDR (127.0.0.1:8080), DATABASE (:memory:)`

const shutdownTimeout = 20 * time.Second

// brokers is the one place that names adapters.
var brokers = leat.Openers{
	"mem":   memory.Open,
	"kafka": kafka.OpenWith(func(o *kafka.Options) { o.Logger = slog.Default() }),
	"amqp":  rabbitmq.OpenWith(func(o *rabbitmq.Options) { o.Logger = slog.Default() }),
	"nats":  nats.OpenWith(func(o *nats.Options) { o.Logger = slog.Default() }),
	"amqps": rabbitmq.OpenWith(func(o *rabbitmq.Options) { o.Logger = slog.Default() }),

	"awssnssqs": awssnssqs.OpenWith(func(o *awssnssqs.Options) { o.Logger = slog.Default() }),
	"gcppubsub": gcppubsub.OpenWith(func(o *gcppubsub.Options) { o.Logger = slog.Default() }),
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "service:", err)
		os.Exit(1)
	}
}

// run is the program without its process.
func run(ctx context.Context, args []string) error {
	a, err := open(ctx)
	if err != nil {
		return err
	}
	switch {
	case len(args) == 0:
		err = a.demo(ctx)
	case len(args) == 1 && (args[0] == "checkout" || subscriptions[args[0]].Topic != ""):
		err = a.serve(ctx, cmp.Or(os.Getenv("HTTP_ADDR"), "127.0.0.1:8080"), args[0])
	case len(args) == 3 && args[0] == "poison" && subscriptions[args[2]].Topic != "":
		err = a.poison(ctx, args[1], args[2])
	default:
		err = errors.New(usage)
	}
	return errors.Join(err, a.close())
}

// app is what the services use.
type app struct {
	broker   leat.Broker
	producer *leat.Producer
	db       *store
	observer leat.Observer // of tests
}

func open(ctx context.Context) (*app, error) {
	db, err := openStore(ctx, cmp.Or(os.Getenv("DATABASE"), ":memory:"))
	if err != nil {
		return nil, err
	}
	broker, err := brokers.Open(ctx, cmp.Or(os.Getenv("BROKER_URL"), "mem://"))
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	// The producer declares the topics, so that it does not matter which service is deployed first.
	o := leat.ProducerOptions{Source: "/shop", Topics: []string{OrderPlaced.Topic, OrderPaid.Topic}, Logger: slog.Default()}
	return &app{broker, leat.NewProducer(broker, &o), db, nil}, nil
}

// close ends what the services used, in the order in which it is used no more.
func (a *app) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	return errors.Join(a.producer.Close(ctx), a.broker.Close(), a.db.Close())
}

// consumer returns the consumer of a service.
func (a *app) consumer(service string) *leat.Consumer {
	return leat.NewConsumer(a.broker, subscriptions[service], a.handler(service), &leat.ConsumerOptions{
		Middleware:  []leat.Middleware{middleware.Retry(nil), middleware.Timeout(10 * time.Second)},
		PoisonQueue: middleware.PoisonQueue(a.producer, nil),
		Observer:    a.observer,
		Logger:      slog.Default(),
	})
}

// serve runs services until ctx ends or one of them fails. Then it takes no more orders, lets the
// handlers finish, and returns.
func (a *app) serve(ctx context.Context, address string, services ...string) error {
	var consumers []*leat.Consumer
	mux := http.NewServeMux()
	for _, service := range services {
		if service == "checkout" {
			mux.Handle("POST /orders", checkout(a.producer))
		} else {
			consumers = append(consumers, a.consumer(service))
		}
	}
	mux.Handle("/", health.Handler(consumers, a.producer)) // livez, readyz
	server := &http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return leat.Run(running, consumers...) })
	group.Go(func() error {
		if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		defer stop() // after HTTP, the consumers drain
		<-ctx.Done() // told to stop, or one of them failed
		closing, cancel := context.WithTimeout(running, shutdownTimeout)
		defer cancel()
		return server.Shutdown(closing)
	})
	return group.Wait()
}
