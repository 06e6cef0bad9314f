package cases

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/leatgo/leat/benchmarks/internal/bench"
)

// publisher is a party's producer.
type publisher struct {
	// publish publishes n events from the first on and returns when all are answered: how many are
	// stored, or what went wrong first.
	publish func(ctx context.Context, first, n int) (acked int64, err error)
	close   func() error
}

// startPublisher starts a party's producer for a topic.
type startPublisher func(ctx context.Context, e *Env, topic string) (*publisher, error)

// publishing is a case that publishes to a topic of its own.
type publishing struct {
	env   *Env
	topic string
	party *publisher
	first int
	acked int64
}

// publishes returns a case that publishes to a topic with 12 partitions.
func (e *Env) publishes(name string, events int, start startPublisher) bench.Case {
	return bench.Case{Name: name, Events: events, ShortEvents: shortEvents, Start: func(ctx context.Context, _ int) (bench.Instance, error) {
		p := &publishing{env: e, topic: e.name("publish")}
		if err := e.create(ctx, p.topic, manyPartitions, nil); err != nil {
			return nil, err
		}
		party, err := start(ctx, e, p.topic)
		if err != nil {
			return nil, errors.Join(err, e.remove(ctx, p.topic))
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

// Close checks that what was confirmed is in the topic, and nothing else: then each event is there
// once.
func (p *publishing) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err := p.party.close()
	stored, readErr := p.env.stored(ctx, p.topic)
	if readErr == nil && stored != p.acked {
		readErr = fmt.Errorf("%d events are stored, %d were confirmed", stored, p.acked)
	}
	if readErr == nil && p.env.short {
		readErr = p.env.readBack(ctx, p.topic, p.first)
	}
	return errors.Join(err, readErr, p.env.remove(ctx, p.topic))
}
