package cases

import (
	"context"
	"errors"
	"net/url"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/rabbitmq"
	"github.com/leatgo/leat/benchmarks/internal/bench"
	"github.com/leatgo/leat/benchmarks/internal/load"
)

const rabbitEvents = 30_000

func (e *Env) rabbitConsume() bench.Group {
	return bench.Group{
		Name: "rabbitmq/consume",
		About: "One consumer of a durable classic queue that was filled before, as the topic of Kafka was; up to 1,000 messages in flight " +
			"and 16 handlers.",
		Cases: []bench.Case{
			e.fromRabbit("Leat, no telemetry", choice{}), e.fromRabbit(everythingOn, consumed()), e.fromRabbit(everythingBySDK, consumedBySDK()),
		},
		Goals: []bench.Goal{
			{Case: everythingOn, Metric: bench.CPURatio, Max: mostCPU}, {Case: everythingBySDK, Metric: bench.CPURatio, Max: mostCPU},
		},
	}
}

func (e *Env) fromRabbit(name string, c choice) bench.Case {
	begin := func(ctx context.Context, n int) (bench.Instance, error) {
		n += bench.WarmUp(n)
		broker, err := e.leatOnRabbit()
		if err != nil {
			return nil, err
		}
		sub := leat.Subscription{Topic: e.name("topic"), Group: group}
		err = broker.Declare(ctx, sub)
		if err == nil {
			err = e.fill(ctx, broker, sub.Topic, n)
		}
		if err != nil {
			return nil, errors.Join(err, broker.Close())
		}
		i := &consuming{Arrivals: load.NewArrivals(n, true)}
		i.closeIt, err = c.consume(broker, sub, i.Arrivals, inFlight)
		return i, err
	}
	return bench.Case{Name: name, Events: rabbitEvents, ShortEvents: shortEvents, Start: begin}
}

func (e *Env) leatOnRabbit() (*rabbitmq.Broker, error) {
	u, err := url.Parse(e.Rabbit)
	if err != nil {
		return nil, err
	}
	return rabbitmq.New(&rabbitmq.Options{
		Hosts: []string{u.Host}, Buffer: load.InFlight, AllowPlaintext: true, QueueType: rabbitmq.QueueClassic,
		Credentials: func(context.Context) (user, password string, err error) {
			password, _ = u.User.Password()
			return u.User.Username(), password, nil
		},
	})
}
