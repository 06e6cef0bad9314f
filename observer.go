package leat

import (
	"time"
)

// Observer sees what becomes of deliveries and of publishes, for metrics and test tools. It is an
// option of a [Consumer] and of a [Producer]. One may serve several of them. It is called from
// several goroutines at once.
//
// A Consumer calls Observe on the goroutine concerned and never under its own lock. Calls for one
// delivery come in the order of what happened, and each before the [Settlement] that follows from
// it; only ObservedStuck may meet the end of the delivery on its way. A Producer calls it once for
// each event, before it reports the outcome. Observe should be quick: it holds up what it watches.
type Observer interface {
	Observe(o Observation)
}

// Observation is one thing that became of a delivery, or the outcome of a publish.
type Observation struct {
	// Kind says what happened.
	Kind ObservationKind
	// Topic and Group are those of the subscription, or of the publish, which has no Group.
	Topic, Group string
	// Delivery is the delivery, as Receive gave it. It belongs to the Consumer again when Observe
	// returns. Nil for a publish.
	Delivery *Delivery
	// Event is the event. It is the zero Event for a malformed delivery.
	Event Event
	// Attempt counts the calls of the handler for the event in this process, from 1; 0 when it was
	// not called.
	Attempt int
	// Skipped says of a successful outcome that no handler of a [Router] wanted the event.
	Skipped bool
	// Err is what the handler, the poison queue or the publish returned, or why the event was given
	// up. Nil where nothing failed.
	Err error
	// Delay is how long the next attempt, or the Consumer, waits.
	Delay time.Duration
	// Took is how long the attempt or the publish took.
	Took time.Duration
}

// ObservationKind is the kind of an [Observation].
type ObservationKind uint8

// The kinds of an [Observation]. A delivery that is in an attempt, waits for another, is rejected
// or stuck may still turn out to be given back or lost.
const (
	// ObservedAttempt: the handler is about to be called.
	ObservedAttempt ObservationKind = iota + 1
	// ObservedOutcome: the handler returned Err. Nil is a success, and the ack follows. When
	// [IsRejected] is true of Err, the event is given up, and the poison queue is next. When
	// [IsPaused] is true of it, the Consumer pauses for Delay. Otherwise the event is tried again
	// after Delay. A pause, a [Postpone] and an outage ([IsOutage]) do not count as an attempt. An
	// attempt that was told to stop has no outcome.
	ObservedOutcome
	// ObservedPoisoned: the poison queue has the event, or the broker's native reject takes it. The
	// settlement follows. Err is the reason.
	ObservedPoisoned
	// ObservedPoisonFailed: the poison queue failed with Err. It will be tried again.
	ObservedPoisonFailed
	// ObservedStuck: the event was given up and stays unsettled, because there is no poison queue.
	// Err is the reason.
	ObservedStuck
	// ObservedGivenBack: the event goes back to the broker, which may deliver it again after Delay.
	ObservedGivenBack
	// ObservedLost: the lease ended before the event was settled.
	ObservedLost
	// ObservedPublish: the outcome of an event that a Producer published: nil, or an [*Error]. A
	// Publish whose ctx ended before may have reported it as unknown.
	ObservedPublish
)

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
