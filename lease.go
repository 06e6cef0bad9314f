package leat

import "sync"

// Lease is one period in which a stream owns what it delivered: a Kafka partition assignment, an AMQP channel, a visibility
// timeout. Every [Delivery] points to its lease, and all deliveries of one period share it. It goes from held to draining to ended,
// or from held to ended at once.
//
// The adapter makes it, drains it when it must give it up in order, and ends it. Whoever runs the stream, normally a [Consumer],
// attaches to it. The adapter must not hold a lock that Settle takes while it calls Drain or End.
type Lease struct {
	mu     sync.Mutex
	state  leaseState
	cause  error
	holder leaseHolder // nil while nobody is attached
	// work is the attached Consumer's state for this lease. It is in here because some brokers have a lease for each message, which would
	// cost another allocation.
	work leaseWork
}

// leaseHolder is told what becomes of a lease.
type leaseHolder interface {
	drain(release func())
	end(cause error)
}

// leaseFuncs are two functions as a leaseHolder.
type leaseFuncs struct {
	onDrain func(release func())
	onEnd   func(cause error)
}

func (f *leaseFuncs) drain(release func()) { f.onDrain(release) }
func (f *leaseFuncs) end(cause error)      { f.onEnd(cause) }

type leaseState uint8

const (
	leaseHeld leaseState = iota
	leaseDraining
	leaseEnded
)

// NewLease returns a lease that is held.
func NewLease() *Lease { return &Lease{} }

// Drain asks the holder to stop: nothing of this lease is started any more, except what [Capabilities.Watermark] requires. release
// is called once, from any goroutine, when no handler of it runs; everything that will be settled has been settled by then. It must not
// block. Where
// nobody is attached it is called at once. A second Drain, or one after End, does nothing. How long a drain may take is the adapter's
// to decide: it may End the lease at any time.
func (l *Lease) Drain(release func()) {
	l.mu.Lock()
	if l.state != leaseHeld {
		l.mu.Unlock()
		return
	}
	l.state = leaseDraining
	holder := l.holder
	l.mu.Unlock()
	if holder == nil {
		release()
		return
	}
	holder.drain(release)
}

// End ends the lease. A nil cause says that it ended in order, after a drain or by Close; any other that it was lost: handlers that
// still run see their context end with a cause that is [ErrLeaseLost] and wraps this one. Settlements that come later have no
// effect. A second End does nothing.
func (l *Lease) End(cause error) {
	l.mu.Lock()
	if l.state == leaseEnded {
		l.mu.Unlock()
		return
	}
	l.state, l.cause = leaseEnded, cause
	holder := l.holder
	l.mu.Unlock()
	if holder != nil {
		holder.end(cause)
	}
}

// Attach registers the holder, once. drain is called when the adapter drains the lease and must see to it that release is called;
// end is called when the lease ended. Where that happened before Attach, they are called from within it.
func (l *Lease) Attach(drain func(release func()), end func(cause error)) {
	l.attach(&leaseFuncs{drain, end})
}

func (l *Lease) attach(holder leaseHolder) {
	l.mu.Lock()
	l.holder = holder
	state, cause := l.state, l.cause
	l.mu.Unlock()
	switch state {
	case leaseDraining:
		holder.drain(func() {}) // Drain found nobody attached and has called release itself
	case leaseEnded:
		holder.end(cause)
	}
}

// Ended reports whether the lease has ended.
func (l *Lease) Ended() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state == leaseEnded
}

// Draining reports whether the lease is draining or has ended.
func (l *Lease) Draining() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state != leaseHeld
}
