package leat

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/leatgo/leat/internal/aside"
)

// counts are what Stats counts. Consumer.mu guards them.
type counts struct {
	received, handled, skipped, retried, poisoned, poisonReduced, givenBack, leaseLost int64
}

// Stats are counts of a [Consumer] since it was made, and its present state.
type Stats struct {
	// Received counts deliveries, redelivered ones included.
	Received int64
	// Handled counts events that a handler handled.
	Handled int64
	// Skipped counts events whose type no handler of the Router wanted. They are not in Handled.
	Skipped int64
	// Retried counts attempts that failed and are followed by another, here or, after a drain,
	// elsewhere.
	Retried int64
	// Poisoned counts events that are in the poison queue.
	Poisoned int64
	// PoisonReduced counts those of them that did not fit as they are and were written in the
	// reduced form; see [Reduction].
	PoisonReduced int64
	// GivenBack counts deliveries that were returned to the broker unhandled.
	GivenBack int64
	// LeaseLost counts deliveries whose lease ended before they were settled.
	LeaseLost int64
	// InFlight is how many events are received and not settled now; InFlightBytes is their size.
	InFlight      int
	InFlightBytes int
	// PoisonRefused is how many of them the poison queue refuses, each for a reason of its own; see
	// [ConsumerOptions].PoisonQueue.
	PoisonRefused int
	// Suspects is how many of them were delivered more often than [ConsumerOptions].MaxDeliveries,
	// and run or wait to run alone.
	Suspects int
	// Parked is how many of them wait for a retry or for the poison queue.
	Parked int
	// Running is how many handlers run now, publishes to the poison queue included.
	Running int
	// OldestAge is how long ago the oldest event in flight was received; 0 when there is none.
	OldestAge time.Duration
}

// Stats returns a snapshot. It is cheap.
func (c *Consumer) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &c.total
	s := Stats{
		Received: t.received, Handled: t.handled, Skipped: t.skipped, Retried: t.retried, Poisoned: t.poisoned,
		PoisonReduced: t.poisonReduced, GivenBack: t.givenBack, LeaseLost: t.leaseLost,
	}
	if e := c.engine; e != nil {
		s.InFlight, s.InFlightBytes, s.Parked, s.Running = e.all.count, e.all.bytes, e.park.count(), e.running+e.poison.running
		s.PoisonRefused, s.Suspects = e.poison.refused, e.suspects.count
		if it := e.all.oldest; it != nil {
			s.OldestAge = time.Since(it.batch.received)
		}
	}
	return s
}

// The reasons of PoisonCounts.
const (
	poisonRejected  = "rejected"
	poisonExhausted = "exhausted"
	poisonMalformed = "malformed"
	poisonCrashed   = "crashed"
)

// otherTypes stands for the types of events that are not counted each.
const otherTypes = "_OTHER"

// mostCountedTypes bounds the types that are counted of a Consumer without a Router.
const mostCountedTypes = 100

// poisonKind is what poisoned events are counted by.
type poisonKind struct{ reason, eventType string }

// PoisonCounts calls each with the events of Stats.Poisoned by reason and type, in the order of the
// two. The reason is one of
//
//   - "rejected": a handler or a middleware returned [Reject];
//   - "exhausted": the limits of middleware.Retry were reached;
//   - "malformed": the delivery is no CloudEvent, and the type is empty;
//   - "crashed": runs of the event alone ended with the process, see
//     [ConsumerOptions].MaxDeliveries.
//
// The number of types is bounded, whatever arrives: the type is "_OTHER" for all that no [Route]
// names, and, where there is no [Router], for those after the first 100.
func (c *Consumer) PoisonCounts(each func(reason, eventType string, events int64)) {
	c.mu.Lock()
	counts := maps.Clone(c.poisons)
	c.mu.Unlock()
	for _, k := range slices.SortedFunc(maps.Keys(counts), func(a, b poisonKind) int {
		return cmp.Or(cmp.Compare(a.reason, b.reason), cmp.Compare(a.eventType, b.eventType))
	}) {
		each(k.reason, k.eventType, counts[k])
	}
}

// countPoisoned counts an event that is in the poison queue. The lock is held.
func (c *Consumer) countPoisoned(p *Poisoned) {
	c.total.poisoned++
	k := poisonKind{reason: p.cause}
	if p.Malformed == nil {
		k.eventType = p.Event.Type()
	}
	if c.poisons == nil {
		c.poisons, c.poisonTypes = map[poisonKind]int64{}, map[string]bool{}
	}
	if c.poisons[k] == 0 {
		k.eventType = c.countedType(k.eventType)
	}
	c.poisons[k]++
}

// countedType returns the type that events of a type are counted under.
func (c *Consumer) countedType(eventType string) string {
	switch {
	case eventType == "" || c.poisonTypes[eventType]:
	case c.routes == nil && len(c.poisonTypes) < mostCountedTypes, slices.ContainsFunc(c.routes, func(r Route) bool {
		return r.Type == eventType && r.Type != AnyType
	}):
		c.poisonTypes[strings.Clone(eventType)] = true
	default:
		return otherTypes
	}
	return strings.Clone(eventType) // it is a piece of the event, which a key would keep
}

// poisonReason returns why an error of a handler is the last one of its event. It is asked where
// foreign code may run.
func poisonReason(err error) string {
	if _, ok := errors.AsType[*aside.GaveUpError](err); ok {
		return poisonExhausted
	}
	return poisonRejected
}

// ProducerStats are counts of events that a [Producer] published since it was made.
type ProducerStats struct {
	// Stored counts events that the broker has.
	Stored int64
	// Refused counts events that are not stored and never will be, invalid ones included.
	Refused int64
	// Unknown counts events whose outcome has [CodeUnknown]: they may be stored.
	Unknown int64
	// Unanswered is how many events are on their way now.
	Unanswered int64
}

// Stats returns a snapshot. It is cheap. While events are published, Stored may be lower than the
// broker's answers so far, and never falls.
func (p *Producer) Stats() ProducerStats {
	p = p.fit()
	// An event counts as unanswered before it is begun, and as failed before it is answered. In
	// this order of reading, events on their way are taken off once or twice, and never not at all.
	begun := p.begun.Load()
	s := ProducerStats{Unanswered: p.unanswered.Left()}
	s.Refused, s.Unknown = p.refused.Load(), p.unknown.Load()
	s.Stored = begun - s.Unanswered - s.Refused - s.Unknown
	for {
		highest := p.stored.Load()
		if s.Stored <= highest {
			s.Stored = highest
			return s
		}
		if p.stored.CompareAndSwap(highest, s.Stored) {
			return s
		}
	}
}

// countFailure counts an outcome that is no success.
func (p *Producer) countFailure(err error) {
	if CodeOf(err) == CodeUnknown {
		p.unknown.Add(1)
	} else {
		p.refused.Add(1)
	}
}

// Lag asks the broker how far c's group is behind. It needs no [Run], and takes a few requests, as
// [LagReporter] says of each adapter. A broker that is no LagReporter, and a broadcast, which has
// no group, is an [*Error] with [CodeUnsupported].
func (c *Consumer) Lag(ctx context.Context) (Lag, error) { return c.lagOf(ctx, c.sub) }

// PoisonLag asks how many events wait in c's poison queue: it is the Lag of the group that reads
// it, [ReplayOf]. Where c has no PoisonQueue on its broker the [*Error] has [CodeUnsupported].
func (c *Consumer) PoisonLag(ctx context.Context) (Lag, error) {
	replay := ReplayOf(c.sub)
	if c.invalid == nil {
		replay.Topic = c.poisonTopic()
	}
	if c.invalid == nil && replay.Topic == "" {
		return Lag{}, &Error{Op: "lag", Topic: c.sub.Topic, Code: CodeUnsupported, Err: errors.New("the Consumer has no poison queue")}
	}
	return c.lagOf(ctx, replay)
}

func (c *Consumer) lagOf(ctx context.Context, sub Subscription) (Lag, error) {
	fail := func(code Code, err error) (Lag, error) {
		return Lag{}, &Error{Op: "lag", Topic: sub.Topic, Code: code, Err: err}
	}
	if c.invalid != nil {
		return fail(CodeInvalid, c.invalid)
	}
	if sub.Broadcast {
		return fail(CodeUnsupported, errors.New("a broadcast has no group that could be behind"))
	}
	r, ok := c.broker.(LagReporter)
	if !ok {
		return fail(CodeUnsupported, errors.New("the broker does not tell how far a group is behind"))
	}
	return r.Lag(ctx, sub.Topic, sub.Group)
}

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
