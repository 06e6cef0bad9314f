package leat

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/leatgo/leat/internal/aside"
	"github.com/leatgo/leat/internal/backoff"
)

// outcome is what becomes of an item after a worker had it.
type outcome struct {
	kind   outcomeKind
	delay  time.Duration
	poison *Poisoned // the verdict of outcomePoison
	err    error     // of the attempt, for outcomeFailing and outcomePause
	outage error     // the outcome of a publish of the handler that makes it outcomeOutage
	crash  error     // the panic or Goexit that ended the attempt; nil when something else did
	unmet  bool      // it is lost, and the handler was not called
	stays  bool      // it waits in the process, and not with the broker
}

type outcomeKind uint8

const (
	outcomeHandled   outcomeKind = iota + 1 // acked
	outcomePoisoned                         // in the poison queue and acked
	outcomeLost                             // its lease ended
	outcomeRetry                            // again after delay, as the handler or a policy said
	outcomeFailing                          // again after delay, by the engine's own backoff
	outcomeOutage                           // again after delay, because the handler cannot publish; no attempt
	outcomePostponed                        // again after delay, as the handler said; no attempt
	outcomePause                            // again when the pause of delay is over; no attempt
	outcomeEnded                            // the engine ended the handler's context; no attempt
	outcomePoison                           // to the poison queue
	outcomeAside                            // stays unsettled until the engine stops; no attempt
)

// tellsNothing reports whether an outcome leaves open whether the handler would have worked.
func (k outcomeKind) tellsNothing() bool {
	return k == outcomeLost || k == outcomePostponed || k == outcomePause || k == outcomeEnded
}

// defaultBackoff paces the retries of an error that no middleware judged, and of a poison queue
// that fails.
//
//nolint:gochecknoglobals // Go has no constants of a struct type
var defaultBackoff = backoff.Policy{Initial: 100 * time.Millisecond, Max: 30 * time.Second, Multiplier: 2, Jitter: 0.5}

// brokerDelay is from where on the delay of an event without a key is left to a broker that can
// delay.
const brokerDelay = time.Minute

// shortestDelay is the least that a Postpone or a Pause of a handler or a middleware takes, so that
// one without a time does not spin.
const shortestDelay = time.Millisecond

// handle runs one attempt of an item and acks it when that went well. With a crash, the attempt
// goes on: the handler is not called again. The lock is free.
func (e *engine) handle(it *item, crash error) outcome {
	if crash == nil {
		if it.d.Lease.lapsedBy(e.leaseZero + it.started) {
			return outcome{kind: outcomeLost, unmet: true}
		}
		if e.observer != nil {
			e.observe(&it.d, seen{kind: ObservedAttempt, attempt: it.attempts})
		}
	}
	a := newAttempt(it, crash)
	err := e.call(it, a)
	if e.tooEarly(it, a) {
		err = e.notItsTurn(it.d.Event)
	}
	if err == nil && !it.lease.ended.Load() && !it.d.Lease.lapsed() {
		if e.observer != nil {
			e.observeOutcome(it, nil, 0)
		}
		e.settle(&it.d, Settlement{Action: Ack})
		return outcome{kind: outcomeHandled}
	}
	o, err := e.judgeError(it, err)
	e.observeFailure(it, o, err)
	return o
}

// judgeError turns the error of an attempt into what follows from it. The lock is free and the
// error is foreign code that may take its time, while others look at the item: so it changes
// nothing there. It returns the error that others may look into, too.
func (e *engine) judgeError(it *item, err error) (o outcome, fit error) {
	switch {
	case it.lease.ended.Load(), it.d.Lease.lapsed():
		return outcome{kind: outcomeLost}, nil
	case it.lease.ctx.canceled.Load():
		return outcome{kind: outcomeEnded}, nil // whatever the handler says: it was told to stop
	}
	if err == aside.Err { //nolint:errorlint // never wrapped
		return outcome{kind: outcomeAside}, err
	}
	v, outage, crash, err := classify(err)
	o.kind = outcomeFailing
	if outage != nil {
		return e.outageOutcome(it, v, outage), err
	}
	if crash != nil {
		o.crash = &Error{Op: "handle", Topic: e.c.sub.Topic, EventID: it.d.Event.ID(), Code: CodeHandler, Err: crash}
	}
	switch {
	case v == nil:
		o.err = err
		o.delay = defaultBackoff.Delay(it.attempts, rand.Float64)
	case v.kind == verdictPause:
		o.kind, o.delay, o.err = outcomePause, max(v.delay, shortestDelay), err
	case v.kind == verdictPostpone:
		o.kind, o.delay = outcomePostponed, e.holdAtMost(v.delay)
		o.stays = v.err == aside.ErrTurn //nolint:errorlint // never wrapped
		if !o.stays && !v.own {
			o.delay = max(o.delay, shortestDelay)
		}
	case v.kind == verdictRetry:
		o.kind, o.delay = outcomeRetry, e.holdAtMost(v.delay)
	default:
		o.kind = outcomePoison
		o.poison = &Poisoned{Event: it.d.Event, Reason: err, Info: it.info(), At: time.Now(), cause: poisonReason(err)}
	}
	return o, err
}

// holdAtMost cuts a delay to what the stream lets a delivery stay unsettled.
func (e *engine) holdAtMost(d time.Duration) time.Duration {
	if hold := e.caps.LongestHold; hold > 0 {
		return min(d, hold)
	}
	return d
}

// classify finds the verdict, the outage and the crash in a handler's error, nil where there is
// none. The error is foreign code: one that panics when it is looked into, such as a nil pointer in
// an interface, is a crash itself, which takes its place.
func classify(err error) (v *verdict, outage, crash, fit error) {
	defer func() {
		if p := recover(); p != nil {
			crash = panicked("the handler's error", p)
			v, outage, fit = nil, nil, crash
		}
	}()
	v, _ = errors.AsType[*verdict](err)
	if c, ok := errors.AsType[*crashError](err); ok {
		crash = c
	}
	_ = err.Error() // whoever writes down why an event was given up relies on it
	return v, outageIn(err), crash, err
}

// conclude does with an item that a worker had what its outcome says. The lock is held.
func (e *engine) conclude(it *item, o outcome) {
	total := &e.c.total
	e.checkAlone()
	if it.suspect != nil {
		e.finishSuspect(it, o)
	}
	if o.kind != outcomeLost && o.kind != outcomeEnded { // these say nothing new
		it.failure = o.crash
	}
	if e.pause.over != 0 && it.started >= e.pause.over && it.poison == nil && !o.kind.tellsNothing() {
		e.pauseOver()
	}
	switch {
	case o.kind == outcomeHandled:
		if it.skipped {
			e.noteSkipped(it)
		} else {
			total.handled++
		}
		e.c.attempts.forget(it)
		e.leave(it)
		return
	case o.kind == outcomePoisoned:
		e.c.countPoisoned(it.poison)
		e.c.attempts.forget(it)
		e.leave(it)
		return
	case o.kind == outcomeLost || it.lease.ended.Load():
		if o.unmet {
			it.attempts--
		}
		e.observeLater(it, ObservedLost, nil)
		if !o.unmet {
			it.attempts-- // whatever became of it, it is handled again
		}
		e.dropLost(it)
		return
	case o.kind == outcomePoison:
		e.troubleOver(it)
		it.poison = o.poison
		e.startPoison(it)
		return
	case o.kind == outcomeAside:
		e.setAside(it)
		return
	}
	if !o.kind.tellsNothing() {
		e.noteTrouble(it, o)
	}
	it.excused = o.kind == outcomePause || o.kind == outcomeOutage || o.kind == outcomePostponed
	if it.excused || o.kind == outcomeEnded {
		it.attempts-- // the event is not to blame
	} else {
		total.retried++
	}
	if e.mustGiveBack(it) || o.kind == outcomeEnded {
		e.giveBackLane(it)
		return
	}
	e.hold(it, o)
}

// mustGiveBack reports whether an item that is not finished has to go back to the broker instead of
// waiting here: the engine stops, the adapter wants the lease, or the event ahead of it went back.
// The lock is held.
func (e *engine) mustGiveBack(it *item) bool { return e.stopping || it.lease.draining || it.orphan }

// hold keeps an item for another attempt. The lock is held.
func (e *engine) hold(it *item, o outcome) {
	now := time.Now()
	waits := o.kind == outcomeRetry || o.kind == outcomePostponed && !o.stays
	switch {
	case o.kind == outcomePause:
		e.pauseUntil(now.Add(o.delay), it.d.Event, o.err)
		e.makeReadyInTurn(it)
	case waits && it.lane == nil && o.delay >= brokerDelay && o.delay <= e.caps.LongestDelay:
		e.giveBack(it, o.delay)
		e.leave(it)
	default:
		e.park.push(it, now.Add(o.delay))
		e.armTimer(now)
	}
}

// seen is what an observer is told of a delivery.
type seen struct {
	kind    ObservationKind // 0 is nothing
	attempt int
	skipped bool
	err     error
	delay   time.Duration
	took    time.Duration
}

// observe tells the observer what became of a delivery. The lock is free.
func (e *engine) observe(d *Delivery, s seen) {
	if e.observer == nil || s.kind == 0 {
		return
	}
	e.observer.Observe(Observation{
		Kind: s.kind, Topic: e.c.sub.Topic, Group: e.c.sub.Group, Delivery: d, Event: d.Event,
		Attempt: s.attempt, Skipped: s.skipped, Err: s.err, Delay: s.delay, Took: s.took,
	})
}

// observeOutcome tells of the end of an attempt.
func (e *engine) observeOutcome(it *item, err error, delay time.Duration) {
	e.observe(&it.d, seen{
		kind: ObservedOutcome, attempt: it.attempts, skipped: err == nil && it.skipped, err: err, delay: delay, took: e.now() - it.started,
	})
}

// observeFailure tells of an attempt that failed. One that is lost or ended, or given back later,
// is told of where that is done.
func (e *engine) observeFailure(it *item, o outcome, err error) {
	e.logFailure(it, o, err)
	if e.observer == nil {
		return
	}
	switch o.kind {
	case outcomeRetry, outcomeFailing, outcomeOutage, outcomePostponed, outcomePause:
		e.observeOutcome(it, err, o.delay)
	case outcomePoison:
		e.observeOutcome(it, err, 0)
	}
}

// observeLater is observe for when the lock is free. The lock is held.
func (e *engine) observeLater(it *item, kind ObservationKind, err error) {
	if e.observer != nil {
		e.settleLater(it, Settlement{}, seen{kind: kind, attempt: it.attempts, err: err})
	}
}

// settle is how a delivery leaves, whatever the reason; the observer was told before. No action is
// none. Nothing is settled under a lease whose time is over. The lock is free.
func (e *engine) settle(d *Delivery, how Settlement) {
	if how.Action != 0 && !d.Lease.lapsed() {
		e.stream.Settle(d, how)
	}
}
