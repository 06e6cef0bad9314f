package cases

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/leatgo/leat/benchmarks/internal/load"
	amqp "github.com/rabbitmq/amqp091-go"
)

// window is how many messages the raw publisher has without a confirm.
const window = 1_000

// newPublishing builds a message with the headers of the event, as one writes it by hand.
func newPublishing(id, key string, data []byte) amqp.Publishing {
	return amqp.Publishing{
		DeliveryMode: amqp.Persistent,
		ContentType:  load.ContentType,
		Headers: amqp.Table{
			"ce-specversion":  "1.0",
			"ce-id":           id,
			"ce-source":       load.Source,
			"ce-type":         load.Type,
			"ce-subject":      load.Subject,
			"ce-time":         load.Time().Format(time.RFC3339Nano),
			"ce-partitionkey": key,
		},
		Body: data,
	}
}

// indexOf returns the number of a message's event and reads nothing else; -1 when it has none.
func indexOf(headers amqp.Table) int {
	id, _ := headers["ce-id"].(string)
	return load.IndexOf(id)
}

// rawPublisher opens a connection with a way of publishing.
func rawPublisher(publish rawPublish) startPublisher {
	return func(_ context.Context, e *Env, p place) (*load.Publisher, error) {
		conn, err := amqp.Dial(e.url)
		if err != nil {
			return nil, err
		}
		return &load.Publisher{
			Publish: func(ctx context.Context, first, n int) (int64, error) {
				return publish(ctx, e, conn, p.exchange, first, n)
			},
			Close: conn.Close,
		}, nil
	}
}

type rawPublish func(ctx context.Context, e *Env, conn *amqp.Connection, exchange string, first, n int) (acked int64, err error)

// confirming opens a channel whose publishes are confirmed.
func confirming(conn *amqp.Connection) (*amqp.Channel, error) {
	ch, err := conn.Channel()
	if err != nil {
		return nil, err
	}
	return ch, ch.Confirm(false)
}

// publishAsync publishes on one channel with up to window messages without a confirm.
func publishAsync(ctx context.Context, e *Env, conn *amqp.Connection, exchange string, first, n int) (acked int64, err error) {
	ch, err := confirming(conn)
	if err != nil {
		return 0, err
	}
	pending := make(chan *amqp.DeferredConfirmation, window)
	waited := make(chan error, 1)
	go func() {
		var failed error
		for c := range pending {
			if !c.Wait() {
				failed = fmt.Errorf("message %d was not confirmed", c.DeliveryTag)
				continue
			}
			acked++
		}
		waited <- failed
	}()
	for i := first; i < first+n && err == nil; i++ {
		var c *amqp.DeferredConfirmation
		c, err = ch.PublishWithDeferredConfirmWithContext(ctx, exchange, load.Type, false, false, newPublishing(e.names.At(i)))
		if err == nil {
			pending <- c
		}
	}
	close(pending)
	err = errors.Join(err, <-waited)
	return acked, errors.Join(err, ch.Close())
}

// publishBatches publishes batches on 4 channels and waits for the confirms of each batch.
func publishBatches(ctx context.Context, e *Env, conn *amqp.Connection, exchange string, first, n int) (int64, error) {
	channels := make(chan *amqp.Channel, load.Batchers)
	for range load.Batchers {
		ch, err := confirming(conn)
		if err != nil {
			return 0, err
		}
		defer ch.Close() //nolint:errcheck // everything is confirmed or failed
		channels <- ch
	}
	return load.InParallel(load.Batchers, load.Batch, first, n, func(first, n int) error {
		ch := <-channels
		defer func() { channels <- ch }()
		pending := make([]*amqp.DeferredConfirmation, 0, n)
		for i := first; i < first+n; i++ {
			c, err := ch.PublishWithDeferredConfirmWithContext(ctx, exchange, load.Type, false, false, newPublishing(e.names.At(i)))
			if err != nil {
				return err
			}
			pending = append(pending, c)
		}
		for _, c := range pending {
			if !c.Wait() {
				return fmt.Errorf("message %d was not confirmed", c.DeliveryTag)
			}
		}
		return nil
	})
}

// rawConsumer consumes with a prefetch and acks every message, or, with every, all up to each of
// that many.
func rawConsumer(prefetch, every int) startConsumer {
	return func(_ context.Context, e *Env, p place, a *load.Arrivals) (func() error, error) {
		return rawSession(e, p, prefetch, func(deliveries <-chan amqp.Delivery) {
			n := 0
			for d := range deliveries {
				a.Handle(indexOf(d.Headers))
				if n++; n%every == 0 {
					_ = d.Ack(every > 1) // it fails when the case is over
				}
			}
		})
	}
}

// rawPool hands what it consumes to goroutines in no order, which take work for each and ack it.
func rawPool(prefetch, workers int, work time.Duration) startConsumer {
	return func(_ context.Context, e *Env, p place, a *load.Arrivals) (func() error, error) {
		return rawSession(e, p, prefetch, func(deliveries <-chan amqp.Delivery) {
			inParallel(workers, func() {
				for d := range deliveries {
					time.Sleep(work)
					a.Handle(indexOf(d.Headers))
					_ = d.Ack(false) // it fails when the case is over
				}
			})
		})
	}
}

// rawSession opens a connection of its own and consumes until it is closed.
func rawSession(e *Env, p place, prefetch int, consume func(deliveries <-chan amqp.Delivery)) (closeIt func() error, err error) {
	conn, err := amqp.Dial(e.url)
	if err != nil {
		return nil, err
	}
	ch, err := conn.Channel()
	if err == nil {
		err = ch.Qos(prefetch, 0, false)
	}
	var deliveries <-chan amqp.Delivery
	if err == nil {
		deliveries, err = ch.Consume(p.queue, "", false, false, false, false, nil)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		consume(deliveries)
	}()
	return func() error {
		err := conn.Close()
		<-ended
		return err
	}, nil
}
