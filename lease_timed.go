package leat

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

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
