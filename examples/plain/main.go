// Command plain is a service beside an older program that knows nothing of CloudEvents. The older
// program writes orders as plain JSON. The service reads them with a mapping, and publishes
// invoices, which the older program reads as plain JSON.
//
//	go run ./examples/plain                             the broker in memory
//	go run ./examples/plain -kafka localhost:9092
//	go run ./examples/plain -rabbitmq localhost:5672    as guest
//	go run ./examples/plain -nats localhost:4222
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/adapters/nats"
	"github.com/leatgo/leat/adapters/rabbitmq"
	"github.com/leatgo/leat/foreign"
)

// Order is what the older program writes, and Invoice what it reads, both as JSON.
type (
	Order struct {
		ID       string `json:"id"`
		Customer string `json:"customer"`
		Cents    int    `json:"cents"`
	}
	Invoice struct {
		Order string `json:"order"`
		Cents int    `json:"cents"`
	}
)

// config is where the program runs.
type config struct {
	kafka, rabbitmq, nats string // host:port; none means the broker in memory
	suffix                string // of the topics, on a broker that others use as well
}

// contracts are the events of the service. The older program has no names for them.
type contracts struct {
	placed leat.EventType[Order]
	issued leat.EventType[Invoice]
}

func (c *config) contracts() contracts {
	return contracts{
		placed: leat.EventType[Order]{Name: "com.example.order.placed.v1", Topic: "orders" + c.suffix},
		issued: leat.EventType[Invoice]{Name: "com.example.invoice.issued.v1", Topic: "invoices" + c.suffix,
			Key: func(i Invoice) string { return i.Order }},
	}
}

// mapping makes events of the older program's messages. Everything that is not said here has its
// default: the id is the position on Kafka, the message_id on RabbitMQ and the Nats-Msg-Id on NATS,
// the time the transport's timestamp. The order of a customer is kept by the message's key.
func (c *config) mapping() foreign.Mapping {
	return foreign.Plain(&foreign.PlainOptions{
		Type: c.contracts().placed.Name, Source: "/legacy/shop", DataContentType: "application/json",
		SubjectOf: func(m foreign.Message) (string, error) { return "customer/" + string(m.Key), nil },
	})
}

// customerHeader is where the older program writes the customer on a broker that has no key.
const customerHeader = "customer"

// open connects the service and the older program.
func (c *config) open() (leat.Broker, legacy, error) {
	switch {
	case c.kafka != "":
		broker, err := kafka.New(&kafka.Options{Hosts: []string{c.kafka}, Mapping: c.mapping()})
		if err != nil {
			return nil, nil, err
		}
		older, err := newKafkaLegacy(c)
		return broker, older, err
	case c.rabbitmq != "":
		broker, err := rabbitmq.New(&rabbitmq.Options{
			Hosts: []string{c.rabbitmq}, Mapping: c.mapping(), KeyFrom: "header:" + customerHeader,
		})
		if err != nil {
			return nil, nil, err
		}
		older, err := newRabbitLegacy(c)
		return broker, older, err
	case c.nats != "":
		broker, err := nats.New(&nats.Options{Hosts: []string{c.nats}, Mapping: c.mapping(), KeyHeader: customerHeader})
		if err != nil {
			return nil, nil, err
		}
		older, err := newNATSLegacy(c)
		return broker, older, err
	}
	broker := memory.New(&memory.Options{Mapping: c.mapping()})
	return broker, &memoryLegacy{broker: broker, types: c.contracts()}, nil
}

func main() {
	var c config
	flag.StringVar(&c.kafka, "kafka", "", "the host:port of a Kafka")
	flag.StringVar(&c.rabbitmq, "rabbitmq", "", "the host:port of a RabbitMQ")
	flag.StringVar(&c.nats, "nats", "", "the host:port of a NATS with JetStream")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := c.run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "plain:", err)
		os.Exit(1)
	}
}

func (c *config) run(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	broker, older, err := c.open()
	if broker != nil {
		defer func() { err = errors.Join(err, broker.Close()) }()
	}
	if err != nil {
		return err
	}
	types := c.contracts()
	orders := leat.Subscription{Topic: types.placed.Topic, Group: "invoicing"}
	archive := leat.Subscription{Topic: types.issued.Topic, Group: "archive"}
	if err := leat.Declare(ctx, broker, orders, archive); err != nil {
		return err
	}
	if err := older.start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, older.stop()) }()
	for _, o := range []Order{{"A-17", "ann", 1250}, {"A-18", "ann", 300}} {
		if err := older.write(ctx, o); err != nil {
			return err
		}
	}
	if err := c.serve(ctx, broker, orders); err != nil {
		return err
	}
	for range 2 {
		text, err := older.read(ctx)
		if err != nil {
			return err
		}
		fmt.Println("the older program reads", text)
	}
	return nil
}

// serve is the service: it handles two orders and publishes an invoice for each.
func (c *config) serve(ctx context.Context, broker leat.Broker, orders leat.Subscription) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	types := c.contracts()
	producer := leat.NewProducer(broker, &leat.ProducerOptions{Source: "/invoicing"})
	left := 2
	handler := types.placed.Handler(func(ctx context.Context, e leat.Event, o Order) error {
		info, _ := leat.InfoFrom(ctx)
		fmt.Printf("%s from %s, %s, key %q: order %s of %d cents\n", e.Type(), e.Source(), e.Subject(), info.Key, o.ID, o.Cents)
		if err := types.issued.Publish(ctx, producer, Invoice{o.ID, o.Cents}); err != nil {
			return err
		}
		if left--; left == 0 {
			stop() // two orders are all that this program handles
		}
		return nil
	})
	return leat.Run(ctx, leat.NewConsumer(broker, orders, leat.NewRouter(handler), &leat.ConsumerOptions{Concurrency: 1}))
}
