package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/leatgo/leat/benchmarks/internal/bench"
)

// Publisher is a party's producer.
type Publisher struct {
	// Publish publishes n events from the first on and returns when all are answered: how many are
	// stored, or what went wrong first.
	Publish func(ctx context.Context, first, n int) (acked int64, err error)
	Close   func() error
}

// Destination is what a case publishes to, which nobody else does: a topic or a queue.
type Destination struct {
	// Stored counts what it has, where acked is expected.
	Stored func(ctx context.Context, acked int64) (int64, error)
	// ReadBack reads the n events that were published, and reports what is wrong with them. Nil
	// checks nothing.
	ReadBack func(ctx context.Context, n int) error
	Remove   func(ctx context.Context) error
}

// Open returns a case that publishes to d with the producer that start returns.
func (d Destination) Open(ctx context.Context, start func() (*Publisher, error)) (bench.Instance, error) {
	party, err := start()
	if err != nil {
		return nil, errors.Join(err, d.Remove(ctx))
	}
	return &publishing{to: d, party: party}, nil
}

// publishing is a case that publishes.
type publishing struct {
	to    Destination
	party *Publisher
	first int
	acked int64
}

// Run publishes the next n events.
func (p *publishing) Run(ctx context.Context, n int) error {
	acked, err := p.party.Publish(ctx, p.first, n)
	p.acked += acked
	p.first += n
	return err
}

// Handled counts the events whose publishing was confirmed.
func (p *publishing) Handled() int64 { return p.acked }

// Close checks that what was confirmed is stored, and nothing else: then each event is there once.
func (p *publishing) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err := p.party.Close()
	stored, readErr := p.to.Stored(ctx, p.acked)
	if readErr == nil && stored != p.acked {
		readErr = fmt.Errorf("%d events are stored, %d were confirmed", stored, p.acked)
	}
	if readErr == nil && p.to.ReadBack != nil {
		readErr = p.to.ReadBack(ctx, p.first)
	}
	return errors.Join(err, readErr, p.to.Remove(ctx))
}
