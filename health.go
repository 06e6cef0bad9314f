package leat

import (
	"fmt"
	"time"
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

// HealthState is the state of a [Consumer] or a [Producer].
type HealthState uint8

// The states of a [Consumer], from best to worst. A [Producer] is healthy, degraded or stopped.
const (
	// Healthy: all is well.
	Healthy HealthState = iota
	// Paused: by [Consumer.Pause], or by a handler that returned [Pause]. A problem says by whom,
	// until when and why.
	Paused
	// Degraded: it works, but something needs attention: an event that keeps failing, a poison
	// queue that is down, a broker that cannot be reached for now, publishes that fail.
	Degraded
	// Starting: the broker has not accepted the subscription yet.
	Starting
	// Stalled: it cannot receive, its limits used up by events that do not finish.
	Stalled
	// Stopped: it does not run, or is closed. A problem says why, where Run ended with an error.
	Stopped
)

// String returns the state in lower case.
func (s HealthState) String() string {
	switch s {
	case Healthy:
		return "healthy"
	case Paused:
		return "paused"
	case Degraded:
		return "degraded"
	case Starting:
		return "starting"
	case Stalled:
		return "stalled"
	case Stopped:
		return "stopped"
	}
	return fmt.Sprintf("state %d", uint8(s))
}
