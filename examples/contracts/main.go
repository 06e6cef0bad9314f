// Command contracts is two services that are bound by schemas: orders publishes what customers have
// ordered, and billing charges it. It shows what becomes of a change that breaks billing, of one
// that does not, and of events that do not match.
//
//	go run ./examples/contracts                                   schemas from the files of the services
//	go run ./examples/contracts -registry http://localhost:8081   from a registry with Confluent's API
//	go run ./examples/contracts -broker kafka://localhost:9092
//
// Of Apicurio, -registry is http://localhost:8080/apis/ccompat/v7. docs/schemas.md explains the rest.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/awssnssqs"
	"github.com/leatgo/leat/adapters/gcppubsub"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/adapters/nats"
	"github.com/leatgo/leat/adapters/rabbitmq"
)

// config is what the flags say.
type config struct {
	broker, registry string
	suffix           string // of topic and subject, for tests on servers that others use as well
}

func main() {
	var c config
	flag.StringVar(&c.broker, "broker", "mem://", "the URL of the broker")
	flag.StringVar(&c.registry, "registry", "", "the URL of a registry with Confluent's API; without it, schemas are files")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, c, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "contracts:", err)
		os.Exit(1)
	}
}

// run is the program.
func run(ctx context.Context, c config, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	broker, err := leat.Openers{
		"mem": memory.Open, "kafka": kafka.Open, "amqp": rabbitmq.Open, "nats": nats.Open, "awssnssqs": awssnssqs.Open,
		"gcppubsub": gcppubsub.Open,
	}.Open(ctx, c.broker)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, broker.Close()) }()
	schemas, err := openSchemas(c.registry, c.suffix)
	if err != nil {
		return err
	}
	topic := "contracts-orders" + c.suffix
	sub := leat.Subscription{Topic: topic, Group: "billing"}
	if err := leat.Declare(ctx, broker, sub); err != nil {
		return err
	}
	return (&story{out: out, broker: broker, schemas: schemas, sub: sub, charged: make(chan charge, 16)}).tell(ctx)
}
