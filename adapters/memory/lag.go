package memory

import (
	"context"
	"time"

	"github.com/leatgo/leat"
)

var _ leat.LagReporter = (*Broker)(nil)

// Lag implements [leat.LagReporter]. Its one part has the details "waiting" and "held": events that
// nobody has, and those that streams have delivered. The broker keeps no time of a publish, so
// Oldest goes by the event's own attribute time, and is [leat.LagUnknown] where that has none, or
// one that is still to come. The error is an [*leat.Error].
func (b *Broker) Lag(ctx context.Context, topic, group string) (leat.Lag, error) {
	if err := (leat.Subscription{Topic: topic, Group: group}).Validate(); err != nil {
		return leat.Lag{}, &leat.Error{Op: "lag", Topic: topic, Code: leat.CodeInvalid, Err: err}
	}
	if ctx.Err() != nil {
		return leat.Lag{}, canceled(ctx, "lag", topic)
	}
	t, g, err := b.lockGroup("lag", topic, group)
	if err != nil {
		return leat.Lag{}, err
	}
	defer t.mu.Unlock()
	held := 0
	for _, s := range g.streams {
		held += int(s.load.Load() >> loadShift)
	}
	lag := leat.Lag{
		Topic: topic, Group: group, Events: int64(g.queued + held), Oldest: g.oldest().age(),
		Parts: []leat.LagPart{{
			Name: group, Events: int64(g.queued + held), Details: map[string]int64{"waiting": int64(g.queued), "held": int64(held)},
		}},
	}
	if lag.Events == 0 {
		lag.Oldest = 0
	}
	return lag, nil
}

// age is how old the event of an entry is; nil has none.
func (e *entry) age() time.Duration {
	if e == nil || e.event.IsZero() || e.event.Time().IsZero() {
		return leat.LagUnknown
	}
	if age := time.Since(e.event.Time()); age >= 0 {
		return age
	}
	return leat.LagUnknown
}

// oldest returns the entry that was published first and is not settled, nil where there is none.
// The caller holds the lock.
func (g *group) oldest() *entry {
	var first *entry
	see := func(e *entry) {
		if first == nil || e.before(first) {
			first = e
		}
	}
	look := func(q *queue, tn *tenure) {
		if q != nil && !q.empty() {
			see(q.peek())
		}
		if tn == nil {
			return
		}
		for i := range tn.flight.n {
			if d := tn.flight.at(i); d.entry.is(d.gen, stateHeld) {
				see(d.entry)
			}
		}
		for _, e := range tn.taken {
			see(e)
		}
	}
	look(&g.shared, nil)
	for _, sl := range g.slots {
		look(&sl.queue, sl.tenure)
	}
	for _, s := range g.streams {
		look(nil, s.shared)
	}
	for _, d := range g.delayed {
		if d.entry != nil {
			see(d.entry)
		}
	}
	return first
}
