package leat

import (
	"context"
	"sync/atomic"
	"time"
)

// PoisonQueue takes the events that a [Consumer] gives up on. middleware.PoisonQueue is the one that publishes them to a topic.
type PoisonQueue interface {
	// Poison stores p durably and returns nil, or returns an error; the Consumer then keeps the event unsettled and calls
	// again later, without running the handler. It ends when ctx ends.
	//
	// The code of the error says what else waits; of an error with [CodePoisonQueue] it is that of its cause. [CodeInvalid],
	// [CodeTooLarge], [CodeUnsupported], [CodePermissionDenied], and [CodeNotFound] with another Topic than the poison topic, refuse this
	// event alone. With any other code, or none, the queue is down: all rejected events wait, and one at a time tries whether it is up
	// again. An event that fails again and again, while others go through in between, is refused as well.
	Poison(ctx context.Context, p Poisoned) error
	// Topic returns the topic that the poisoned events of sub go to, which [Run] declares together with [ReplayGroup] on it;
	// empty where there is none to declare.
	Topic(sub Subscription) string
}

// Poisoned is an event that a [Consumer] gave up on, with what a person needs to know about it. AsEvent makes the event that travels in a
// poison queue; [PoisonedFrom] is the way back.
type Poisoned struct {
	// Event is the original event, unchanged. It is the zero Event when Malformed is set, and when Reduced is.
	Event Event
	// Malformed is set when the delivery was no valid CloudEvent.
	Malformed *Malformed
	// Reason is the error of the last attempt, or why the delivery is malformed.
	Reason error
	// Info is that of the last attempt; Attempt is 0 when the handler was never called.
	Info Info
	// At is when the Consumer gave up.
	At time.Time
	// Reduced is set by [PoisonedFrom] when some of the event or of the malformed delivery is missing, because it did not fit into
	// the poison queue. Nil means that nothing is.
	Reduced *Reduction

	// note gets what AsEvent had to reduce, for the Consumer's log and statistics.
	note *atomic.Pointer[reducedNote]
}

// ReplayGroup is the group that [Run] declares on a poison topic, so that the broker keeps events that nobody reads yet. To read or
// replay a poison queue, subscribe as [ReplayOf] says; [PoisonedFrom] tells what the events are.
const ReplayGroup = "replay"

// ReplayOf returns the subscription that reads the poison queue of sub, as [Run] declares it: the group [ReplayGroup] on [PoisonTopic],
// Unordered where sub is, because a broker that keeps no order for sub keeps none there either. Where the PoisonQueue has a topic of its
// own, set Topic to that. A poison topic that several consumers of one Run share is Unordered only if all of them are.
func ReplayOf(sub Subscription) Subscription {
	return Subscription{Topic: PoisonTopic(sub.Topic, sub.Group), Group: ReplayGroup, Unordered: sub.Unordered}
}
