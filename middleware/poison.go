package middleware

import (
	"context"
	"errors"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/nils"
)

// PoisonOptions are the options of [PoisonQueue]. The zero value works.
type PoisonOptions struct {
	// Topic returns the topic for what the group of a topic gives up on; group is empty for a
	// broadcast, which has none. It must return the same name every time. Nil means
	// [leat.PoisonTopic]: "<topic>.<group>.poison", whose names are unique.
	Topic func(topic, group string) string
	// Shared says that several groups, or groups of several topics, may share one topic on purpose.
	// Without it [leat.Run] refuses consumers that it is given together and that would share one: a
	// Topic that returns topic + "-" + group has the same name for "a-b" with "c" as for "a" with
	// "b-c". A Router that replays a shared topic needs routes with an empty Topic, because the
	// name no longer tells whose events these are; Info of [leat.PoisonedFrom] does.
	Shared bool
}

// PoisonQueue returns a [leat.PoisonQueue] that publishes through p what a Consumer gives up on:
// the original event with its attributes and data unchanged, and extensions that say why, when and
// where ([leat.Poisoned].AsEvent). [leat.PoisonedFrom] reads them, and [Original] only takes them
// off. A nil o means the defaults.
//
// What exceeds the limits of p is written in the reduced form, which [leat.Reduction] describes. p
// tells them with a method Limits, as [leat.Producer] has; without it Leat's own hold. Where the
// topic takes even less, which its refusal with [leat.CodeTooLarge] tells, Poison tries half the
// size, down to 8 KiB.
//
// Without a Publisher, or with a Producer that has no broker, [leat.Run] refuses the Consumer.
//
// Poison waits until p has taken the event, as long as its ctx lasts: the Consumer settles the
// event then, so p must have stored it. Its error is an [*leat.Error] with [leat.CodePoisonQueue]
// that wraps that of p. p must stay open until the Consumer has stopped.
func PoisonQueue(p leat.Publisher, o *PoisonOptions) leat.PoisonQueue {
	q := &poisonQueue{publisher: p, topic: leat.PoisonTopic}
	if nils.Is(p) {
		q.publisher = nil
	}
	if o != nil && o.Topic != nil {
		q.topic = o.Topic
	}
	q.shared = o != nil && o.Shared
	return q
}

// Original returns the event that was given up on, without the poison queue's extensions. An event
// that is not from a poison queue is returned as it is, and so is one that stands for a malformed
// delivery, which has no original, and one of whose original some is missing.
func Original(e leat.Event) leat.Event {
	p, err := leat.PoisonedFrom(e)
	if err != nil || p.Malformed != nil || p.Reduced != nil {
		return e
	}
	return p.Event
}

type poisonQueue struct {
	publisher leat.Publisher // nil where there is none
	topic     func(topic, group string) string
	shared    bool
}

// Check tells [leat.Run] that there is nothing to publish through.
func (q *poisonQueue) Check(sub leat.Subscription) error {
	l, ok := q.publisher.(limited)
	if q.publisher == nil || ok && l.Limits() == (leat.Limits{}) {
		return &leat.Error{Op: "run", Topic: sub.Topic, Code: leat.CodeInvalid, Err: errNoProducer}
	}
	return nil
}

// limited is implemented by a [leat.Publisher] that knows what an event may have at most. Those of
// a Producer are never zero where it can publish.
type limited interface{ Limits() leat.Limits }

func (q *poisonQueue) limits() leat.Limits {
	if l, ok := q.publisher.(limited); ok {
		return l.Limits()
	}
	return leat.Limits{}
}

var errNoProducer = errors.New("PoisonQueue was made without a Producer or another Publisher, " +
	"or with a Producer that has no broker or a wrong middleware")

// Topic implements [leat.PoisonQueue].
func (q *poisonQueue) Topic(sub leat.Subscription) string { return q.topic(sub.Topic, sub.Group) }

// Shared tells [leat.Run] whether consumers may share a topic.
func (q *poisonQueue) Shared() bool { return q.shared }

// Poison implements [leat.PoisonQueue].
func (q *poisonQueue) Poison(ctx context.Context, p leat.Poisoned) error {
	topic := q.topic(p.Info.Topic, p.Info.Group)
	failed := func(e leat.Event, err error) error {
		return &leat.Error{Op: "poison", Topic: topic, EventID: e.ID(), Code: leat.CodePoisonQueue, Err: err}
	}
	if q.publisher == nil {
		return failed(p.Event, errNoProducer)
	}
	for limits := q.limits(); ; {
		e, err := p.AsEventWithin(limits)
		if err != nil {
			return failed(p.Event, err)
		}
		err = q.publisher.Publish(ctx, topic, e)
		if err == nil {
			return nil
		}
		// A topic may take less than its broker says, so the answer is what tells.
		if leat.CodeOf(err) != leat.CodeTooLarge || e.Size() <= leastBytes {
			return failed(e, err)
		}
		limits = leat.Limits{MaxEventBytes: max(e.Size()/2, leastBytes), MaxAttributes: limits.MaxAttributes}
	}
}

// leastBytes is the least size of an event that the reduced form is tried for.
const leastBytes = 8 << 10
