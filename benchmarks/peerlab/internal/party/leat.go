package party

import (
	"context"
	"errors"
	"maps"
	"net/url"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/rabbitmq"
	"github.com/leatgo/leat/middleware"
	amqp "github.com/rabbitmq/amqp091-go"
)

// group is the group that Leat's queue belongs to.
const group = "lab"

func leatDefault() Party {
	return Party{
		Name: "leat", Title: "Leat",
		How: "the defaults, but a classic queue like the others instead of its quorum queue, and a poison queue. Where Close has 500 ms, " +
			"half of it is for the Producer's Close, half the broker's `CloseTimeout`",
		Open: openLeat,
	}
}

type leatPeer struct {
	target   Target
	broker   *rabbitmq.Broker
	producer *leat.Producer
	sub      leat.Subscription
}

func openLeat(_ context.Context, t Target) (Peer, error) {
	u, err := url.Parse(t.URL)
	if err != nil {
		return nil, err
	}
	b, err := rabbitmq.New(&rabbitmq.Options{
		Hosts: []string{u.Host}, QueueType: rabbitmq.QueueClassic, CloseTimeout: t.CloseTimeout / 2,
		Queue: func(sub leat.Subscription, q *rabbitmq.Queue) {
			if sub.Topic == t.Exchange {
				q.Name = t.Queue
				arguments := amqp.Table{}
				maps.Copy(arguments, q.Arguments)
				maps.Copy(arguments, t.Arguments)
				q.Arguments = arguments
			}
		},
	})
	if err != nil {
		return nil, err
	}
	return &leatPeer{
		target: t, broker: b, producer: leat.NewProducer(b, &leat.ProducerOptions{Source: "/lab"}),
		sub: leat.Subscription{Topic: t.Exchange, Group: group},
	}, nil
}

func (p *leatPeer) Declare(ctx context.Context) error { return p.broker.Declare(ctx, p.sub) }

func (p *leatPeer) Publish(ctx context.Context, ids ...string) []error {
	errs := make([]error, len(ids))
	events := make([]leat.Event, len(ids))
	index := make(map[string]int, len(ids))
	for i, id := range ids {
		index[id] = i
		if id == Broken {
			continue // the zero Event, which cannot be encoded
		}
		e, err := leat.NewEvent("lab.message.v1", &leat.EventOptions{ID: id, Data: []byte(id)})
		if err != nil {
			return same(len(ids), err)
		}
		events[i] = e
	}
	err := p.producer.Publish(ctx, p.target.Exchange, events...)
	failed, ok := errors.AsType[*leat.PublishError](err)
	if err != nil && !ok {
		return same(len(ids), err)
	}
	if failed == nil {
		return errs
	}
	for _, f := range failed.Failures {
		id := f.Event.ID()
		if id == "" {
			id = Broken
		}
		errs[index[id]] = f.Err
	}
	return errs
}

func (p *leatPeer) Consume(ctx context.Context, workers int, handle Handle) error {
	consumer := leat.NewConsumer(p.broker, p.sub, leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
		return handle(ctx, string(e.Data()))
	}), &leat.ConsumerOptions{
		Concurrency: workers, MaxInFlight: 10, PoisonQueue: middleware.PoisonQueue(p.producer, nil), ShutdownTimeout: p.target.CloseTimeout,
	})
	return leat.Run(ctx, consumer)
}

// Close leaves half of its time to the broker, whose Close takes no ctx.
func (p *leatPeer) Close(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	return errors.Join(p.producer.Close(ctx), p.broker.Close())
}
