package leat

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat/internal/aside"
	"github.com/leatgo/leat/internal/backoff"
)

// poisonTimeout bounds one publish to the poison queue.
const poisonTimeout = 10 * time.Second

// poisonStage is the engine's state for the poison queue. What the queue cannot take at all is told
// from what it cannot take of one event: an outage holds up all items, and a refusal the one that
// it concerns.
type poisonStage struct {
	topic   string    // where its events go, as the queue says
	running int       // publishes to it that run now
	passed  int       // publishes that it confirmed
	down    error     // why it is down; nil when it is not
	since   time.Time // it is
	failed  int       // failures in a row that say so
	next    time.Time // while it is down, no publish before
	probing bool      // one publish tries whether it is up again
	refused int       // items that it refuses
}

// startPoison carries out the verdict on an item: it leaves for the poison queue or the broker's
// dead letters, or stays where there is neither. A publish has a goroutine of its own and no
// handler's place, so that a poison queue that hangs holds up no other key. The number of these is
// bounded by MaxInFlight. The lock is held.
func (e *engine) startPoison(it *item) {
	if e.c.o.PoisonQueue == nil {
		e.poisonNatively(it)
		return
	}
	probe := e.poison.down != nil
	if probe && (e.poison.probing || time.Now().Before(e.poison.next)) {
		e.holdPoison(it)
		return
	}
	e.poison.probing = e.poison.probing || probe
	e.poison.running++
	it.state = itemRunning
	it.lease.started = max(it.lease.started, it.seq)
	it.started = e.now()
	go e.runPoison(it, probe)
}

// poisonNatively rejects to the broker where that has dead letters; else the item stays.
func (e *engine) poisonNatively(it *item) {
	if e.caps.NativeReject {
		e.settleLater(it, Settlement{Action: NativeReject}, seen{kind: ObservedPoisoned, attempt: it.attempts, err: it.poison.Reason})
		e.logRejected(lineDeadLettered, it)
		e.c.countPoisoned(it.poison)
		e.c.attempts.forget(it)
		e.suspectDone(it)
		e.leave(it)
		return
	}
	if e.mustGiveBack(it) {
		e.giveBackLane(it)
		return
	}
	e.logRejected(lineStuck, it)
	e.observeLater(it, ObservedStuck, it.poison.Reason)
	it.state = itemParked
	if e.park.stuck++; e.park.stuck == 1 {
		e.park.stuckSince = time.Now()
	}
}

// holdPoison keeps an item until the poison queue is tried again, or gives it back when the engine
// stops.
func (e *engine) holdPoison(it *item) {
	if e.mustGiveBack(it) {
		e.giveBackLane(it)
		return
	}
	now, due := time.Now(), e.poison.next
	switch {
	case it.refused():
		due = now.Add(refusalBackoff.Delay(it.trouble.tries, rand.Float64))
	case !due.After(now): // a probe is on its way, and retimePoison says when it is over
		due = now.Add(poisonTimeout)
	}
	e.park.push(it, due)
	e.armTimer(now)
}

// retimePoison lets the items that wait for the poison queue wait until due, and no longer. Of
// those that are due at the same time, the park takes first what has failed least, so that one item
// that cannot be written is not the probe again and again. The lock is held.
func (e *engine) retimePoison(due time.Time) {
	for _, it := range e.park.items {
		if it.poison != nil && !it.refused() {
			it.due = due
		}
	}
	heap.Init(&e.park.items)
	e.armTimer(time.Now())
}

// runPoison is the goroutine of one publish to the poison queue.
func (e *engine) runPoison(it *item, probe bool) {
	err, refused := errors.New("the poison queue called runtime.Goexit"), false
	defer func() { e.poisonDone(it, probe, err, refused) }()
	if it.d.Lease.lapsed() {
		err = ErrLeaseLost
		return
	}
	refused, err = e.callPoison(it)
}

// callPoison also reports whether the error concerns the event alone. To look into it is to call
// foreign code, as the queue is.
func (e *engine) callPoison(it *item) (refused bool, err error) {
	defer func() {
		if v := recover(); v != nil {
			refused, err = false, panicked("the poison queue", v)
		}
	}()
	ctx, cancel := context.WithTimeout(&it.lease.ctx, poisonTimeout)
	defer cancel()
	if it.d.Trace != nil {
		ctx = withTrace(ctx, it.d.Trace) // so that the poisoned message goes on with it
	}
	p := *it.poison
	p.note = &atomic.Pointer[reducedNote]{}
	if err := e.c.o.PoisonQueue.Poison(ctx, p); err != nil {
		return refusesOne(err, e.poison.topic), err
	}
	if note := p.note.Load(); note != nil {
		e.noteReduced(it, note)
	}
	return false, nil
}

// noteReduced counts and logs an event that is in the poison queue in the reduced form.
func (e *engine) noteReduced(it *item, note *reducedNote) {
	e.c.mu.Lock()
	e.c.total.poisonReduced++
	e.c.mu.Unlock()
	d := it.d
	e.c.journal.note(lineReduced, "", func() []any { return append(about(&d), note.size, note.kept, note.missing) })
}

// poisonDone settles an item that is in the poison queue, and keeps it otherwise. refused says that
// err concerns it alone.
func (e *engine) poisonDone(it *item, probe bool, err error, refused bool) {
	lost, ended := it.d.Lease.lapsed() || it.lease.ended.Load(), it.lease.ctx.canceled.Load()
	stays := err == aside.Err //nolint:errorlint // never wrapped
	switch {
	case lost || stays || err != nil && ended:
	case err != nil:
		e.observe(&it.d, seen{kind: ObservedPoisonFailed, attempt: it.attempts, err: err})
	default:
		e.observe(&it.d, seen{kind: ObservedPoisoned, attempt: it.attempts, err: it.poison.Reason})
		e.settle(&it.d, Settlement{Action: Ack})
		e.logPoisoned(it)
	}
	e.c.mu.Lock()
	e.poison.running--
	was := e.poison.down
	switch {
	case err == nil:
		e.poison.passed++
		e.poison.down, e.poison.failed = nil, 0
	case ended, stays: // it was told to stop, or the queue did not try
	case e.concernsOne(it, refused):
		e.refuse(it, err, refused)
	default:
		if was == nil || probe {
			e.poison.failed++
			e.poison.next = time.Now().Add(defaultBackoff.Delay(e.poison.failed, rand.Float64))
		}
		if was == nil {
			e.poison.since = time.Now()
		}
		e.poison.down = err
	}
	switch {
	case lost || it.lease.ended.Load():
		e.lose(it)
	case stays:
		e.keepAside(it)
	case err == nil:
		e.finish(it, outcome{kind: outcomePoisoned})
	default:
		e.holdPoison(it)
	}
	if probe || err == nil && was != nil {
		e.poison.probing = e.poison.probing && !probe
		e.retimePoison(e.poison.next)
	}
	down := e.poison.down
	e.checkDrained()
	e.unlock(e.wake())
	switch {
	case down != nil && was == nil:
		e.note(lineQueueDown, e.poison.topic, err)
	case err == nil && was != nil:
		e.note(lineQueueUp, e.poison.topic)
	}
}

// poisonTrouble is what an item of the poison stage remembers of its own failures.
type poisonTrouble struct {
	tries   int // publishes of it that failed
	passed  int // poisonStage.passed when the last one failed
	alone   int // of them, those since whose forerunner the queue took others
	since   time.Time
	refusal error // why the queue refuses this event; nil while it does not
}

// failures is how often the poison queue did not take the item.
func (t *poisonTrouble) failures() int {
	if t == nil {
		return 0
	}
	return t.tries
}

// refused reports whether the poison queue refuses the item, and is not just down.
func (it *item) refused() bool { return it.trouble != nil && it.trouble.refusal != nil }

// aloneLimit is how often an event has to fail, while the queue takes others in between, until that
// counts as its own. Some brokers answer an event that they cannot take by closing the connection,
// and no code tells that from an outage.
const aloneLimit = 4

// refusalBackoff paces the tries of an event that the poison queue refuses: it heals when somebody
// mends the limit or the permission.
//
//nolint:gochecknoglobals // Go has no constants of a struct type
var refusalBackoff = backoff.Policy{Initial: time.Second, Max: time.Minute, Multiplier: 2, Jitter: 0.5}

// poisonCause returns the error that says why an event is not in the poison queue: the first whose
// code says more than that it is the poison queue that failed; nil where there is none.
func poisonCause(err error) *Error {
	for {
		cause, ok := errors.AsType[*Error](err)
		switch {
		case !ok:
			return nil
		case cause.Code != CodePoisonQueue:
			return cause
		}
		err = cause.Err
	}
}

// refusesOne reports whether err of the poison queue whose topic is given concerns the event alone
// and no time mends it. Other codes are those of a queue that is down, where any event fails:
// credentials, a closed Producer, a full buffer, an unknown outcome, a poison topic that does not
// exist. A missing permission fails any event too, but waiting does not mend it, and the events
// that wait must not use up the limits of the Consumer.
func refusesOne(err error, topic string) bool {
	cause := poisonCause(err)
	if cause == nil {
		return false
	}
	switch cause.Code {
	case CodeInvalid, CodeTooLarge, CodeUnsupported, CodePermissionDenied:
		return true
	case CodeNotFound:
		return cause.Topic != "" && cause.Topic != topic
	}
	return false
}

// concernsOne counts a failure of it and reports whether that is the item's own. refused is what
// refusesOne says. The lock is held.
func (e *engine) concernsOne(it *item, refused bool) bool {
	t := it.trouble
	if t == nil {
		t = &poisonTrouble{passed: e.poison.passed}
		it.trouble = t
	}
	t.tries++
	if e.poison.passed > t.passed {
		t.alone++
	}
	t.passed = e.poison.passed
	return refused || t.alone >= aloneLimit || it.refused()
}

// refuse notes that the poison queue refuses an item, for good if refused is set. It stays, and
// counts against the bound of such items. The lock is held.
func (e *engine) refuse(it *item, err error, refused bool) {
	if it.refused() {
		if refused {
			it.trouble.refusal = err
		}
		return
	}
	it.trouble.refusal = err
	e.poison.refused++
	if e.c.o.PassRefused {
		e.stepAside(it)
	}
	if it.trouble.since = time.Now(); !e.c.journal.Off() {
		d, topic := it.d, e.poison.topic
		e.noteLater(lineRefused, func() []any { return append(about(&d), topic, err, refusalAdvice(err)) })
	}
}

// stepAside takes an item out of its lane, so that its successors pass it. The lock is held.
func (e *engine) stepAside(it *item) {
	l := it.lane
	if l == nil {
		return
	}
	l.remove(it)
	if l.first == nil {
		e.lanes.remove(l)
	} else if l.first.state == itemWaiting {
		e.makeReady(l.first)
	}
}

// refusedBound is how many items that the poison queue refuses the engine keeps while it goes on
// receiving: half of MaxInFlight.
func (e *engine) refusedBound() int { return (e.c.sub.MaxInFlight + 1) / 2 }

func (e *engine) tooManyRefused() bool { return e.poison.refused > e.refusedBound() }

// oldestRefused is the oldest item that the poison queue refuses, or nil. The lock is held.
func (e *engine) oldestRefused() *item {
	for it := e.all.oldest; it != nil; it = it.newer {
		if it.refused() {
			return it
		}
	}
	return nil
}

// refusedSymptom is what health says of what the poison queue refuses: why, and what to do. The
// lock is held.
func (e *engine) refusedSymptom() symptom {
	it := e.oldestRefused()
	what := "a malformed delivery"
	if it.d.Malformed == nil {
		what = nameOf(it.d.Event)
	}
	return symptom{state: Degraded, code: CodePoisonQueue, cause: it.trouble.refusal, since: it.trouble.since, advice: refusalAdvice,
		text: fmt.Sprintf("the poison queue refuses %s; the oldest is %s at position %s",
			count(e.poison.refused, "rejected event, which stays unsettled", "rejected events, which stay unsettled"),
			what, cut(it.d.Position.String()))}
}

// refusalAdvice says what a person can do about an event that the poison queue refuses.
func refusalAdvice(err error) string {
	cause := poisonCause(err)
	if cause == nil {
		cause = &Error{}
	}
	topic := "the poison topic"
	if cause.Topic != "" {
		topic = "topic " + quote(cause.Topic)
	}
	do := "mend what the error says"
	switch cause.Code {
	case CodePermissionDenied:
		do = "allow the Producer of the poison queue to write to " + topic
	case CodeTooLarge:
		do = "raise the size that " + topic + " takes"
	case CodeNotFound:
		do = "create " + topic
	}
	return do + ", and it goes there within a minute"
}
