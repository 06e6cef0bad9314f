package load

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/middleware"
)

// NewEvent makes an event as a service does; it validates and copies data.
func NewEvent(id, key string, data []byte) (leat.Event, error) {
	return leat.NewEvent(Type, &leat.EventOptions{
		ID: id, Source: Source, Subject: Subject, Time: Time(), DataContentType: ContentType, Key: key, Data: data,
	})
}

// Publish publishes n events from the first on.
type Publish func(ctx context.Context, names *Names, producer *leat.Producer, topic string, first, n int) (acked int64, err error)

// PublishAsync makes each event and publishes it with as much in flight as the adapter allows.
func PublishAsync(ctx context.Context, names *Names, producer *leat.Producer, topic string, first, n int) (int64, error) {
	return publishAll(ctx, producer, topic, first, n, func(i int) (leat.Event, error) { return NewEvent(names.At(i)) })
}

// PublishPrebuilt is PublishAsync with events that are there already, as those are that a service
// passes on.
func PublishPrebuilt() Publish {
	prebuilt := make([]leat.Event, 0, InFlight)
	return func(ctx context.Context, names *Names, producer *leat.Producer, topic string, first, n int) (int64, error) {
		for i := len(prebuilt); i < cap(prebuilt); i++ { // in the warm-up
			event, err := NewEvent(names.At(i % names.Len()))
			if err != nil {
				return 0, err
			}
			prebuilt = append(prebuilt, event)
		}
		return publishAll(ctx, producer, topic, first, n, func(i int) (leat.Event, error) { return prebuilt[i%len(prebuilt)], nil })
	}
}

func publishAll(ctx context.Context, producer *leat.Producer, topic string, first, n int,
	event func(i int) (leat.Event, error),
) (int64, error) {
	var acked atomic.Int64
	var failed FirstError
	done := func(_ leat.Event, err error) {
		if err == nil {
			acked.Add(1)
		}
		failed.Note(err)
	}
	for i := first; i < first+n; i++ {
		e, err := event(i)
		if err != nil {
			return 0, err
		}
		producer.PublishAsync(ctx, topic, done, e)
	}
	err := producer.Flush(ctx)
	return acked.Load(), errors.Join(err, failed.Err())
}

// PublishBatches calls Publish with 1,000 events from 4 goroutines.
func PublishBatches(ctx context.Context, names *Names, producer *leat.Producer, topic string, first, n int) (int64, error) {
	return InParallel(Batchers, Batch, first, n, func(first, n int) error {
		events := make([]leat.Event, 0, n)
		for i := first; i < first+n; i++ {
			event, err := NewEvent(names.At(i))
			if err != nil {
				return err
			}
			events = append(events, event)
		}
		return producer.Publish(ctx, topic, events...)
	})
}

// PublishSingly calls Publish with one event from 256 goroutines.
func PublishSingly(ctx context.Context, names *Names, producer *leat.Producer, topic string, first, n int) (int64, error) {
	return InParallel(Callers, 1, first, n, func(i, _ int) error {
		event, err := NewEvent(names.At(i))
		if err != nil {
			return err
		}
		return producer.Publish(ctx, topic, event)
	})
}

// Consumer is a Consumer that runs.
type Consumer struct {
	// Leat is the Consumer itself.
	Leat *leat.Consumer

	broker leat.Broker
	stop   context.CancelFunc
	ran    chan error
}

// Consume runs a Consumer whose handler takes work for an event, until it is closed, which closes
// the broker as well. The outer middleware comes before [middleware.Retry].
func Consume(
	broker leat.Broker, sub leat.Subscription, a *Arrivals, concurrency, maxInFlight int, work time.Duration, outer ...leat.Middleware,
) *Consumer {
	handler := leat.HandlerFunc(func(_ context.Context, e leat.Event) error {
		if work > 0 {
			time.Sleep(work)
		}
		a.Handle(IndexOf(e.ID()))
		return nil
	})
	return consume(broker, sub, handler, concurrency, maxInFlight, outer...)
}

// ConsumeBatches is Consume with a handler that takes work for a batch of at most size events, one
// batch at a time.
func ConsumeBatches(broker leat.Broker, sub leat.Subscription, a *Arrivals, size, maxInFlight int, work time.Duration) *Consumer {
	handler := leat.Batch(&leat.BatchOptions{MaxEvents: size}, func(_ context.Context, events []leat.Event) error {
		time.Sleep(work)
		for _, e := range events {
			a.Handle(IndexOf(e.ID()))
		}
		return nil
	})
	return consume(broker, sub, handler, 1, maxInFlight)
}

func consume(
	broker leat.Broker, sub leat.Subscription, handler leat.Handler, concurrency, maxInFlight int, outer ...leat.Middleware,
) *Consumer {
	c := &Consumer{broker: broker, ran: make(chan error, 1)}
	c.Leat = leat.NewConsumer(broker, sub, handler, &leat.ConsumerOptions{
		Concurrency: concurrency, MaxInFlight: maxInFlight, Middleware: append(outer, middleware.Retry(nil)),
	})
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	go func() { c.ran <- leat.Run(ctx, c.Leat) }()
	return c
}

// InFlight is how many events it holds.
func (c *Consumer) InFlight() int { return c.Leat.Stats().InFlight }

// Close drains it.
func (c *Consumer) Close() error {
	c.stop()
	err := <-c.ran
	if err != nil {
		err = fmt.Errorf("leat.Run: %w", err)
	}
	return errors.Join(err, c.broker.Close())
}
