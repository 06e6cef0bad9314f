package leat

import "time"

// Observer is implemented by a [Stream] that wants to see what becomes of its deliveries between Receive and Settle, which a broker
// cannot know: attempts, and the retries that are held in this process. It is there for tools such as the recorder of package
// eventtest; adapters have no use for it, and a stream that does not implement it costs nothing.
//
// The [Consumer] calls Observe on the goroutine concerned and never under its own lock. Calls for one delivery come in the order of what
// happened, and each before the [Settlement] that follows from it; only ObservedStuck may meet the end of the delivery on its way.
// Observe should be quick: it holds up what it watches.
type Observer interface {
	// Observe is told what became of a delivery. o.Delivery belongs to the Consumer again when Observe returns.
	Observe(o Observation)
}

// Observation is one thing that became of a delivery.
type Observation struct {
	// Delivery is the delivery, as Receive gave it.
	Delivery *Delivery
	// Kind says what happened.
	Kind ObservationKind
	// Attempt counts the calls of the handler for the event in this process, from 1; 0 when it was not called.
	Attempt int
	// Err is what the handler or the poison queue returned, or why the event was given up. Nil where nothing failed.
	Err error
	// Delay is how long the next attempt, or the Consumer, waits.
	Delay time.Duration
}

// ObservationKind is the kind of an [Observation].
type ObservationKind uint8

// The kinds of an [Observation]. A delivery that is in an attempt, parked, rejected or stuck may still turn out to be given back or lost.
const (
	// ObservedAttempt: the handler is about to be called.
	ObservedAttempt ObservationKind = iota + 1
	// ObservedHandled: the handler succeeded. The ack follows.
	ObservedHandled
	// ObservedSkipped: no handler wanted the event. The ack follows.
	ObservedSkipped
	// ObservedRetry: the attempt failed, and the event is parked for Delay. Where [IsOutage] is true of Err, the attempt does not count.
	ObservedRetry
	// ObservedPause: the handler asked for a pause of Delay; the attempt does not count.
	ObservedPause
	// ObservedRejected: the handler gave the event up. The poison queue is next.
	ObservedRejected
	// ObservedPoisoned: the poison queue has the event, or the broker's native reject takes it. The settlement follows. Err is the reason.
	ObservedPoisoned
	// ObservedPoisonFailed: the poison queue failed with Err. It will be tried again.
	ObservedPoisonFailed
	// ObservedStuck: the event was given up and stays unsettled, because there is no poison queue. Err is the reason.
	ObservedStuck
	// ObservedGivenBack: the event goes back to the broker, which may deliver it again after Delay.
	ObservedGivenBack
	// ObservedLost: the lease ended before the event was settled.
	ObservedLost
)

// observe tells the stream what became of it. The lock is free.
func (e *engine) observe(it *item, kind ObservationKind, err error, delay time.Duration) {
	if e.observer != nil {
		e.observer.Observe(Observation{Delivery: &it.d, Kind: kind, Attempt: it.attempts, Err: err, Delay: delay})
	}
}

// observeSuccess is observe for an attempt without an error.
func (e *engine) observeSuccess(it *item) {
	kind := ObservedHandled
	if it.skipped {
		kind = ObservedSkipped
	}
	e.observe(it, kind, nil, 0)
}

// observeFailure is observe for an attempt that failed.
func (e *engine) observeFailure(it *item, o outcome, err error) {
	switch o.kind {
	case outcomeRetry, outcomeFailing, outcomeOutage:
		e.observe(it, ObservedRetry, err, o.delay)
	case outcomePause:
		e.observe(it, ObservedPause, err, o.delay)
	case outcomePoison:
		e.observe(it, ObservedRejected, err, 0)
	default: // lost, or given back when the lock is held: these are observed where that is done
	}
}

// observeLater is observe for when the lock is free. The lock is held.
func (e *engine) observeLater(it *item, kind ObservationKind, err error) {
	if e.observer != nil {
		e.settleLater(it, Settlement{}, kind, err)
	}
}

// carryOut tells what was seen, then settles. The lock is free.
func (e *engine) carryOut(s *settling) {
	if e.observer != nil && s.seen != 0 {
		e.observer.Observe(Observation{Delivery: &s.d, Kind: s.seen, Attempt: s.attempt, Err: s.reason, Delay: s.s.Delay})
	}
	if s.s.Action != 0 {
		e.stream.Settle(&s.d, s.s)
	}
}
