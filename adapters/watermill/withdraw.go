package watermill

import (
	"context"
	"slices"
	"time"

	"github.com/leatgo/leat"
)

var _ leat.Withdrawer = (*Broker)(nil)

// Withdraw implements [leat.Withdrawer]: it refuses events for which the Publisher was not called
// yet, and ends the context of the messages for which it was. A Publisher that looks at that
// context while it waits for a connection, as that of the package amqp does, then returns; with any
// other the event is left alone.
func (b *Broker) Withdraw(ctx context.Context, topic string, events []leat.Event) {
	p := b.publisher
	p.ledger.Withdraw(ctx, topic, events)
	var ending []chan struct{}
	p.mu.Lock()
	for i := range p.lanes {
		e := p.lanes[i].current
		if e == nil || e.Told() || e.Topic() != topic || e.Value.end == nil || e.Value.withdrawn || !isOneOf(e.Event(), events) {
			continue
		}
		e.Value.withdrawn = true
		close(e.Value.end)
		ending = append(ending, e.Value.told)
	}
	p.mu.Unlock()
	late := time.NewTimer(endingTime)
	defer late.Stop()
	for _, told := range ending {
		select {
		case <-told:
		case <-late.C:
			return
		}
	}
}

// isOneOf reports whether an event is one of some, by what identifies it (rule W4).
func isOneOf(e leat.Event, some []leat.Event) bool {
	return slices.ContainsFunc(some, func(other leat.Event) bool { return other.ID() == e.ID() && other.Source() == e.Source() })
}

// endingTime is how long a Publisher may take to notice that the context of a message has ended.
const endingTime = 100 * time.Millisecond

// job is what is kept for an event that was taken. It is the context of its message, which ends
// when the event is withdrawn.
type job struct {
	p     *publisher
	trace *leat.TraceContext
	// end is closed when the event is withdrawn, and told when the Publisher has returned. They are
	// nil until a Publisher looks at the message's context. publisher.mu guards them.
	end, told chan struct{}
	withdrawn bool // guarded by publisher.mu
}

// Deadline implements [context.Context].
func (*job) Deadline() (deadline time.Time, ok bool) { return time.Time{}, false }

// Value implements [context.Context].
func (*job) Value(any) any { return nil }

// Done implements [context.Context].
func (j *job) Done() <-chan struct{} {
	j.p.mu.Lock()
	defer j.p.mu.Unlock()
	if j.end == nil {
		j.end, j.told = make(chan struct{}), make(chan struct{})
	}
	return j.end
}

// Err implements [context.Context].
func (j *job) Err() error {
	j.p.mu.Lock()
	defer j.p.mu.Unlock()
	if j.withdrawn {
		return context.Canceled
	}
	return nil
}
