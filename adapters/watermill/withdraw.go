package watermill

import (
	"context"
	"sync"
	"time"

	"github.com/leatgo/leat"
)

var _ leat.Withdrawer = (*Broker)(nil)

// Withdraw implements [leat.Withdrawer]: it refuses events for which the Publisher was not called
// yet, and ends the context of the messages for which it was. A Publisher that looks at that
// context while it waits for a connection, as that of the package amqp does, then returns; with any
// other the event is left alone.
func (b *Broker) Withdraw(ctx context.Context, topic string, events []leat.Event) {
	var ending []<-chan struct{}
	for _, e := range b.publisher.ledger.Withdraw(ctx, topic, events) {
		if told := e.Value.withdraw(); told != nil {
			ending = append(ending, told)
		}
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

// job is what is kept for an event that was taken. It is the context of its message, which ends
// when the event is withdrawn.
type job struct {
	trace *leat.TraceContext

	mu sync.Mutex
	// end is closed when the event is withdrawn, and told when the Publisher has returned. They are
	// nil until a Publisher looks at the message's context.
	end, told chan struct{}
	withdrawn bool
}

// withdraw ends the context of the message. It returns what is closed when the Publisher has
// returned, nil where that does not look at the context.
func (j *job) withdraw() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.end != nil && !j.withdrawn {
		j.withdrawn = true
		close(j.end)
	}
	return j.told
}

// returned notes that the Publisher has returned.
func (j *job) returned() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.told != nil {
		close(j.told)
	}
}

// Deadline implements [context.Context].
func (*job) Deadline() (deadline time.Time, ok bool) { return time.Time{}, false }

// Value implements [context.Context].
func (*job) Value(any) any { return nil }

// Done implements [context.Context].
func (j *job) Done() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.end == nil {
		j.end, j.told = make(chan struct{}), make(chan struct{})
	}
	return j.end
}

// Err implements [context.Context].
func (j *job) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.withdrawn {
		return context.Canceled
	}
	return nil
}
