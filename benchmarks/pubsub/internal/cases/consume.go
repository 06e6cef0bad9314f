package cases

import (
	"context"
	"errors"
	"sync"
	"time"

	"cloud.google.com/go/pubsub/v2"
	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/benchmarks/internal/bench"
	"github.com/leatgo/leat/benchmarks/internal/load"
)

const leatConsumes = "Leat"

func (e *Env) consume() bench.Group {
	const base, raw = "Google's Subscriber", "raw StreamingPull"
	return bench.Group{
		Name: "consume",
		About: "One consumer of a subscription without order that was filled before, with 4 streams and up to 1,000 messages in " +
			"flight; the handler only checks that each event comes once. The base is Google's Subscriber. The raw party acknowledges " +
			"each response in one call. Leat decodes and validates each event, and runs 16 handlers behind `middleware.Retry`.",
		Cases: []bench.Case{
			e.consumes(base, 0, false, e.googleConsumer), e.consumes(raw, 0, false, e.rawConsumer(streams, 0)),
			e.consumes(leatConsumes, 0, false, e.leatConsumer(16, 0)),
		},
		Goals: []bench.Goal{
			{Case: leatConsumes, Metric: bench.CPURatio, Max: 1 / 1.15}, {Case: leatConsumes, Against: raw, Metric: bench.CPURatio, Max: 1 / 0.85},
		},
	}
}

func (e *Env) sleeping() bench.Group {
	// The emulator has a thread for each key of each such subscription until it ends.
	const keys, handlers, work = 50, 100, time.Millisecond
	return bench.Group{
		Name: "consume/sleeping",
		About: "100 handlers that work for 1 ms, on a subscription with message ordering that was filled before, whose messages have " +
			"50 keys. The base is one raw StreamingPull, whose handlers take any message. Leat keeps the order of the keys.",
		Cases: []bench.Case{
			e.consumes("raw StreamingPull, no order", keys, false, e.rawConsumer(1, work)),
			e.consumes(leatConsumes, keys, true, e.leatConsumer(handlers, work)),
		},
		Goals: []bench.Goal{{Case: leatConsumes, Min: 0.85}},
	}
}

// startConsumer starts a party's consumer that hands every event to a, and returns what ends it.
type startConsumer func(ctx context.Context, sub leat.Subscription, a *load.Arrivals) (closeIt func() error, err error)

// consuming is a case that consumes a subscription that was filled before.
type consuming struct {
	*load.Arrivals

	env     *Env
	topic   string
	closeIt func() error
}

// consumes returns a case of a topic with so many keys. ordered says that events come in their
// order.
func (e *Env) consumes(name string, keys int, ordered bool, start startConsumer) bench.Case {
	return bench.Case{
		Name: name, Events: roundEvents, ShortEvents: shortEvents,
		Start: func(ctx context.Context, n int) (bench.Instance, error) {
			n += bench.WarmUp(n)
			sub := leat.Subscription{Topic: e.topic(), Group: group, Unordered: keys == 0}
			c := &consuming{Arrivals: load.NewArrivals(n, ordered), env: e, topic: sub.Topic}
			c.Keys = keys
			if err := e.declare(ctx, sub); err != nil {
				return nil, err
			}
			err := e.publishRaw(ctx, e.client, sub.Topic, keys, 0, n)
			if err == nil {
				c.closeIt, err = start(context.WithoutCancel(ctx), sub, c.Arrivals)
			}
			if err != nil {
				return nil, errors.Join(err, e.remove(ctx, sub.Topic))
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

// Close ends the consumer and deletes its topic.
func (c *consuming) Close() error {
	c.Release()
	return errors.Join(c.closeIt(), c.Err(), c.env.remove(context.Background(), c.topic))
}

func (e *Env) googleConsumer(ctx context.Context, sub leat.Subscription, a *load.Arrivals) (func() error, error) {
	client, err := e.google(ctx)
	if err != nil {
		return nil, err
	}
	s := client.Subscriber(subscriptionPath(sub.Topic))
	s.ReceiveSettings.NumGoroutines, s.ReceiveSettings.MaxOutstandingMessages = streams, prefetch
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- s.Receive(ctx, func(_ context.Context, m *pubsub.Message) {
			a.Handle(load.IndexOf(m.Attributes["ce-id"]))
			m.Ack()
		})
	}()
	return func() error {
		cancel()
		return errors.Join(<-ended, client.Close())
	}, nil
}

// rawConsumer returns a party with so many streams, that hands messages to 100 handlers which work
// for a while, or handles them itself.
func (e *Env) rawConsumer(streams int, work time.Duration) startConsumer {
	return func(ctx context.Context, sub leat.Subscription, a *load.Arrivals) (func() error, error) {
		client, err := e.google(ctx)
		if err != nil {
			return nil, err
		}
		handle, finish := a.Handle, func() {}
		if work > 0 {
			pool := load.NewPool(100, work, a)
			handle, finish = pool.Give, pool.Close
		}
		ctx, cancel := context.WithCancel(ctx)
		var all sync.WaitGroup
		for range streams {
			pull, err := client.SubscriptionAdminClient.StreamingPull(ctx)
			if err == nil {
				err = pull.Send(&pb.StreamingPullRequest{
					Subscription: subscriptionPath(sub.Topic), StreamAckDeadlineSeconds: 60, MaxOutstandingMessages: int64(prefetch / streams),
				})
			}
			if err != nil {
				cancel()
				return nil, errors.Join(err, client.Close())
			}
			all.Go(func() { read(ctx, client, pull, sub.Topic, handle) })
		}
		return func() error {
			cancel()
			all.Wait()
			finish()
			return client.Close()
		}, nil
	}
}

// read handles what a stream delivers, and acknowledges each response in one call, until the case
// is over.
func read(ctx context.Context, client *pubsub.Client, pull pb.Subscriber_StreamingPullClient, topic string, handle func(i int)) {
	for {
		r, err := pull.Recv()
		if err != nil {
			return
		}
		ids := make([]string, 0, len(r.GetReceivedMessages()))
		for _, m := range r.GetReceivedMessages() {
			handle(load.IndexOf(m.GetMessage().GetAttributes()["ce-id"]))
			ids = append(ids, m.GetAckId())
		}
		// It fails when the case is over.
		_ = client.SubscriptionAdminClient.Acknowledge(ctx, &pb.AcknowledgeRequest{Subscription: subscriptionPath(topic), AckIds: ids})
	}
}

func (e *Env) leatConsumer(handlers int, work time.Duration) startConsumer {
	return func(_ context.Context, sub leat.Subscription, a *load.Arrivals) (func() error, error) {
		broker, err := e.leat()
		if err != nil {
			return nil, err
		}
		return load.Consume(broker, sub, a, handlers, prefetch, work).Close, nil
	}
}
