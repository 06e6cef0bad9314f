package leat

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// leaseWork is what the engine knows about a lease. A lease carries it, and is its holder then. The
// engine's lock guards what is not said otherwise.
type leaseWork struct {
	engine    *engine // nil while the lease is new; only the receive loop reads or writes it
	ctx       leaseContext
	ended     atomic.Bool // set under the engine's lock
	draining  bool
	unsettled int    // items of it in flight
	started   uint64 // seq of the newest item of it that was started
	release   func() // tells the adapter that the drain is over; nil when there is nothing to tell
}

// leaseOf returns the engine's state for l, which it attaches to at first sight. Only the receive
// loop calls it.
func (e *engine) leaseOf(l *Lease) *leaseWork {
	w := &l.work
	if w.engine == nil {
		w.engine, w.ctx.base = e, e.base
		l.attach(w)
	}
	return w
}

func (w *leaseWork) drain(release func()) { w.engine.drainLease(w, release) }

func (w *leaseWork) end(cause error) { w.engine.endLease(w, cause) }

// drainLease stops dispatching w's items and gives back those that wait, by the rule of Drain.
func (e *engine) drainLease(w *leaseWork, release func()) {
	e.c.mu.Lock()
	w.draining, w.release = true, release
	e.giveBackWaiting(w)
	e.flushBatches()
	e.releaseLease(w)
	e.checkDrained()
	e.unlock(e.wake())
}

// releaseLease tells the adapter, when the lock is free, that nothing of a draining lease is left
// here.
func (e *engine) releaseLease(w *leaseWork) {
	if w.draining && w.unsettled == 0 && w.release != nil {
		e.after = append(e.after, w.release)
		w.release = nil
	}
}

// endLease ends the handlers' contexts and forgets what waits: it belongs to somebody else now.
// What runs is forgotten when its handler returns, and keeps its place in its lane until then, so
// that a redelivery waits for it.
func (e *engine) endLease(w *leaseWork, cause error) {
	e.c.mu.Lock()
	w.ended.Store(true)
	w.release = nil
	e.logLost(w, cause)
	why := e.leaseOver
	if cause != nil {
		why = &Error{Op: "handle", Topic: e.c.sub.Topic, Code: CodeLeaseLost, Err: cause}
	}
	w.ctx.cancel(why)
	e.endLeaseOfBatches(w, why)
	if solo := e.suspects.solo; solo != nil && solo.lease == w {
		e.soloOver()
	}
	e.sweep(w, func(it *item) bool { return it.state != itemRunning }, e.lose)
	e.checkDrained()
	e.unlock(e.wake())
}

// lose forgets an item whose lease has ended, and tells an observer. The lock is held.
func (e *engine) lose(it *item) {
	e.observeLater(it, ObservedLost, nil)
	e.dropLost(it)
}

// dropLost is lose without telling. What waits behind the item on another lease is given back: it
// would overtake.
func (e *engine) dropLost(it *item) {
	for next := it.after; next != nil && !it.comesAgain(next); {
		follower := next
		next = next.after
		if follower.state == itemRunning {
			follower.lost = &lostEvent{it.d.Event, follower.lost}
		}
		if follower.lease.ended.Load() {
			continue // it is lost too
		}
		if follower.state == itemRunning { // it is given back, with those behind it, when it is done
			follower.orphan = true
			break
		}
		e.giveBack(follower, 0)
		e.leave(follower)
	}
	e.c.total.leaseLost++
	e.c.attempts.keep(it, 0)
	e.leave(it)
}

// lostEvent is an event that was lost while an early one behind it ran, and those before it.
type lostEvent struct {
	event Event
	ahead *lostEvent
}

// comesAgain reports whether next, which follows it in its lane, is its redelivery, or that of what
// is or was ahead of it: that may be handled before it is, as may what is behind that.
func (it *item) comesAgain(next *item) bool {
	for ; it != nil; it = it.ahead {
		if sameEvent(it.d.Event, next.d.Event) || it.lost.contains(next.d.Event) {
			return true
		}
	}
	return false
}

func (l *lostEvent) contains(e Event) bool {
	for ; l != nil; l = l.ahead {
		if sameEvent(l.event, e) {
			return true
		}
	}
	return false
}

// sameEvent reports whether b is the redelivery of a.
func sameEvent(a, b Event) bool { return a.ID() == b.ID() && a.Source() == b.Source() }

// sweep calls do, which may take items out, for everything in flight that matches, oldest first: of
// one lease, or of all when w is nil. There may be as many leases as items, so it stops when it has
// seen all items of w.
func (e *engine) sweep(w *leaseWork, match func(*item) bool, do func(*item)) {
	left := e.all.count
	if w != nil {
		left = w.unsettled
	}
	var found []*item
	for it := e.all.oldest; it != nil && left > 0; it = it.newer {
		if w != nil && it.lease != w {
			continue
		}
		left--
		if match(it) {
			found = append(found, it)
		}
	}
	for _, it := range found {
		if it.state != itemGone { // else do took it out with one before it
			do(it)
		}
	}
}

// leaseContext is the context that those of a lease's handlers descend from. The real one is made
// when somebody needs a channel, a value or a child of it, which most handlers do not: with a lease
// for each message it would be half of what a message costs.
type leaseContext struct {
	base     context.Context //nolint:containedctx // it is the parent of a context
	canceled atomic.Bool
	made     atomic.Pointer[madeContext]

	mu    sync.Mutex
	cause error // set with canceled
}

// madeContext is a context of the standard library. It finds its children by its own type, without
// a goroutine for each, and tells context.Cause.
type madeContext struct {
	context.Context

	cancel context.CancelCauseFunc
}

// full returns the real context, which is made once.
func (c *leaseContext) full() *madeContext {
	if m := c.made.Load(); m != nil {
		return m
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.made.Load(); m != nil {
		return m
	}
	m := &madeContext{}
	m.Context, m.cancel = context.WithCancelCause(c.base)
	if c.cause != nil {
		m.cancel(c.cause)
	}
	c.made.Store(m)
	return m
}

// cancel ends the context. Only the first cause counts.
func (c *leaseContext) cancel(cause error) {
	c.mu.Lock()
	if c.cause == nil {
		c.cause = cause
	}
	c.canceled.Store(true)
	m := c.made.Load()
	c.mu.Unlock()
	if m != nil {
		m.cancel(cause)
	}
}

// why returns why the context has ended, or nil, without making the real one.
func (c *leaseContext) why() error {
	if !c.canceled.Load() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

// Deadline implements [context.Context]. There is none.
func (c *leaseContext) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements [context.Context].
func (c *leaseContext) Done() <-chan struct{} { return c.full().Done() }

// Value implements [context.Context].
func (c *leaseContext) Value(key any) any { return c.full().Value(key) }

// Err implements [context.Context]. A channel that somebody has is closed before Err says so.
func (c *leaseContext) Err() error {
	if !c.canceled.Load() {
		return nil
	}
	if m := c.made.Load(); m != nil {
		return m.Err()
	}
	return context.Canceled // and a channel that is made from now on is closed
}
