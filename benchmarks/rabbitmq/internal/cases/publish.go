package cases

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/leatgo/leat/benchmarks/internal/bench"
	"github.com/leatgo/leat/benchmarks/internal/load"
)

// How many events a round publishes.
const (
	publishEvents = 30_000
	slowEvents    = 6_000 // where each waits for the one before
)

const rawAsync = "amqp091-go, deferred confirms"

func (e *Env) async(queue string) bench.Group {
	const leatCase = "Leat, PublishAsync"
	return bench.Group{
		Name: "publish/async/" + queue,
		About: "One goroutine publishes to a durable " + queue + " queue; every message is persistent and confirmed. The base has up to 1,000 " +
			"messages of one channel without a confirm. Watermill and Go CDK have no asynchronous way: 256 goroutines call them. What Go CDK " +
			"publishes is not persistent.",
		Cases: []bench.Case{
			e.publishes(queue, rawAsync, publishEvents, rawPublisher(publishAsync)),
			e.publishes(queue, leatCase, publishEvents, leatPublisher(queue, load.PublishAsync)),
			e.publishes(queue, "Watermill Publish, 256 goroutines and channels", publishEvents/2, watermillPublisher(queue, load.Callers, 1)),
			e.publishes(queue, "Go CDK Send, 256 goroutines", publishEvents/2, cdkPublisher(load.Callers)),
		},
		Goals: []bench.Goal{{Case: leatCase, Min: 0.95}},
	}
}

func (e *Env) batches(queue string) bench.Group {
	const leatCase = "Leat, Publish"
	return bench.Group{
		Name: "publish/batches/" + queue,
		About: "4 goroutines publish 1,000 events per call to a durable " + queue + " queue; the base has a channel for each and waits for the " +
			"confirms of a call. Watermill waits for each message.",
		Cases: []bench.Case{
			e.publishes(queue, rawAsync, publishEvents, rawPublisher(publishBatches)),
			e.publishes(queue, leatCase, publishEvents, leatPublisher(queue, load.PublishBatches)),
			e.publishes(queue, "Watermill Publish", slowEvents, watermillPublisher(queue, load.Batchers, load.Batch)),
		},
		Goals: []bench.Goal{{Case: leatCase, Min: 0.95}},
	}
}

// publisher is a party's producer.
type publisher struct {
	// publish publishes n events from the first on and returns when all are answered: how many are
	// stored, or what went wrong first.
	publish func(ctx context.Context, first, n int) (acked int64, err error)
	close   func() error
}

// startPublisher starts a party's producer for a place.
type startPublisher func(ctx context.Context, e *Env, p place) (*publisher, error)

// publishing is a case that publishes to a queue of its own.
type publishing struct {
	env   *Env
	place place
	party *publisher
	first int
	acked int64
}

// publishes returns a case that publishes to a queue of that type.
func (e *Env) publishes(queue, name string, events int, start startPublisher) bench.Case {
	return bench.Case{Name: name, Events: events, ShortEvents: shortEvents, Start: func(ctx context.Context, _ int) (bench.Instance, error) {
		p := &publishing{env: e, place: e.place()}
		if err := e.create(p.place, queue); err != nil {
			return nil, err
		}
		party, err := start(ctx, e, p.place)
		if err != nil {
			return nil, errors.Join(err, e.remove(p.place))
		}
		p.party = party
		return p, nil
	}}
}

// Run publishes the next n events.
func (p *publishing) Run(ctx context.Context, n int) error {
	acked, err := p.party.publish(ctx, p.first, n)
	p.acked += acked
	p.first += n
	return err
}

// Handled counts the events whose publishing was confirmed.
func (p *publishing) Handled() int64 { return p.acked }

// Close checks that what was confirmed is in the queue, and nothing else: then each event is there
// once.
func (p *publishing) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err := p.party.close()
	stored, readErr := p.env.stored(ctx, p.place, int(p.acked))
	if readErr == nil && int64(stored) != p.acked {
		readErr = fmt.Errorf("%d events are stored, %d were confirmed", stored, p.acked)
	}
	if readErr == nil && p.env.short {
		readErr = p.env.readBack(p.place, p.first)
	}
	return errors.Join(err, readErr, p.env.remove(p.place))
}
