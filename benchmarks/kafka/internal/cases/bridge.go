package cases

import (
	"context"
	"errors"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/leatgo/leat/adapters/kafka"
	leatmill "github.com/leatgo/leat/adapters/watermill"
	"github.com/leatgo/leat/benchmarks/internal/bench"
	"github.com/leatgo/leat/benchmarks/internal/load"
)

// bridgePublish compares two Watermill Publishers: that of watermill-kafka, and Leat's Kafka as
// one.
func (e *Env) bridgePublish() bench.Group {
	const leatCase = "Leat's Kafka as a Watermill Publisher"
	return bench.Group{
		Name: "watermill/publish",
		About: "4 goroutines call Publish of a Watermill Publisher with 1,000 messages to 12 partitions. The messages are made for each " +
			"call, with the attributes as metadata. watermill-kafka sends them one after the other.",
		Cases: []bench.Case{
			e.publishes("watermill-kafka", oneByOneEvents, watermillPublisher(load.Batchers, load.Batch)),
			e.publishes(leatCase, publishEvents, bridgePublisher(load.Batchers, load.Batch)),
		},
		Goals: []bench.Goal{{Case: leatCase, Min: 5}},
	}
}

// bridgeConsume compares two Watermill Subscribers.
func (e *Env) bridgeConsume() bench.Group {
	const leatCase = "Leat's Kafka as a Watermill Subscriber"
	r := reading{what: "one", partitions: 1, events: sleepEvents}
	return bench.Group{
		Name: "watermill/consume1ms",
		About: "100 goroutines read the channel of a Watermill Subscriber, work for 1 ms and ack; one partition, 10,000 keys. " +
			"watermill-kafka hands out one message of a partition at a time; Leat one of each key, and keeps their order.",
		Cases: []bench.Case{
			e.consumes(r, "watermill-kafka", slowEvents, true, watermillConsumer(100, time.Millisecond)),
			e.consumes(r, leatCase, sleepEvents, true, bridgeConsumer(100, time.Millisecond)),
		},
		Goals: []bench.Goal{{Case: leatCase, Min: 5}},
	}
}

// keyOf is the key that the messages carry.
func keyOf(_ string, m *message.Message) string { return m.Metadata.Get("ce_partitionkey") }

// bridgePublisher is watermillPublisher on Leat's Kafka.
func bridgePublisher(goroutines, size int) startPublisher {
	return func(_ context.Context, e *Env, topic string) (*load.Publisher, error) {
		broker, err := e.leat()
		if err != nil {
			return nil, err
		}
		p := leatmill.NewPublisher(broker, &leatmill.PublisherOptions{Codec: leatmill.Codec{Key: keyOf}, CloseBroker: true})
		return &load.Publisher{
			Publish: func(_ context.Context, first, n int) (int64, error) {
				return load.InParallel(goroutines, size, first, n, func(first, n int) error {
					messages := make([]*message.Message, 0, n)
					for i := first; i < first+n; i++ {
						messages = append(messages, newWatermillMessage(e.names.At(i)))
					}
					return p.Publish(topic, messages...)
				})
			},
			Close: p.Close,
		}, nil
	}
}

// bridgeConsumer is watermillConsumer on Leat's Kafka.
func bridgeConsumer(readers int, work time.Duration) startConsumer {
	return func(ctx context.Context, e *Env, topic, group string, a *load.Arrivals) (*consumer, error) {
		broker, err := kafka.New(&kafka.Options{Hosts: e.Addrs, Provision: kafka.ProvisionOff})
		if err != nil {
			return nil, err
		}
		s := leatmill.NewSubscriber(broker, &leatmill.SubscriberOptions{
			Group: group, Concurrency: readers, MaxInFlight: load.InFlight, CloseBroker: true,
		})
		messages, err := s.Subscribe(context.WithoutCancel(ctx), topic)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		return readMessages(s, messages, readers, work, a), nil
	}
}
