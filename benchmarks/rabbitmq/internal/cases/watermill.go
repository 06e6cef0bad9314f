package cases

import (
	"context"
	"errors"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat/benchmarks/internal/load"
	native "github.com/rabbitmq/amqp091-go"
)

// newWatermillMessage returns the event as a message with the headers as metadata.
func newWatermillMessage(id, key string, data []byte) *message.Message {
	m := message.NewMessage(id, data)
	m.Metadata.Set("ce-specversion", "1.0")
	m.Metadata.Set("ce-id", id)
	m.Metadata.Set("ce-source", load.Source)
	m.Metadata.Set("ce-type", load.Type)
	m.Metadata.Set("ce-subject", load.Subject)
	m.Metadata.Set("ce-time", load.Time().Format(time.RFC3339Nano))
	m.Metadata.Set("ce-partitionkey", key)
	m.Metadata.Set("content_type", load.ContentType)
	return m
}

// watermillConfig is its durable configuration, with confirms and a channel for each goroutine that
// publishes.
func watermillConfig(e *Env, p place, queue string, channels, prefetch int) amqp.Config {
	c := amqp.NewDurablePubSubConfig(e.url, amqp.GenerateQueueNameConstant(p.queue))
	c.Exchange.Type = native.ExchangeTopic
	c.Queue.Arguments = native.Table{native.QueueTypeArg: queue}
	c.QueueBind.GenerateRoutingKey = func(string) string { return "#" }
	c.Publish = amqp.PublishConfig{
		GenerateRoutingKey: func(string) string { return load.Type },
		ConfirmDelivery:    true,
		ChannelPoolSize:    channels,
	}
	c.Consume.Qos.PrefetchCount = prefetch
	return c
}

// watermillPublisher calls Publish with size messages from some goroutines. There is no
// asynchronous way.
func watermillPublisher(queue string, goroutines, size int) startPublisher {
	return func(_ context.Context, e *Env, p place) (*load.Publisher, error) {
		w, err := amqp.NewPublisher(watermillConfig(e, p, queue, goroutines, 0), watermill.NopLogger{})
		if err != nil {
			return nil, err
		}
		return watermillParty(e, p, w, goroutines, size), nil
	}
}

// watermillParty publishes by a Publisher of Watermill.
func watermillParty(e *Env, p place, w message.Publisher, goroutines, size int) *load.Publisher {
	return &load.Publisher{
		Publish: func(_ context.Context, first, n int) (int64, error) {
			return load.InParallel(goroutines, size, first, n, func(first, n int) error {
				messages := make([]*message.Message, 0, n)
				for i := first; i < first+n; i++ {
					messages = append(messages, newWatermillMessage(e.names.At(i)))
				}
				return w.Publish(p.exchange, messages...)
			})
		},
		Close: w.Close,
	}
}

// watermillConsumer reads with some goroutines, whose handler takes work for an event.
func watermillConsumer(queue string, prefetch, readers int, work time.Duration) startConsumer {
	return func(_ context.Context, e *Env, p place, a *load.Arrivals) (func() error, error) {
		s, err := amqp.NewSubscriber(watermillConfig(e, p, queue, 0, prefetch), watermill.NopLogger{})
		if err != nil {
			return nil, err
		}
		return watermillReaders(s, p, readers, work, func(m *message.Message) { a.Handle(load.IndexOf(m.Metadata.Get("ce-id"))) })
	}
}

// watermillReaders read from a Subscriber of Watermill with some goroutines, which take work for
// each message.
func watermillReaders(
	s message.Subscriber, p place, readers int, work time.Duration, handle func(m *message.Message),
) (closeIt func() error, err error) {
	messages, err := s.Subscribe(context.Background(), p.exchange)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		inParallel(readers, func() {
			for m := range messages {
				if work > 0 {
					time.Sleep(work)
				}
				handle(m)
				m.Ack()
			}
		})
	}()
	return func() error {
		err := s.Close()
		<-ended
		return err
	}, nil
}
