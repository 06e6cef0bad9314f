package cases

import (
	"context"
	"errors"
	"time"

	"github.com/leatgo/leat/benchmarks/internal/load"
	amqp "github.com/rabbitmq/amqp091-go"
	"gocloud.dev/pubsub"
	"gocloud.dev/pubsub/rabbitpubsub"
)

// newCDKMessage returns the event as a message with the headers as metadata.
func newCDKMessage(id, key string, data []byte) *pubsub.Message {
	return &pubsub.Message{Body: data, Metadata: map[string]string{
		"ce-specversion":  "1.0",
		"ce-id":           id,
		"ce-source":       load.Source,
		"ce-type":         load.Type,
		"ce-subject":      load.Subject,
		"ce-time":         load.Time().Format(time.RFC3339Nano),
		"ce-partitionkey": key,
		"content_type":    load.ContentType,
	}}
}

// cdkPublisher calls Send from some goroutines; it sends one message at a time. Its messages are
// not persistent.
func cdkPublisher(goroutines int) startPublisher {
	return func(_ context.Context, e *Env, p place) (*load.Publisher, error) {
		conn, err := amqp.Dial(e.url)
		if err != nil {
			return nil, err
		}
		topic := rabbitpubsub.OpenTopic(conn, p.exchange, nil)
		return &load.Publisher{
			Publish: func(ctx context.Context, first, n int) (int64, error) {
				return load.InParallel(goroutines, 1, first, n, func(i, _ int) error {
					return topic.Send(ctx, newCDKMessage(e.names.At(i)))
				})
			},
			Close: func() error { return errors.Join(topic.Shutdown(context.Background()), conn.Close()) },
		}, nil
	}
}

// cdkConsumer receives with some goroutines, whose handler takes work for an event.
func cdkConsumer(prefetch, readers int, work time.Duration) startConsumer {
	return func(_ context.Context, e *Env, p place, a *load.Arrivals) (func() error, error) {
		conn, err := amqp.Dial(e.url)
		if err != nil {
			return nil, err
		}
		s := rabbitpubsub.OpenSubscription(conn, p.queue, &rabbitpubsub.SubscriptionOptions{PrefetchCount: &prefetch})
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			inParallel(readers, func() {
				for {
					m, err := s.Receive(ctx)
					if err != nil {
						return
					}
					if work > 0 {
						time.Sleep(work)
					}
					a.Handle(load.IndexOf(m.Metadata["ce-id"]))
					m.Ack()
				}
			})
		}()
		return func() error {
			stop()
			<-ended
			return errors.Join(s.Shutdown(context.Background()), conn.Close())
		}, nil
	}
}
