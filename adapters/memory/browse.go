package memory

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/leatgo/leat"
)

var _ leat.Browser = (*Broker)(nil)

// Browse implements [leat.Browser]: it shows the group as it is at one moment, in the order of
// publishing. Position.Offset is the event's place in the topic. Consumers do not notice it.
func (b *Broker) Browse(ctx context.Context, sub leat.Subscription, show func(*leat.Delivery) bool) error {
	if err := sub.Validate(); err != nil {
		return err
	}
	if sub.Broadcast {
		return &leat.Error{Op: "browse", Topic: sub.Topic, Code: leat.CodeUnsupported,
			Err: errors.New("a broadcast keeps nothing that could be shown; browse a group")}
	}
	if err := ctx.Err(); err != nil {
		return canceled(ctx, "browse", sub.Topic)
	}
	shown, err := b.snapshot(sub.Topic, sub.Group)
	if err != nil {
		return err
	}
	lease := leat.NewLease()
	lease.End(nil)
	for i := range shown {
		if ctx.Err() != nil {
			return canceled(ctx, "browse", sub.Topic)
		}
		shown[i].Lease = lease
		if !show(&shown[i]) {
			return nil
		}
		shown[i] = leat.Delivery{}
	}
	return nil
}

// snapshot returns what a group has not finished, in the order of publishing.
func (b *Broker) snapshot(topic, group string) ([]leat.Delivery, error) {
	t, g, err := b.lockGroup("browse", topic, group)
	if err != nil {
		return nil, err
	}
	defer t.mu.Unlock()
	var shown []leat.Delivery
	g.each(func(e *entry) {
		shown = append(shown, leat.Delivery{})
		e.describe(&shown[len(shown)-1])
	})
	slices.SortFunc(shown, func(a, b leat.Delivery) int { return cmp.Compare(a.Position.Offset, b.Position.Offset) })
	return shown, nil
}

// each calls do for every entry that is not settled. The caller holds the lock.
func (g *group) each(do func(*entry)) {
	g.shared.each(do)
	for _, sl := range g.slots {
		sl.queue.each(do)
		if sl.tenure != nil {
			sl.tenure.flight.each(do)
		}
	}
	for _, s := range g.streams {
		if s.shared != nil {
			s.shared.flight.each(do)
		}
	}
	for _, d := range g.delayed {
		if d.entry != nil {
			do(d.entry)
		}
	}
	for _, tn := range g.leaving {
		for _, e := range tn.taken {
			do(e)
		}
	}
}

func (q *queue) each(do func(*entry)) {
	for _, e := range q.returned {
		do(e)
	}
	for i := range q.pending.n {
		do(*q.pending.at(i))
	}
}

// each calls do for what is delivered and not settled.
func (f *flight) each(do func(*entry)) {
	for i := range f.n {
		if d := f.at(i); d.entry.is(d.gen, stateHeld) {
			do(d.entry)
		}
	}
}
