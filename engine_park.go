package leat

import (
	"container/heap"
	"math/rand/v2"
	"time"
)

// park holds the items that wait for a time: one heap and one timer for all of them.
type park struct {
	items      parkHeap
	stuckSince time.Time
	stuck      int // items that are parked without a time, because there is no poison queue
	aside      int // items that are parked without a time, because their handler wants that
	timer      *time.Timer
	at         time.Time // when the timer fires; zero when it is not set
}

func (p *park) push(it *item, due time.Time) {
	it.state, it.due = itemParked, due
	heap.Push(&p.items, it)
}

// remove takes it out, if it is parked.
func (p *park) remove(it *item) {
	switch {
	case it.state != itemParked:
	case it.parkIndex >= 0:
		heap.Remove(&p.items, it.parkIndex)
	case it.aside:
		p.aside--
	default:
		p.stuck--
	}
}

// count is how many items are parked.
func (p *park) count() int { return len(p.items) + p.stuck + p.aside }

// parkHeap orders items by when they are due, then by how often the poison queue did not take them,
// then by age.
type parkHeap []*item

func (h parkHeap) Len() int { return len(h) }

func (h parkHeap) Less(i, j int) bool {
	if !h[i].due.Equal(h[j].due) {
		return h[i].due.Before(h[j].due)
	}
	if a, b := h[i].trouble.failures(), h[j].trouble.failures(); a != b {
		return a < b
	}
	return h[i].seq < h[j].seq
}

func (h parkHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].parkIndex, h[j].parkIndex = i, j
}

// Push is for container/heap.
func (h *parkHeap) Push(x any) {
	it := x.(*item) //nolint:forcetypeassert // heap.Push is only called with items
	it.parkIndex = len(*h)
	*h = append(*h, it)
}

// Pop is for container/heap.
func (h *parkHeap) Pop() any {
	old := *h
	it := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	it.parkIndex = -1
	return it
}

// pauseUntil stops receiving and dispatching until t, or later where a longer pause is on. event
// and err are those of the attempt that asked for it. A pause that follows another one before an
// attempt has told anything goes on with that.
func (e *engine) pauseUntil(t time.Time, event Event, err error) {
	if t.After(e.pauseEnd) {
		if e.pause.since.IsZero() {
			e.pause.since = time.Now()
			e.logPaused("a handler", t, event, err)
		}
		e.pause.event, e.pause.err, e.pause.over = event, err, 0
		e.pauseEnd, e.full = t, false
		e.giveBackDraining()
		e.flushBatches()
		e.armTimer(time.Now())
	}
}

// resume ends a pause. The lock is held.
func (e *engine) resume() {
	since := e.c.pausedSince
	if !e.pause.since.IsZero() && (since.IsZero() || e.pause.since.Before(since)) {
		since = e.pause.since
	}
	e.pauseEnd, e.pause, e.c.pausedSince = time.Time{}, pauseState{}, time.Time{}
	if !since.IsZero() {
		e.logUnpaused(time.Since(since))
	}
	e.restart()
}

// pauseOver is called when it is clear that the pause whose time is over is not renewed. The lock
// is held.
func (e *engine) pauseOver() {
	took := e.epoch.Add(e.pause.over).Sub(e.pause.since)
	e.pause = pauseState{}
	e.logUnpaused(took)
}

// restart gives workers and the receive loop what a pause or the timer kept from them.
func (e *engine) restart() {
	e.signalRoom()
	e.noteFull()
	if e.suspects.waiting.count > 0 {
		e.workSuspects()
	}
	e.wake().signal()
}

// armTimer sets the timer to what comes first: the first parked item or the end of the pause.
func (e *engine) armTimer(now time.Time) {
	at := e.pauseEnd
	if len(e.park.items) > 0 && (at.IsZero() || e.park.items[0].due.Before(at)) {
		at = e.park.items[0].due
	}
	if at.IsZero() || e.stopping || !e.park.at.IsZero() && !at.Before(e.park.at) {
		return
	}
	e.park.at = at
	if e.park.timer == nil {
		e.park.timer = time.AfterFunc(at.Sub(now), e.onTimer)
	} else {
		e.park.timer.Reset(at.Sub(now))
	}
}

// onTimer makes ready what is due.
func (e *engine) onTimer() {
	e.c.mu.Lock()
	defer e.unlock(nil)
	e.park.at = time.Time{}
	if e.stopping {
		return
	}
	now := time.Now()
	if !e.pauseEnd.IsZero() && !e.pauseEnd.After(now) {
		e.pauseEnd, e.pause.over = time.Time{}, e.now()
		if e.all.count == 0 {
			e.pauseOver()
		}
	}
	for len(e.park.items) > 0 && !e.park.items[0].due.After(now) {
		it := heap.Pop(&e.park.items).(*item) //nolint:forcetypeassert // Pop below returns items
		e.dispatch(it)
	}
	e.armTimer(now)
	e.restart()
}

// IsOutage reports whether err says that a broker that the [Handler] publishes to is down, which is
// no failure of the event. It does when it is, or wraps, the error of a publish of Leat's own with
// [CodeUnavailable], [CodeUnknown], [CodeExhausted] or [CodeClosed]. It does not when the publish,
// or one event of a [*PublishError], was refused with another code, nor when [Reject] or [Pause]
// decided. An event of it with [CodeCanceled] says nothing either way. A [Consumer] tries the event
// again later, as often as it takes, and counts no attempt; its health says so.
func IsOutage(err error) bool { return outageIn(err) != nil }

// outageIn returns the outcome of a publish that makes err an outage, or nil.
func outageIn(err error) error {
	if err == nil {
		return nil
	}
	var s outageSearch
	s.look(err)
	if s.other {
		return nil
	}
	return s.found
}

// outageSearch is what was seen of an error's tree.
type outageSearch struct {
	found error // the first outcome that says that a broker is down
	other bool  // something in the tree makes it a matter of the event, or of the handler
}

func (s *outageSearch) look(err error) {
	switch e := err.(type) { //nolint:errorlint // the tree is walked
	case nil:
	case *verdict:
		s.other = s.other || e.kind != verdictRetry && e.kind != verdictPostpone
		s.look(e.err)
	case *PublishError:
		for i := range e.Failures {
			s.judge(e.Failures[i].Err)
		}
	case *Error:
		if e.Op == "publish" {
			s.judge(e)
		} else {
			s.look(e.Err)
		}
	case interface{ Unwrap() error }:
		s.look(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, each := range e.Unwrap() {
			s.look(each)
		}
	}
}

// judge looks at the outcome of one event. One whose context ended says nothing either way: the
// handler may have been slow.
func (s *outageSearch) judge(err error) {
	switch CodeOf(err) {
	case CodeUnavailable, CodeUnknown, CodeExhausted, CodeClosed:
		if s.found == nil {
			s.found = err
		}
	case CodeCanceled:
	default:
		s.other = true
	}
}

// outageStage is the engine's state for outages of what handlers publish to.
type outageStage struct {
	waiting int   // items that wait for the end of one, or try whether it has come
	cause   error // of the last one
	since   time.Time
}

// outageOutcome returns what follows from an attempt that met an outage: the event waits in its
// lane. A pause of the whole Consumer would hold up the events whose handlers publish nothing, or
// elsewhere, and let one event whose publish never succeeds stop all others.
func (e *engine) outageOutcome(it *item, v *verdict, cause error) outcome {
	o := outcome{kind: outcomeOutage, outage: cause}
	if v != nil {
		o.delay = v.delay
	} else {
		o.delay = defaultBackoff.Delay(it.outages+1, rand.Float64)
	}
	o.delay = e.holdAtMost(o.delay)
	return o
}

// noteTrouble keeps count of the items that wait for the end of an outage, and of those that keep
// failing. An outcome that tells nothing leaves an item as it was, and is not for this. The lock is
// held.
func (e *engine) noteTrouble(it *item, o outcome) {
	if o.kind != outcomeOutage {
		e.troubleOver(it)
		if o.kind == outcomeFailing {
			e.failing++
			it.failing, it.failed = true, o.err
		}
		return
	}
	e.failingOver(it)
	if it.outages++; it.outages > 1 {
		return
	}
	e.outage.cause = o.outage
	if e.outage.waiting++; e.outage.waiting == 1 {
		d := it.d
		e.outage.since = time.Now()
		e.noteLater(lineOutage, func() []any { return append(about(&d), o.outage) })
	}
}

// failingOver takes an item off the count of those that keep failing. The lock is held.
func (e *engine) failingOver(it *item) {
	if it.failing {
		e.failing--
		it.failing, it.failed = false, nil
	}
}

// troubleOver takes an item off both counts. The lock is held.
func (e *engine) troubleOver(it *item) {
	e.failingOver(it)
	if it.outages > 0 {
		it.outages = 0
		if e.outage.waiting--; e.outage.waiting == 0 && !e.stopping {
			e.noteLater(lineOutageOver, func() []any { return nil })
		}
	}
}
