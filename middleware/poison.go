package middleware

import (
	"context"
	"errors"

	"github.com/leatgo/leat"
)

// PoisonOptions are the options of [PoisonQueue]. The zero value works.
type PoisonOptions struct {
	// Topic returns the topic for what the group of a topic gives up on; group is empty for a broadcast, which has none. It must
	// return the same name every time. Nil means [leat.PoisonTopic]: "<topic>.<group>.poison", whose names are unique.
	Topic func(topic, group string) string
	// Shared says that several groups, or groups of several topics, may share one topic on purpose. Without it [leat.Run] refuses
	// consumers that it is given together and that would share one: a Topic that returns topic + "-" + group has the same name for
	// "a-b" with "c" as for "a" with "b-c". A Router that replays a shared topic needs routes with an empty Topic, because the name no
	// longer tells whose events these are; Info of [leat.PoisonedFrom] does.
	Shared bool
}

// PoisonQueue returns a [leat.PoisonQueue] that publishes through p what a Consumer gives up on: the original event with its
// attributes and data unchanged, and extensions that say why, when and where ([leat.Poisoned].AsEvent). [leat.PoisonedFrom]
// reads them, and [Original] only takes them off. A nil o means the defaults.
//
// What exceeds the Producer's limits is written in the reduced form, which [leat.Reduction] describes. Where the topic takes even less,
// which its refusal with [leat.CodeTooLarge] tells, Poison tries half the size, down to 8 KiB.
//
// Without a Producer, [leat.Run] refuses the Consumer.
//
// Poison waits for the broker's confirm as long as its ctx lasts. Its error is an [*leat.Error] with [leat.CodePoisonQueue] that
// wraps the Producer's. p must stay open until the Consumer has stopped.
func PoisonQueue(p *leat.Producer, o *PoisonOptions) leat.PoisonQueue {
	q := &poisonQueue{producer: p, topic: leat.PoisonTopic}
	if o != nil && o.Topic != nil {
		q.topic = o.Topic
	}
	q.shared = o != nil && o.Shared
	return q
}

// Original returns the event that was given up on, without the poison queue's extensions. An event that is not from a poison queue is
// returned as it is, and so is one that stands for a malformed delivery, which has no original, and one of whose original some is missing.
func Original(e leat.Event) leat.Event {
	p, err := leat.PoisonedFrom(e)
	if err != nil || p.Malformed != nil || p.Reduced != nil {
		return e
	}
	return p.Event
}

type poisonQueue struct {
	producer *leat.Producer
	topic    func(topic, group string) string
	shared   bool
}

// Check tells [leat.Run] that there is nothing to publish through.
func (q *poisonQueue) Check(sub leat.Subscription) error {
	if q.producer.Limits() == (leat.Limits{}) {
		return &leat.Error{Op: "run", Topic: sub.Topic, Code: leat.CodeInvalid, Err: errNoProducer}
	}
	return nil
}

var errNoProducer = errors.New("PoisonQueue was made without a Producer, or with one that has no broker or a wrong middleware")

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
	if q.producer == nil {
		return failed(p.Event, errNoProducer)
	}
	for limits := q.producer.Limits(); ; {
		e, err := p.AsEventWithin(limits)
		if err != nil {
			return failed(p.Event, err)
		}
		err = q.producer.Publish(ctx, topic, e)
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
