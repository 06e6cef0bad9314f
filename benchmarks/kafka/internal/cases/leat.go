package cases

import (
	"context"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/benchmarks/internal/load"
)

func (e *Env) leat() (*kafka.Broker, error) {
	return kafka.New(&kafka.Options{Hosts: e.Addrs, Compression: "none", Provision: kafka.ProvisionOff, Buffer: load.InFlight})
}

// leatPublisher starts a Producer with a way of publishing.
func leatPublisher(publish load.Publish) startPublisher {
	return func(_ context.Context, e *Env, topic string) (*load.Publisher, error) {
		broker, err := e.leat()
		if err != nil {
			return nil, err
		}
		producer := leat.NewProducer(broker, nil)
		return &load.Publisher{
			Publish: func(ctx context.Context, first, n int) (int64, error) {
				return publish(ctx, e.names, producer, topic, first, n)
			},
			Close: broker.Close,
		}, nil
	}
}

// leatConsumer runs a Consumer whose handler takes work for an event.
func leatConsumer(concurrency, maxInFlight int, work time.Duration) startConsumer {
	return func(_ context.Context, e *Env, topic, group string, a *load.Arrivals) (*consumer, error) {
		broker, err := e.leat()
		if err != nil {
			return nil, err
		}
		c := load.Consume(broker, leat.Subscription{Topic: topic, Group: group}, a, concurrency, maxInFlight, work)
		return &consumer{close: c.Close, buffered: c.InFlight}, nil
	}
}

// leatBatches runs a Consumer whose handler takes batchWork for batchSize events.
func leatBatches(maxInFlight int) startConsumer {
	return func(_ context.Context, e *Env, topic, group string, a *load.Arrivals) (*consumer, error) {
		broker, err := e.leat()
		if err != nil {
			return nil, err
		}
		c := load.ConsumeBatches(broker, leat.Subscription{Topic: topic, Group: group}, a, batchSize, maxInFlight, batchWork)
		return &consumer{close: c.Close, buffered: c.InFlight}, nil
	}
}
