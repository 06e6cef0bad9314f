package cases

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/middleware"
)

// newEvent makes an event as a service does; it validates and copies data.
func newEvent(id, key string, data []byte) (leat.Event, error) {
	return leat.NewEvent(eventType, &leat.EventOptions{
		ID: id, Source: eventSource, Subject: eventSubject, Time: eventTime(), DataContentType: eventContentType, Key: key, Data: data,
	})
}

func (e *Env) leat() (*kafka.Broker, error) {
	return kafka.New(&kafka.Options{Brokers: e.Addrs, Compression: "none", Provision: kafka.ProvisionOff, Buffer: inFlight})
}

// leatPublisher starts a Producer with a way of publishing.
func leatPublisher(publish leatPublish) startPublisher {
	return func(_ context.Context, e *Env, topic string) (*publisher, error) {
		broker, err := e.leat()
		if err != nil {
			return nil, err
		}
		producer := leat.NewProducer(broker, nil)
		return &publisher{
			publish: func(ctx context.Context, first, n int) (int64, error) {
				return publish(ctx, e, producer, topic, first, n)
			},
			close: broker.Close,
		}, nil
	}
}

type leatPublish func(ctx context.Context, e *Env, producer *leat.Producer, topic string, first, n int) (acked int64, err error)

// publishAsync makes each event and publishes it with as much in flight as the adapter allows.
func publishAsync(ctx context.Context, e *Env, producer *leat.Producer, topic string, first, n int) (int64, error) {
	return publishAll(ctx, producer, topic, first, n, func(i int) (leat.Event, error) { return newEvent(e.names.at(i)) })
}

// publishPrebuilt is publishAsync with events that are there already, as those are that a service passes on.
func publishPrebuilt() leatPublish {
	prebuilt := make([]leat.Event, 0, inFlight)
	return func(ctx context.Context, e *Env, producer *leat.Producer, topic string, first, n int) (int64, error) {
		for i := len(prebuilt); i < cap(prebuilt); i++ { // in the warm-up
			event, err := newEvent(e.names.at(i % e.names.len()))
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
	var failed firstError
	done := func(_ leat.Event, err error) {
		if err == nil {
			acked.Add(1)
		}
		failed.note(err)
	}
	for i := first; i < first+n; i++ {
		e, err := event(i)
		if err != nil {
			return 0, err
		}
		producer.PublishAsync(ctx, topic, done, e)
	}
	err := producer.Flush(ctx)
	return acked.Load(), errors.Join(err, failed.err())
}

// publishBatches calls Publish with 1,000 events from 4 goroutines.
func publishBatches(ctx context.Context, e *Env, producer *leat.Producer, topic string, first, n int) (int64, error) {
	return inParallel(batchers, batch, first, n, func(first, n int) error {
		events := make([]leat.Event, 0, n)
		for i := first; i < first+n; i++ {
			event, err := newEvent(e.names.at(i))
			if err != nil {
				return err
			}
			events = append(events, event)
		}
		return producer.Publish(ctx, topic, events...)
	})
}

// publishSingly calls Publish with one event from 256 goroutines.
func publishSingly(ctx context.Context, e *Env, producer *leat.Producer, topic string, first, n int) (int64, error) {
	return inParallel(callers, 1, first, n, func(i, _ int) error {
		event, err := newEvent(e.names.at(i))
		if err != nil {
			return err
		}
		return producer.Publish(ctx, topic, event)
	})
}

// leatConsumer runs a Consumer whose handler takes work for an event.
func leatConsumer(concurrency, maxInFlight int, work time.Duration) startConsumer {
	return func(_ context.Context, e *Env, topic, group string, a *arrivals) (*consumer, error) {
		broker, err := e.leat()
		if err != nil {
			return nil, err
		}
		handler := leat.HandlerFunc(func(_ context.Context, e leat.Event) error {
			if work > 0 {
				time.Sleep(work)
			}
			a.handle(indexOf(e.ID()))
			return nil
		})
		c := leat.NewConsumer(broker, leat.Subscription{Topic: topic, Group: group}, handler, &leat.ConsumerOptions{
			Concurrency: concurrency, MaxInFlight: maxInFlight, Middleware: []leat.Middleware{middleware.Retry(nil)},
		})
		ctx, stop := context.WithCancel(context.Background())
		ran := make(chan error, 1)
		go func() { ran <- leat.Run(ctx, c) }()
		return &consumer{
			close: func() error {
				stop()
				err := <-ran
				if err != nil {
					err = fmt.Errorf("leat.Run: %w", err)
				}
				return errors.Join(err, broker.Close())
			},
			buffered: func() int { return c.Stats().InFlight },
		}, nil
	}
}
