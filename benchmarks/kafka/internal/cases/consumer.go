package cases

import (
	"context"
	"errors"
	"time"

	"github.com/leatgo/leat/benchmarks/internal/bench"
	"github.com/leatgo/leat/benchmarks/internal/load"
)

// consumer is a party's member of a group.
type consumer struct {
	close func() error
	// buffered is how many events it holds that were not handled, for the party whose memory is
	// measured.
	buffered func() int
}

// startConsumer starts a party's member of a group that hands every event to a.
type startConsumer func(ctx context.Context, e *Env, topic, group string, a *load.Arrivals) (*consumer, error)

// reading says what the cases of a group consume.
type reading struct {
	what       string // names the topic
	partitions int32
	events     int // what the longest case takes
}

// size is how many events the topic has.
func (r reading) size(short bool) int {
	if short {
		return shortEvents + bench.WarmUp(shortEvents)
	}
	return r.events + bench.WarmUp(r.events)
}

// consuming is a case that consumes from a topic that was filled before, as a new group. The first
// events that it is asked for take it into the group.
type consuming struct {
	*load.Arrivals

	party *consumer
	env   *Env
	group string
}

// consumes returns a case.
func (e *Env) consumes(r reading, name string, events int, ordered bool, start startConsumer) bench.Case {
	return bench.Case{Name: name, Events: events, ShortEvents: shortEvents, Start: func(ctx context.Context, _ int) (bench.Instance, error) {
		return e.startConsuming(ctx, r, ordered, start)
	}}
}

func (e *Env) startConsuming(ctx context.Context, r reading, ordered bool, start startConsumer) (*consuming, error) {
	topic, err := e.fill(ctx, r.what, r.partitions, r.size(e.short))
	if err != nil {
		return nil, err
	}
	c := &consuming{Arrivals: load.NewArrivals(r.size(e.short), ordered), env: e, group: e.name("group")}
	c.party, err = start(ctx, e, topic, c.group, c.Arrivals)
	return c, err
}

// Run lets n more events through and waits for them.
func (c *consuming) Run(ctx context.Context, n int) error {
	c.Expect(n)
	return errors.Join(c.Wait(ctx), c.Err())
}

// Close ends the consumer and its group.
func (c *consuming) Close() error {
	c.Release()
	err := errors.Join(c.party.close(), c.Err())
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, _ = c.env.admin.DeleteGroup(ctx, c.group) // a party that does not leave keeps its group until its session ends
	return err
}
