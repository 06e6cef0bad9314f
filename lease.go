package leat

import (
	"sync"
	"time"
)

// Lease is one period in which a stream owns what it delivered: a Kafka partition assignment, an
// AMQP channel, a visibility timeout. Every [Delivery] points to its lease, and all deliveries of
// one period share it. It goes from held to draining to ended, or from held to ended at once.
//
// The adapter makes it, drains it when it must give it up in order, and ends it. Whoever runs the
// stream, normally a [Consumer], attaches to it. The adapter must not hold a lock that Settle takes
// while it calls Drain or End.
//
// L1. Where the broker takes deliveries back after a term, the adapter extends the lease as long as
// anything of it is unsettled, draining or not, whatever handlers do: at half of the term at the
// latest, and then at every tenth of it until the broker has confirmed.
//
// L2. Such a lease ends by the client's own clock before the broker's term does: at nine tenths of
// it. The term counts from the moment at which the request began that the broker confirmed last. It
// ends in time also while a request blocks, and where the process stood still, nothing of it is
// handed out, started or settled afterwards. [TimedLease] sees to that.
//
// L3. A lease has ended before anything of it can go to anybody else, and before it comes to the
// same stream again under another lease.
//
// L4. A loss makes everything void that is held under the lease. It ends with a cause, handlers'
// contexts end, later settlements have no effect, and what the adapter has fetched and not
// delivered is never delivered under it.
//
// L5. A message may come again to the stream that still holds it under a lease that lasts. The
// adapter takes over what the message is settled by now, such as a receipt or an ack id, and
// delivers nothing.
//
// L6. The settlement of an old delivery touches no newer delivery of the same message, whoever has
// that. It is sent while its lease lasts, or not at all, and nothing sends it again after that.
//
// L7. End(nil) follows the settlements: it is called when the broker has confirmed those of the
// lease, or the time for that is over.
type Lease struct {
	mu     sync.Mutex
	state  leaseState
	cause  error
	holder leaseHolder // nil while nobody is attached
	timed  *TimedLease // that it belongs to; nil for most
	// work is the attached Consumer's state for this lease. It is in here because some brokers have
	// a lease for each message, which would cost another allocation.
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

// Drain asks the holder to stop: nothing of this lease is started any more, except what
// [Capabilities.Watermark] requires. release is called once, from any goroutine, when no handler of
// it runs; everything that will be settled has been settled by then. It must not block. Where
// nobody is attached it is called at once. A second Drain, or one after End, does nothing. How long
// a drain may take is the adapter's to decide: it may End the lease at any time.
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

// End ends the lease. A nil cause says that it ended in order, after a drain or by Close; any other
// that it was lost: handlers that still run see their context end with a cause that is
// [ErrLeaseLost] and wraps this one. Settlements that come later have no effect. A second End does
// nothing.
func (l *Lease) End(cause error) {
	l.mu.Lock()
	if l.state == leaseEnded {
		l.mu.Unlock()
		return
	}
	l.state, l.cause = leaseEnded, cause
	holder := l.holder
	l.mu.Unlock()
	if l.timed != nil {
		l.timed.leave()
	}
	if holder != nil {
		holder.end(cause)
	}
}

// Attach registers the holder, once. drain is called when the adapter drains the lease and must see
// to it that release is called; end is called when the lease ended. Where that happened before
// Attach, they are called from within it.
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

// Ended reports whether the lease has ended, or must not last any longer because the time of a
// [TimedLease] is over: what is about to end it may be late.
func (l *Lease) Ended() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.over()
}

// over is Ended for who holds the lock.
func (l *Lease) over() bool { return l.state == leaseEnded || l.timed != nil && l.timed.overdue() }

// Draining reports whether the lease is draining or has ended.
func (l *Lease) Draining() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state != leaseHeld || l.over()
}

// lapsed ends the lease if its time is over, and reports whether it was. It is cheap where nobody
// set a time. The caller holds no lock that the holder takes.
func (l *Lease) lapsed() bool { return l.timed != nil && l.timed.overdue() && l.timed.expire() }

// lapsedBy is lapsed for who has just read the clock, which says now on leaseClock.
func (l *Lease) lapsedBy(now time.Duration) bool {
	return l.timed != nil && time.Duration(l.timed.deadline.Load()) <= now && l.timed.expire()
}
