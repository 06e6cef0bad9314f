package cases

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat/benchmarks/internal/load"
)

// newWatermillMessage returns the event as a message with the headers as metadata.
func newWatermillMessage(id, key string, data []byte) *message.Message {
	m := message.NewMessage(id, data)
	m.Metadata.Set("ce_specversion", "1.0")
	m.Metadata.Set("ce_id", id)
	m.Metadata.Set("ce_source", load.Source)
	m.Metadata.Set("ce_type", load.Type)
	m.Metadata.Set("ce_subject", load.Subject)
	m.Metadata.Set("ce_time", load.Time().Format(time.RFC3339Nano))
	m.Metadata.Set("ce_partitionkey", key)
	m.Metadata.Set("content-type", load.ContentType)
	return m
}

// watermillMarshaler gives records the key of the event.
func watermillMarshaler() kafka.MarshalerUnmarshaler {
	return kafka.NewWithPartitioningMarshaler(func(_ string, m *message.Message) (string, error) {
		return m.Metadata.Get("ce_partitionkey"), nil
	})
}

// watermillPublisher calls Publish with size messages from some goroutines. There is no
// asynchronous way.
func watermillPublisher(goroutines, size int) startPublisher {
	return func(_ context.Context, e *Env, topic string) (*load.Publisher, error) {
		p, err := kafka.NewPublisher(kafka.PublisherConfig{
			Brokers: e.Addrs, Marshaler: watermillMarshaler(), OverwriteSaramaConfig: newSarama(),
		}, watermill.NopLogger{})
		if err != nil {
			return nil, err
		}
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

// watermillConsumer reads with some goroutines, whose handler takes work for an event.
func watermillConsumer(readers int, work time.Duration) startConsumer {
	return func(_ context.Context, e *Env, topic, group string, a *load.Arrivals) (*consumer, error) {
		config := newSarama()
		config.Consumer.Return.Errors = true
		s, err := kafka.NewSubscriber(kafka.SubscriberConfig{
			Brokers: e.Addrs, Unmarshaler: watermillMarshaler(), OverwriteSaramaConfig: config, ConsumerGroup: group,
		}, watermill.NopLogger{})
		if err != nil {
			return nil, err
		}
		messages, err := s.Subscribe(context.Background(), topic)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		return readMessages(s, messages, readers, work, a), nil
	}
}

// readMessages reads from a Subscriber with some goroutines, whose handler takes work for an event.
func readMessages(s message.Subscriber, messages <-chan *message.Message, readers int, work time.Duration, a *load.Arrivals) *consumer {
	var all sync.WaitGroup
	for range readers {
		all.Go(func() {
			for m := range messages {
				if work > 0 {
					time.Sleep(work)
				}
				a.Handle(load.IndexOf(m.Metadata.Get("ce_id")))
				m.Ack()
			}
		})
	}
	return &consumer{close: func() error {
		err := s.Close()
		all.Wait()
		return err
	}}
}
