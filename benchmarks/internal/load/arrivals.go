package load

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
)

// Arrivals is the work of every handler that does nothing else: it counts, and checks that each
// event comes once and, where there is order by key, in order. It lets no more events through than
// are expected, so that the rounds of a consumer that has started do not run into each other.
type Arrivals struct {
	ordered bool
	Keys    int             // how many keys there are, if they are fewer than [Keys]
	Passed  func()          // if set, called for each event
	last    []atomic.Int32  // by key: how many events of it have come, since event i is number i/keys of key i%keys
	seen    []atomic.Uint32 // without order: a bit for each event
	wrong   atomic.Pointer[error]

	tickets atomic.Int64 // events that asked to be let through
	n       atomic.Int64 // events that were
	target  atomic.Int64
	reached chan struct{}

	mu   sync.Mutex
	gate *sync.Cond // the target has grown, or nothing is expected any more
	open bool
}

// NewArrivals returns Arrivals for a topic of that many events.
func NewArrivals(events int, ordered bool) *Arrivals {
	a := &Arrivals{ordered: ordered, reached: make(chan struct{}, 1)}
	a.gate = sync.NewCond(&a.mu)
	if ordered {
		a.last = make([]atomic.Int32, Keys)
	} else {
		a.seen = make([]atomic.Uint32, events/32+1)
	}
	return a
}

// Handle takes event i.
func (a *Arrivals) Handle(i int) {
	if ticket := a.tickets.Add(1); ticket > a.target.Load() && !a.held(ticket) {
		return
	}
	switch {
	case i < 0:
		a.failf("an event without an id came")
	case a.ordered:
		keys := cmp.Or(a.Keys, Keys)
		if before := a.last[i%keys].Add(1) - 1; int(before) != i/keys {
			a.failf("event %d of key %d came as number %d", i/keys, i%keys, before)
		}
	case i/32 >= len(a.seen):
		a.failf("event %d came, which is none of the topic's", i)
	default:
		if bit := uint32(1) << (i % 32); a.seen[i/32].Or(bit)&bit != 0 {
			a.failf("event %d came twice", i)
		}
	}
	if a.Passed != nil {
		a.Passed()
	}
	if a.n.Add(1) == a.target.Load() {
		a.reached <- struct{}{}
	}
}

// held waits until as many events are expected, and reports whether that came true.
func (a *Arrivals) held(ticket int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for ticket > a.target.Load() && !a.open {
		a.gate.Wait()
	}
	return !a.open
}

func (a *Arrivals) failf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	a.wrong.CompareAndSwap(nil, &err)
}

// Expect lets n more events through.
func (a *Arrivals) Expect(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.target.Add(int64(n))
	a.gate.Broadcast()
}

// Wait waits until what is expected has come.
func (a *Arrivals) Wait(ctx context.Context) error {
	select {
	case <-a.reached:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d of %d events came: %w", a.n.Load(), a.target.Load(), context.Cause(ctx))
	}
}

// Release lets go of everything that is held, so that its consumer can end. What comes from then on
// is not looked at.
func (a *Arrivals) Release() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open = true
	a.gate.Broadcast()
}

// Err returns the first thing that was wrong.
func (a *Arrivals) Err() error {
	if err := a.wrong.Load(); err != nil {
		return *err
	}
	return nil
}

// Handled counts the events that came.
func (a *Arrivals) Handled() int64 { return a.n.Load() }

// Holding reports whether an event waits that is more than what is expected.
func (a *Arrivals) Holding() bool { return a.tickets.Load() > a.target.Load() }
