package watermill

import (
	"context"
	"errors"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/withdrawal"
)

var _ leat.Withdrawer = (*Broker)(nil)

// Withdraw implements [leat.Withdrawer]: it refuses events for which the Publisher was not called yet, and ends the context of the
// messages for which it was. A Publisher that looks at that context while it waits for a connection, as that of the package amqp does,
// then returns; with any other the event is left alone.
func (b *Broker) Withdraw(ctx context.Context, topic string, events []leat.Event) {
	p := b.publisher
	wanted := withdrawal.Of(events)
	trouble := p.failure.last()
	var refused []*job
	var ending []chan struct{}
	p.mu.Lock()
	for _, j := range p.due {
		switch {
		case j == nil || j.over || j.topic != topic || !wanted.Has(j.event):
		case !j.begun:
			j.over = true // its lane drops it, and gives its room back
			refused = append(refused, j)
		case j.end != nil && !j.withdrawn:
			j.withdrawn = true
			close(j.end)
			ending = append(ending, j.told)
		}
	}
	p.mu.Unlock()
	for _, j := range refused {
		err := withdrawal.Refusal(ctx, trouble)
		err.Op, err.Topic, err.EventID = "publish", j.topic, j.event.ID()
		j.done(j.index, err)
	}
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

// endingTime is how long a Publisher may take to notice that the context of a message has ended.
const endingTime = 100 * time.Millisecond

// A job is the context of its message. It ends when the event is withdrawn.

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

// last returns the failure as an error for which the broker cannot be reached, or nil.
func (f *failure) last() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		return nil
	}
	if own, ok := errors.AsType[*leat.Error](f.err); ok && own.Err != nil {
		return own.Err
	}
	return f.err
}
