package cases

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	leatmill "github.com/leatgo/leat/adapters/watermill"
	"github.com/leatgo/leat/benchmarks/internal/bench"
	"github.com/leatgo/leat/benchmarks/internal/load"
)

// bridgePublish compares two Watermill Publishers: that of watermill-amqp, and Leat's RabbitMQ as
// one.
func (e *Env) bridgePublish(queue string) bench.Group {
	const leatCase = "Leat's RabbitMQ as a Watermill Publisher"
	return bench.Group{
		Name: "watermill/publish/" + queue,
		About: "4 goroutines call Publish of a Watermill Publisher with 1,000 messages to a durable " + queue + " queue. The messages are made " +
			"for each call, with the attributes as metadata. watermill-amqp has ConfirmDelivery on and a channel for each goroutine, and waits " +
			"for each message.",
		Cases: []bench.Case{
			e.publishes(queue, "watermill-amqp", slowEvents, watermillPublisher(queue, load.Batchers, load.Batch)),
			e.publishes(queue, leatCase, publishEvents, bridgePublisher(queue, load.Batchers, load.Batch)),
		},
		Goals: []bench.Goal{{Case: leatCase, Min: 2.5}},
	}
}

// bridgeConsume compares two Watermill Subscribers.
func (e *Env) bridgeConsume(queue string) bench.Group {
	const leatCase = "Leat's RabbitMQ as a Watermill Subscriber"
	return bench.Group{
		Name: "watermill/consume1ms/" + queue,
		About: "100 goroutines read the channel of a Watermill Subscriber, work for 1 ms and ack; one durable " + queue + " queue, 10,000 " +
			"keys. watermill-amqp hands out one message at a time; Leat one of each key, and keeps their order.",
		Cases: []bench.Case{
			e.consumes(queue, "watermill-amqp", oneByOne, true, false, watermillConsumer(queue, prefetch, readers, time.Millisecond)),
			e.consumes(queue, leatCase, consumeEvents, true, true, bridgeConsumer(queue, readers, time.Millisecond)),
		},
		Goals: []bench.Goal{{Case: leatCase, Min: 2.5}},
	}
}

// bridgePublisher is watermillPublisher on Leat's RabbitMQ. The messages carry their keys.
func bridgePublisher(queue string, goroutines, size int) startPublisher {
	return func(_ context.Context, e *Env, p place) (*load.Publisher, error) {
		broker, err := e.leat(queue)
		if err != nil {
			return nil, err
		}
		w := leatmill.NewPublisher(broker, &leatmill.PublisherOptions{CloseBroker: true})
		return watermillParty(e, p, w, goroutines, size), nil
	}
}

// bridgeConsumer is watermillConsumer on Leat's RabbitMQ.
func bridgeConsumer(queue string, readers int, work time.Duration) startConsumer {
	return func(_ context.Context, e *Env, p place, a *load.Arrivals) (func() error, error) {
		broker, err := e.leat(queue)
		if err != nil {
			return nil, err
		}
		s := leatmill.NewSubscriber(broker, &leatmill.SubscriberOptions{
			Group: p.subscription().Group, Concurrency: readers, MaxInFlight: prefetch, CloseBroker: true,
		})
		return watermillReaders(s, p, readers, work, func(m *message.Message) { a.Handle(load.IndexOf(m.Metadata.Get("ce_id"))) })
	}
}
