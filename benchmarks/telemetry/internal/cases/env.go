// Package cases has the groups of cases that are measured: Leat without and with telemetry, and
// what its peers have in the same place.
package cases

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/benchmarks/internal/bench"
	"github.com/leatgo/leat/benchmarks/internal/load"
)

const (
	shortEvents = 1_000 // how many events of a broker a case takes in a smoke test
	mostEvents  = kafkaEvents + 2_000
)

// Env is the brokers that are measured on, and what the cases share there.
type Env struct {
	// Kafka are the addresses of a Kafka, and Rabbit is the URL of a RabbitMQ.
	Kafka  []string
	Rabbit string

	topic  string // the topic on Kafka, once it is filled
	names  *load.Names
	serial atomic.Int64
}

// All returns every group, in the order of the report.
func (e *Env) All() []bench.Group {
	return []bench.Group{inMemory(), watermillInMemory(), e.kafkaConsume(), e.rabbitConsume()}
}

// name makes a name that no other case of the run has.
func (e *Env) name(what string) string {
	return fmt.Sprintf("bench-%s-%d-%d", what, time.Now().UnixNano(), e.serial.Add(1))
}

// fill publishes the first n events to a topic, with spans of which 1 % are sampled.
func (e *Env) fill(ctx context.Context, broker leat.Broker, topic string, n int) (err error) {
	if e.names == nil {
		e.names = load.NewNames(mostEvents)
	}
	on, err := choice{publish: true, sampler: onePercent()}.on(broker)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, on.off()) }()
	producer := leat.NewProducer(broker, &leat.ProducerOptions{Middleware: on.publish})
	var failed load.FirstError
	for i := range n {
		event, err := newEvent(e.names.At(i))
		if err != nil {
			return err
		}
		producer.PublishAsync(ctx, topic, func(_ leat.Event, err error) { failed.Note(err) }, event)
	}
	return errors.Join(producer.Flush(ctx), failed.Err())
}
