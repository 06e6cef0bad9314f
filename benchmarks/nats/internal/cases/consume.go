package cases

import (
	"context"
	"errors"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/benchmarks/internal/bench"
	"github.com/leatgo/leat/benchmarks/internal/load"
	"github.com/nats-io/nats.go/jetstream"
)

func (e *Env) consume(name string, unordered bool) bench.Group {
	const leatCase = "Leat"
	base, about := "nats.go, Consume, pinned", "The consumer is pinned to one client. Leat decodes and validates each "+
		"event, keeps the order of 10,000 keys, and runs 16 handlers behind `middleware.Retry`."
	if unordered {
		base, about = "nats.go, Consume", "Leat as before, without order."
	}
	sub := leat.Subscription{Group: group, Unordered: unordered}
	return bench.Group{
		Name: name,
		About: "One consumer of a stream that was filled before, with up to 1,000 messages in flight; " +
			"the handler only checks that each event comes once. The base is Consume with " +
			"PullMaxMessages(1000) and an ack for each message. " + about,
		Cases: []bench.Case{
			e.consumes(base, sub, e.rawConsumer), e.consumes(leatCase, sub, e.leatConsumer),
		},
		Goals: []bench.Goal{{Case: leatCase, Min: 0.75}},
	}
}

// startConsumer starts a party's consumer that hands every event to a, and returns what ends it.
type startConsumer func(sub leat.Subscription, a *load.Arrivals) (closeIt func() error, err error)

// consuming is a case that consumes a stream that was filled before.
type consuming struct {
	*load.Arrivals

	env     *Env
	topic   string
	closeIt func() error
}

func (e *Env) consumes(name string, sub leat.Subscription, start startConsumer) bench.Case {
	return bench.Case{
		Name: name, Events: roundEvents, ShortEvents: shortEvents,
		Start: func(ctx context.Context, n int) (bench.Instance, error) {
			n += bench.WarmUp(n)
			sub := sub
			sub.Topic = e.topic()
			c := &consuming{Arrivals: load.NewArrivals(n, !sub.Unordered), env: e, topic: sub.Topic}
			if err := e.declare(ctx, sub); err != nil {
				return nil, err
			}
			_, err := e.publishRaw(ctx, e.js, sub.Topic, 0, n)
			if err == nil {
				c.closeIt, err = start(sub, c.Arrivals)
			}
			if err != nil {
				return nil, errors.Join(err, e.js.DeleteStream(ctx, sub.Topic))
			}
			return c, nil
		},
	}
}

// Run lets n more events through and waits for them.
func (c *consuming) Run(ctx context.Context, n int) error {
	c.Expect(n)
	return errors.Join(c.Wait(ctx), c.Err())
}

// Close ends the consumer and deletes its stream.
func (c *consuming) Close() error {
	c.Release()
	return errors.Join(c.closeIt(), c.Err(), c.env.js.DeleteStream(context.Background(), c.topic))
}

func (e *Env) rawConsumer(sub leat.Subscription, a *load.Arrivals) (func() error, error) {
	conn, js, err := dial(e.addr)
	if err != nil {
		return nil, err
	}
	c, err := js.Consumer(context.Background(), sub.Topic, group)
	if err != nil {
		conn.Close()
		return nil, err
	}
	options := []jetstream.PullConsumeOpt{jetstream.PullMaxMessages(prefetch)}
	if !sub.Unordered {
		options = append(options, jetstream.PullPriorityGroup(c.CachedInfo().Config.PriorityGroups[0]))
	}
	consuming, err := c.Consume(func(m jetstream.Msg) {
		a.Handle(load.IndexOf(m.Headers().Get("ce-id")))
		_ = m.Ack() // it fails when the case is over
	}, options...)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return func() error {
		consuming.Stop()
		<-consuming.Closed()
		conn.Close()
		return nil
	}, nil
}

func (e *Env) leatConsumer(sub leat.Subscription, a *load.Arrivals) (func() error, error) {
	broker, err := e.leat()
	if err != nil {
		return nil, err
	}
	return load.Consume(broker, sub, a, 16, prefetch, 0).Close, nil
}
