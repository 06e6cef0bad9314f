package cases

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/benchmarks/internal/bench"
	"github.com/leatgo/leat/benchmarks/internal/load"
	"github.com/leatgo/leat/middleware"
)

// leatPath is Leat as a service uses it: a Producer, a Consumer with the retry middleware and a
// poison queue, on the memory adapter.
type leatPath struct {
	*load.Counter

	next     func(i int) (leat.Event, error)
	batch    int
	broker   leat.Broker
	producer *leat.Producer
	consumer *leat.Consumer
	stop     context.CancelFunc
	ran      chan error
}

// pathOptions say what a Leat case does.
type pathOptions struct {
	// keys is how many keys the events have, in turn; 0 means events without a key.
	keys int
	// made makes every event when it is published, instead of before.
	made bool
	// supply returns the events of a round of n. Nil means distinctEvents of 1 KiB in turn.
	supply func(n int) (next func(i int) (leat.Event, error), err error)
	// concurrency and inFlight are the Consumer's options.
	concurrency, inFlight int
	// batch is how many events a call of Publish takes; 0 means 1.
	batch int
	// work is how long the handler of an event takes; 0 means that it does nothing.
	work time.Duration
	// parked is how many events wait for a retry while the others are measured.
	parked int
}

// startLeat returns the set-up of a Leat case.
func startLeat(o pathOptions) func(context.Context, int) (bench.Instance, error) {
	return func(ctx context.Context, n int) (bench.Instance, error) {
		next, err := o.events(n)
		if err != nil {
			return nil, err
		}
		p := &leatPath{Counter: load.NewCounter(), next: next, batch: max(o.batch, 1), broker: memory.New(nil), ran: make(chan error, 1)}
		p.producer = leat.NewProducer(p.broker, nil)
		sub := leat.Subscription{Topic: topic, Group: group}
		if err := leat.Declare(ctx, p.broker, sub); err != nil {
			return nil, errors.Join(err, p.broker.Close())
		}
		p.consumer = leat.NewConsumer(p.broker, sub, p.handler(o), &leat.ConsumerOptions{
			Concurrency: o.concurrency,
			MaxInFlight: o.inFlight,
			Middleware:  []leat.Middleware{middleware.Retry(nil)},
			PoisonQueue: middleware.PoisonQueue(p.producer, nil),
		})
		var runCtx context.Context
		runCtx, p.stop = context.WithCancel(context.WithoutCancel(ctx))
		go func() { p.ran <- leat.Run(runCtx, p.consumer) }()
		if err := p.park(ctx, o.parked); err != nil {
			return nil, errors.Join(err, p.Close())
		}
		return p, nil
	}
}

func (o pathOptions) events(n int) (func(i int) (leat.Event, error), error) {
	if o.supply != nil {
		return o.supply(n)
	}
	return supply(o.keys, o.made, newLeatEvent)
}

func (p *leatPath) handler(o pathOptions) leat.Handler {
	return leat.HandlerFunc(func(_ context.Context, e leat.Event) error {
		switch {
		case o.parked > 0 && e.Type() == parkedType:
			return leat.RetryAfter(time.Hour, errParked)
		case o.work > 0:
			time.Sleep(o.work)
		}
		p.Add()
		return nil
	})
}

// Run publishes n events.
func (p *leatPath) Run(ctx context.Context, n int) error {
	p.Expect(n)
	if err := p.publish(ctx, n); err != nil {
		return err
	}
	return p.Wait(ctx)
}

func (p *leatPath) publish(ctx context.Context, n int) error {
	if p.batch > 1 {
		return p.publishBatches(ctx, n)
	}
	for i := range n {
		e, err := p.next(i)
		if err != nil {
			return err
		}
		if err := p.producer.Publish(ctx, topic, e); err != nil {
			return err
		}
	}
	return nil
}

func (p *leatPath) publishBatches(ctx context.Context, n int) error {
	batch := make([]leat.Event, 0, p.batch)
	for i := range n {
		e, err := p.next(i)
		if err != nil {
			return err
		}
		if batch = append(batch, e); len(batch) < p.batch && i < n-1 {
			continue
		}
		if err := p.producer.Publish(ctx, topic, batch...); err != nil {
			return err
		}
		batch = batch[:0]
	}
	return nil
}

// Close stops the Consumer and closes the broker.
func (p *leatPath) Close() error {
	p.stop()
	var err error
	select {
	case err = <-p.ran:
		if err != nil {
			err = fmt.Errorf("leat.Run: %w", err)
		}
	case <-time.After(time.Minute):
		err = errors.New("leat.Run did not return within a minute of its context's end")
	}
	return errors.Join(err, p.broker.Close())
}
