package leat

import (
	"context"
	"time"
)

// SystemNamer is implemented by a [Broker] that can name its messaging system.
type SystemNamer interface {
	// System returns the value of OpenTelemetry's attribute messaging.system, such as "kafka". It
	// is always the same.
	System() string
}

// Declarer is implemented by a [Broker] that can create or check topics and groups.
type Declarer interface {
	// Declare makes sure that the topic and group of each subscription exist, so that events
	// published from then on are kept for the group. It creates them, checks them or does nothing,
	// as the adapter's provisioning option says, and reports every difference that it finds.
	//
	// D1. Declaring what exists is no error and changes nothing.
	//
	// D2. Of a Broadcast it declares the topic only; the rest comes with the stream.
	//
	// D3. It refuses what Subscribe refuses because it cannot be held (S1), with the same
	// [CodeUnsupported], unless the provisioning option lets it do nothing.
	//
	// D4. Of a topic alone, with neither Group nor Broadcast, it declares the topic only, so that a
	// producer can publish to it where that needs no group. It does so also where the adapter
	// refuses every Broadcast. What is invalid is told by [Subscription.ValidateDeclare].
	Declare(ctx context.Context, subs ...Subscription) error
}

// Quiescer is implemented by a [Stream] that fetches ahead of Receive.
type Quiescer interface {
	// Quiesce tells the stream that Receive will not be called again.
	//
	// Q1. It is called at most once, not while a Receive runs, and before any delivery is given
	// back on the way to Close. From then on the stream asks the broker for nothing more: what is
	// given back would come straight to this stream again, which is about to close, and count a
	// delivery. Settlements and leases go on as before.
	//
	// Q2. It does not block. What the stream had fetched and not delivered goes back with Close, or
	// earlier.
	Quiesce()
}

// HealthReporter is implemented by a [Broker] or [Stream] that can tell how it is. A [Consumer]
// shows what its stream and its broker say.
type HealthReporter interface {
	// Health returns nil while all is well, else what is wrong, since when, as an [*Error]. It does
	// not touch the network.
	//
	// H1. A Broker reports only what concerns it as a whole, such as the connection that it
	// publishes by. A Stream reports what concerns its subscription, and the Broker does not repeat
	// that: it would degrade every Consumer of the Broker, and stand twice in the health of one.
	//
	// H2. An outage shows while it lasts. A Stream reports it at the latest when it ends its leases
	// for it, a Broker at the latest when an accepted publish has waited 10 s for its answer. Both
	// return nil again when they are connected.
	Health() error
}

// Withdrawer is implemented by a [Broker] whose Publish accepts events that it may begin to send
// later, such as while there is no connection. The [Producer] calls it when the ctx of a
// synchronous publish ends, so that an event that never left the process is reported as refused and
// not as unknown.
type Withdrawer interface {
	// Withdraw refuses events that were accepted for topic and that nothing was sent of yet.
	//
	// W1. An event that it refuses is done, before Withdraw returns, with [CodeUnavailable] and
	// what is wrong with the connection, or with [CodeCanceled] where nothing is. It is not stored
	// and never will be.
	//
	// W2. An event that may have been sent, even in part, is left alone, and so is one that is
	// done.
	//
	// W3. It does not wait for the network. ctx has ended, and its cause is a part of the errors.
	//
	// W4. An event is found by its source and id, since a middleware may have changed the rest. One
	// that another call publishes to the same topic at that time may be refused too.
	Withdraw(ctx context.Context, topic string, events []Event)
}

// Browser is implemented by a [Broker] that can show what a group has not finished, without taking
// it. The package poison stands on it.
type Browser interface {
	// Browse shows the events of a group that are published and not settled. sub is the
	// subscription of the group's consumers; its limits bound what Browse holds in memory.
	//
	// B1. show is called once for each event that was published before Browse was called and that
	// the group does not settle while it runs. That includes the events that consumers hold. An
	// event that is published later is not shown, except for the few that the broker takes while
	// Browse finds out where the end is. So Browse ends, however fast the topic grows.
	//
	// B2. Events of one key come in publish order.
	//
	// B3. Nothing is taken: the number of the group's events, their order by key, and what
	// consumers have settled stay as they are. Consumers of the group may have to wait meanwhile,
	// and the broker's count of deliveries may rise. Of a caller that is killed nothing stays
	// behind.
	//
	// B4. show gets what Receive would deliver, as R4 and R7 say; of Position, what the broker
	// knows. The delivery's lease has ended, and it cannot be settled. It belongs to the adapter
	// again when show has returned.
	//
	// B5. show is called by one goroutine at a time, without a lock of the adapter, and may take
	// its time. When it returns false, Browse ends and returns nil.
	//
	// B6. When ctx ends, Browse returns within 250 ms, or when the show that runs has returned,
	// with an error for which errors.Is(err, ctx.Err()) holds.
	//
	// B7. A topic that does not exist is an error with [CodeNotFound], and so is such a group, if
	// the broker knows its groups. A Broadcast is one with [CodeUnsupported], and so is a group
	// that the broker cannot show, and everything for a wrapper around a Broker that is not a
	// Browser. A Browser can show at least the group [ReplayGroup].
	Browse(ctx context.Context, sub Subscription, show func(*Delivery) bool) error
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
