package leat

import (
	"context"
	"time"
)

// LagUnknown is what a number of a [Lag] is that the broker cannot tell.
const LagUnknown = -1

// Lag is how far a group is behind on a topic, as far as its broker knows.
type Lag struct {
	// Topic and Group are whose lag it is.
	Topic, Group string
	// Events is how many published events the group has not settled.
	Events int64
	// AtLeast says that there may be more than Events: the broker does not tell those that
	// consumers hold.
	AtLeast bool
	// Oldest is how long ago the oldest of them was published, 0 where there is none.
	Oldest time.Duration
	// Parts are the partitions or queues of which Events is the sum.
	Parts []LagPart
}

// LagPart is the part of a [Lag] that one partition or queue has.
type LagPart struct {
	// Name is the partition's number or the queue's name.
	Name string
	// Events is how many events of it the group has not settled.
	Events int64
	// Details are other figures that operators of this broker need, by names that the adapter
	// documents. One that is not there is unknown.
	Details map[string]int64
}

// LagReporter is implemented by a [Broker] that can tell how far a group is behind.
type LagReporter interface {
	// Lag asks the broker how far a group is behind. It needs no stream.
	//
	// G1. Events counts events that are published and not settled. That includes the events that
	// consumers hold, unless AtLeast says otherwise. As soon as the broker has stored a settlement,
	// its event does not count any more.
	//
	// G2. A number that the broker does not know is [LagUnknown], and never 0.
	//
	// G3. An unknown topic is an error with [CodeNotFound]. So is an unknown group, if the broker
	// knows its groups. A wrapper around a Broker that is not a LagReporter returns
	// [CodeUnsupported].
	Lag(ctx context.Context, topic, group string) (Lag, error)
}
