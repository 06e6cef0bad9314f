package cases

import (
	"context"
	"net/url"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/rabbitmq"
	"github.com/leatgo/leat/benchmarks/internal/load"
)

func (e *Env) leat(queue string) (*rabbitmq.Broker, error) {
	u, err := url.Parse(e.url)
	if err != nil {
		return nil, err
	}
	o := &rabbitmq.Options{
		Hosts: []string{u.Host}, Buffer: load.InFlight, AllowPlaintext: true, // the other parties send it so as well
		Credentials: func(context.Context) (user, password string, err error) {
			password, _ = u.User.Password()
			return u.User.Username(), password, nil
		},
	}
	if queue == classic {
		o.QueueType = rabbitmq.QueueClassic
	}
	return rabbitmq.New(o)
}

// leatPublisher starts a Producer with a way of publishing.
func leatPublisher(queue string, publish load.Publish) startPublisher {
	return func(_ context.Context, e *Env, p place) (*load.Publisher, error) {
		broker, err := e.leat(queue)
		if err != nil {
			return nil, err
		}
		producer := leat.NewProducer(broker, nil)
		return &load.Publisher{
			Publish: func(ctx context.Context, first, n int) (int64, error) {
				return publish(ctx, e.names, producer, p.exchange, first, n)
			},
			Close: broker.Close,
		}, nil
	}
}

// declareLeat declares a queue as Leat does it: with one active consumer, a delivery limit and a
// dead-letter queue.
func declareLeat(ctx context.Context, e *Env, p place, queue string) error {
	broker, err := e.leat(queue)
	if err != nil {
		return err
	}
	defer broker.Close() //nolint:errcheck // Declare tells
	return broker.Declare(ctx, p.subscription())
}

func (p place) subscription() leat.Subscription {
	return leat.Subscription{Topic: p.exchange, Group: "group"}
}

// leatConsumer runs a Consumer whose handler takes work for an event.
func leatConsumer(queue string, concurrency, maxInFlight int, work time.Duration) startConsumer {
	return func(_ context.Context, e *Env, p place, a *load.Arrivals) (func() error, error) {
		broker, err := e.leat(queue)
		if err != nil {
			return nil, err
		}
		return load.Consume(broker, p.subscription(), a, concurrency, maxInFlight, work).Close, nil
	}
}
