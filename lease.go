package leat

import (
	"fmt"
	"sync"
	"sync/atomic"
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

// TimedLease is a [Lease] for brokers that take a delivery back when nobody extends it in time: a
// visibility timeout, an ack deadline, a pin. It keeps the rules L1 to L3 of [Lease] for its
// adapter: it ends by itself at nine tenths of the term, counted by this process's clock from the
// moment at which the last extension was asked for, with a cause that is [ErrLeaseLost]. No
// goroutine of the adapter takes part in that, so a request that blocks cannot hold it up. Where
// its timer is late, because the process stood still, no handler starts any more, and [Lease.Ended]
// already says that it has ended.
//
// [TimedLeases] makes it. Its methods may be called from several goroutines at once, and with locks
// held.
type TimedLease struct {
	lease    Lease
	all      *TimedLeases
	deadline atomic.Int64 // on leaseClock; written with the lease's lock held

	// Guarded by the lock of all:
	queued     time.Duration // its deadline when it was put into the list
	prev, next *TimedLease
	listed     bool
	gone       bool // it has ended, and is never put into the list again
}

// TimedLeases makes the [TimedLease] values of one stream, which share a term and a timer. One for
// each delivery costs little more than a plain lease. Its methods may be called from several
// goroutines at once.
type TimedLeases struct {
	term time.Duration

	mu    sync.Mutex
	root  TimedLease // of the ring of those that last, by queued; root.next is the first to be looked at
	timer *time.Timer
	wakes time.Duration // when timer fires, on leaseClock
	armed bool
}

// leaseEpoch is the zero of the clock of deadlines, which is cheaper to read than the time.
//
//nolint:gochecknoglobals // Go has no constants of a struct type
var leaseEpoch = time.Now()

func leaseClock() time.Duration { return time.Since(leaseEpoch) }

// NewTimedLeases returns what makes leases of deliveries that the broker takes back after term.
func NewTimedLeases(term time.Duration) *TimedLeases {
	ls := &TimedLeases{term: term}
	ls.root.prev, ls.root.next = &ls.root, &ls.root
	return ls
}

// New returns a lease that is held. asked is the [time.Now] at which the request that brought its
// deliveries began: the broker's term began later. A lease whose time is over by now has ended
// already.
func (ls *TimedLeases) New(asked time.Time) *TimedLease {
	t := &TimedLease{all: ls}
	t.lease.timed = t
	deadline := ls.deadline(asked)
	t.deadline.Store(int64(deadline))
	now := leaseClock()
	if deadline <= now {
		t.lease.End(t.cause())
		return t
	}
	ls.mu.Lock()
	ls.insert(t)
	ls.arm(now)
	ls.mu.Unlock()
	return t
}

// keeps is how long a lease lasts after an extension was asked for.
func (ls *TimedLeases) keeps() time.Duration { return ls.term - ls.term/10 }

func (ls *TimedLeases) deadline(asked time.Time) time.Duration {
	return asked.Sub(leaseEpoch) + ls.keeps()
}

// insert puts t where it belongs, which is nearly always the end. The lock is held.
func (ls *TimedLeases) insert(t *TimedLease) {
	t.queued = time.Duration(t.deadline.Load())
	prev := ls.root.prev
	for prev != &ls.root && prev.queued > t.queued {
		prev = prev.prev
	}
	t.prev, t.next, t.listed = prev, prev.next, true
	prev.next, t.next.prev = t, t
}

// remove takes t out. The lock is held.
func (ls *TimedLeases) remove(t *TimedLease) {
	t.prev.next, t.next.prev = t.next, t.prev
	t.prev, t.next, t.listed = nil, nil, false
}

// arm sets the timer for the first of the list. One that is set for an earlier moment stays so: it
// finds nothing to do then. The lock is held.
func (ls *TimedLeases) arm(now time.Duration) {
	first := ls.root.next
	if first == &ls.root || ls.armed && ls.wakes <= first.queued {
		return
	}
	ls.armed, ls.wakes = true, first.queued
	if ls.timer == nil {
		ls.timer = time.AfterFunc(first.queued-now, ls.tick)
		return
	}
	ls.timer.Reset(first.queued - now)
}

// tick ends the leases whose time is over.
func (ls *TimedLeases) tick() { ls.expire(ls.takeDue()) }

// takeDue takes the leases out of the list whose time is over, and sets the timer for the others.
func (ls *TimedLeases) takeDue() (over []*TimedLease) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	now := leaseClock()
	for t := ls.root.next; t != &ls.root && t.queued <= now; t = ls.root.next {
		ls.remove(t)
		if time.Duration(t.deadline.Load()) > now { // it was extended
			ls.insert(t)
		} else {
			over = append(over, t)
		}
	}
	ls.armed = false
	ls.arm(now)
	return over
}

// expire ends leases that are not in the list, and puts those back that were extended at the last
// moment.
func (ls *TimedLeases) expire(over []*TimedLease) {
	for _, t := range over {
		if !t.expire() {
			ls.putBack(t)
		}
	}
}

// putBack puts a lease back that was taken out of the list and lasts. The adapter may have ended it
// since anybody looked. End marks a lease as ended before it takes the list's lock, so the lease
// either is gone by now, or leave comes later and finds it in the list.
func (ls *TimedLeases) putBack(t *TimedLease) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if !t.gone {
		ls.insert(t)
		ls.arm(leaseClock())
	}
}

// Lease returns the lease, for [Delivery].Lease, and to drain or end it.
func (t *TimedLease) Lease() *Lease { return &t.lease }

// Extended notes that the broker confirmed an extension by the term. asked is the [time.Now] at
// which the request for it began. It reports whether the lease still lasts; else the extension came
// too late. A request that began before one that was noted already changes nothing.
func (t *TimedLease) Extended(asked time.Time) bool {
	t.lease.mu.Lock()
	defer t.lease.mu.Unlock()
	if t.lease.over() {
		return false
	}
	t.deadline.Store(max(t.deadline.Load(), int64(t.all.deadline(asked))))
	return true
}

// ExtendAt returns when the next extension is due: at half of the term. Try one that fails again at
// every tenth of the term.
func (t *TimedLease) ExtendAt() time.Time {
	return time.Now().Add(t.left() - (t.all.keeps() - t.all.term/2))
}

func (t *TimedLease) left() time.Duration { return time.Duration(t.deadline.Load()) - leaseClock() }

func (t *TimedLease) overdue() bool { return t.left() <= 0 }

// expire ends the lease if its time is over, and reports whether it has ended.
func (t *TimedLease) expire() bool {
	if !t.lease.Ended() {
		return false
	}
	t.lease.End(t.cause()) // does nothing where it ended otherwise
	return true
}

// leave takes the lease, which has ended, out of the list for good.
func (t *TimedLease) leave() {
	ls := t.all
	ls.mu.Lock()
	defer ls.mu.Unlock()
	t.gone = true
	if t.listed {
		ls.remove(t)
	}
}

func (t *TimedLease) cause() error {
	term := t.all.term
	return &Error{Op: "lease", Code: CodeLeaseLost, Err: fmt.Errorf(
		"the broker confirmed no extension in time: it takes a delivery back after %v, and the lease ends %v earlier", term, term/10)}
}
