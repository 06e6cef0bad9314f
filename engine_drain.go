package leat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// endGrace is how long a handler may take to return once its context has ended at the
// ShutdownTimeout, and closeGrace how long the stream may take to close after that. Together they
// keep Run within 250 ms of the ShutdownTimeout.
const (
	endGrace   = 100 * time.Millisecond
	closeGrace = 100 * time.Millisecond
)

// errShutdown is why handlers' contexts end at the ShutdownTimeout.
var errShutdown error = &Error{Op: "handle", Code: CodeCanceled, Err: errors.New("the ShutdownTimeout of the Consumer has passed")}

// drain stops the engine: no item is started any more, except what finishes a watermark lease; what
// waits goes back to the broker; handlers may run until the ShutdownTimeout, then their contexts
// end. The error names those that do not return even then.
func (e *engine) drain() error {
	deadline := time.Now().Add(e.c.o.ShutdownTimeout)
	quiesce(e.stream)
	e.c.mu.Lock()
	e.stopping = true
	if e.park.timer != nil {
		e.park.timer.Stop()
	}
	e.stopSuspects()
	e.giveBackWaiting(nil)
	e.flushBatches()
	e.checkDrained()
	e.unlock(e.wake())

	if !await(e.drained, time.Until(deadline)) {
		e.c.mu.Lock()
		for it := e.all.oldest; it != nil; it = it.newer {
			it.lease.ctx.cancel(errShutdown)
		}
		e.endLeaseOfBatches(nil, errShutdown)
		e.sweep(nil, func(it *item) bool { return it.state != itemRunning }, e.giveBackLane)
		e.unlock(nil)
		await(e.drained, endGrace)
	}
	e.c.mu.Lock()
	e.stopped = true
	errs := slices.Concat(e.stuckHandlers(), e.crashes)
	for _, idle := range e.idle {
		idle.wake <- struct{}{}
	}
	e.idle = nil
	e.checkQuiet()
	e.c.mu.Unlock()
	await(e.quiet, time.Until(deadline)+endGrace)
	e.awaitSuspectNotes(deadline)

	ctx, cancel := context.WithDeadline(context.Background(), deadline.Add(endGrace+closeGrace))
	defer cancel()
	if err := e.stream.Close(ctx); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// quiesce tells a stream that fetches ahead that Receive will not be called again.
func quiesce(s Stream) {
	if q, ok := s.(Quiescer); ok {
		q.Quiesce()
	}
}

// await waits for done, at most for d, and reports whether it came.
func await(done <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

// giveBackWaiting gives back what does not run: of one lease, or of all when w is nil. On a
// watermark stream, what lies below the newest started item of its lease is still run, so that
// nothing that has finished is handled again, unless the order of its key would break, or a pause
// keeps it from running. The lock is held.
func (e *engine) giveBackWaiting(w *leaseWork) {
	runs := e.caps.Watermark && (e.stopping || !e.pausedNow())
	e.sweep(w, func(it *item) bool {
		kept := runs && it.state != itemParked && it.state != itemSuspect && it.seq < it.lease.started
		return it.state != itemRunning && !kept
	}, e.giveBackLane)
}

// giveBackDraining gives back what draining leases still kept to be run, because a pause has begun.
func (e *engine) giveBackDraining() {
	e.sweep(nil, func(it *item) bool { return it.lease.draining && it.state != itemRunning }, e.giveBackLane)
}

// giveBackLane gives back an item, and what waits behind it in its lane on whatever lease, which
// must not overtake it.
func (e *engine) giveBackLane(it *item) {
	lost := it.lost
	for it != nil {
		after := it.after
		e.giveBack(it, 0)
		e.leave(it)
		if it = after; it == nil || lost.contains(it.d.Event) {
			return
		}
		if it.state == itemRunning { // the rest follows when it is done
			it.orphan = true
			return
		}
	}
}

// checkDrained tells drain when nothing runs or is settled any more. The lock is held.
func (e *engine) checkDrained() {
	if e.stopping && e.running+e.poison.running == 0 && e.ready.count == 0 && e.flushing == 0 && len(e.later)+len(e.after) == 0 {
		closeOnce(e.drained)
	}
}

// checkQuiet tells drain when the only workers left are those whose handler does not return. The
// lock is held.
func (e *engine) checkQuiet() {
	if e.stopped && e.workers == e.running {
		closeOnce(e.quiet)
	}
}

// closeOnce closes ch unless it is closed. The lock is held.
func closeOnce(ch chan struct{}) {
	select {
	case <-ch:
	default:
		close(ch)
	}
}

// stuckHandlers names the handlers, and the publishes to the poison queue, that still run.
func (e *engine) stuckHandlers() []error {
	var errs []error
	for it := e.all.oldest; it != nil; it = it.newer {
		if it.state != itemRunning {
			continue
		}
		what, code := "the handler of an event", CodeHandler
		if m := it.member; m != nil {
			if what = m.describe(); what == "" {
				continue
			}
		}
		if it.poison != nil {
			what, code = "the publish to the poison queue of an event", CodePoisonQueue
		}
		errs = append(errs, &Error{Op: "drain", Topic: e.c.sub.Topic, EventID: it.d.Event.ID(), Code: code,
			Err: fmt.Errorf("%s of type %s still runs, %v after it began and past the ShutdownTimeout of %v",
				what, quote(it.d.Event.Type()), (e.now() - it.started).Round(time.Millisecond), e.c.o.ShutdownTimeout)})
	}
	return errs
}
