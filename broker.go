package leat

import (
	"context"
	"time"
)

// Broker is what an adapter implements to bring a message broker under Leat; applications use
// [Producer] and [Consumer] instead. Leat owns concurrency, order, retry, drain and telemetry; an
// adapter only translates. The comments on each method are rules, numbered so that a test can name
// the one that broke. All methods may be called from several goroutines at once.
type Broker interface {
	// Publish hands events to the broker and reports the outcome of each through done.
	//
	// P1. done is called exactly once for every index of events, from any goroutine, possibly
	// before Publish returns. It does not block.
	//
	// P2. Publish returns once every event is accepted (the adapter took it and will report) or
	// done. It blocks while the adapter's buffer is full, and no longer than ctx lasts. The buffer,
	// of events that the broker has not confirmed, has a bound in bytes, which is an option of the
	// adapter and 64 MiB, or less, unless that is set.
	//
	// P3. ctx bounds admission only: an event that was not accepted when ctx ends is refused within
	// 250 ms, with [CodeCanceled], or with [CodeUnavailable] where it waited for a broker that
	// cannot be reached. An event that was accepted is not affected when ctx ends after Publish
	// returned; see [Withdrawer].
	//
	// P4. done(i, nil) means that the broker confirmed that it has the event as durably as the
	// stream's [Capabilities] say. Nothing less is reported as nil.
	//
	// P5. Any other outcome is an [*Error]. [CodeUnknown] means that the event may be stored (a
	// lost connection, no answer within the adapter's delivery timeout, Close while waiting); every
	// other code means that it certainly is not and never will be: refused. An event that nothing
	// was sent of is refused.
	//
	// P6. Events of one call with the same key are stored in the order of the call, and after those
	// of earlier calls that returned before this one began.
	//
	// P7. One refused event does not change the outcome of its neighbours.
	//
	// P8. An answer of the broker that comes after done was called is ignored.
	//
	// P9. events belongs to the caller again when Publish returns; the adapter copies the values
	// that it keeps.
	//
	// P10. The trace context of ctx, [TraceFrom], is written beside each event, as the transport's
	// headers traceparent and tracestate without a prefix. An event for which there is no more room
	// with it goes without it, and is never refused for it.
	//
	// P11. While the broker cannot be reached, events are taken within the bound of P2 and sent
	// when it can be reached again. They are not refused at once, also when the adapter knows that
	// it has no connection. When its delivery timeout has passed since an event was taken, the
	// event is refused with [CodeUnavailable] if nothing of it was sent, else it is unknown. What a
	// client library refuses by itself is reported as it says.
	Publish(ctx context.Context, topic string, events []Event, done func(i int, err error))

	// Subscribe opens a stream of deliveries.
	//
	// S1. A subscription that the broker or an existing queue cannot hold as asked (order by key,
	// broadcast) is an error with [CodeUnsupported] that says what to change. Nothing is silently
	// downgraded.
	//
	// S2. A topic or group that does not exist is an error with [CodeNotFound], unless the adapter
	// creates it.
	//
	// S3. Events published after Subscribe returned are delivered to the group, also when they are
	// published before the first Receive.
	//
	// S4. The streams of one group share its events; each group gets every event. A Broadcast
	// stream gets every event that is published while it is connected; what it holds when its lease
	// is lost may be gone.
	Subscribe(ctx context.Context, sub Subscription) (Stream, error)

	// Limits returns what the broker takes at most. It does not change.
	Limits() Limits

	// Close ends the broker's connections within the adapter's close timeout (10 s unless it says
	// otherwise).
	//
	// C1. Publishes that are under way are done with [CodeUnknown] where no answer came. Streams
	// end as by their own Close.
	//
	// C2. Closing twice returns nil. Every method called after Close returns, or reports through
	// done, [CodeClosed].
	//
	// C3. No goroutine and no descriptor of the adapter is left when Close has returned.
	Close() error
}

// Stream delivers the events of one [Subscription]. Receive is called by one goroutine at a time,
// Settle by any.
type Stream interface {
	// Receive waits for at least one delivery and fills into from its start.
	//
	// R1. It returns 1 ≤ n ≤ len(into) and a nil error, or 0 and an error. When ctx ends it returns
	// within 250 ms, with an error for which errors.Is(err, ctx.Err()) holds, and that harms
	// nothing.
	//
	// R2. Any other error is terminal: the stream is over. A lost connection is no error; the
	// adapter connects again, at most once a second, and shows the outage through [HealthReporter].
	//
	// R3. The deliveries of one key come in publish order; for [OrderPerGroup], no other stream of
	// the group holds a delivery of that key at the same time. The key is the event's own,
	// [Event.Key], else the transport's, which is [Delivery].Key then. A stream may withhold later
	// deliveries of a key while earlier ones of it are unsettled.
	//
	// R4. A delivery that is no valid CloudEvent has Malformed set instead of Event, the same at
	// every delivery. It never ends the stream.
	//
	// R5. Unsettled deliveries of the stream never exceed the subscription's MaxInFlight, nor
	// MaxInFlightBytes unless there is only one.
	//
	// R6. into belongs to the caller; the adapter keeps no pointer into it.
	//
	// R7. [Delivery].Trace is what [NewTraceContext] makes of the message's headers traceparent and
	// tracestate, of a malformed one as well and again after a redelivery. They are no part of the
	// event, whose extensions of these names are independent. Of a header that is there twice with
	// different values nobody knows which is meant: there is none.
	//
	// R8. Where [Capabilities].DeliveryCount is set, [Delivery].Deliveries is the broker's count: 1
	// at first, and more whenever the broker delivers the event again, to whichever stream. A
	// stream that delivers again from its own memory what was given back to it repeats the number
	// of before. For one event the number never falls.
	Receive(ctx context.Context, into []Delivery) (n int, err error)

	// Settle says what became of a delivery. It is cheap, does not block on the network, and is
	// called once for each delivery; the adapter batches. Failures appear in health.
	//
	// T1. After Ack the event is not delivered to this group again, except that a crash of the
	// client or broker before the ack was stored redelivers it. A lost connection is not a crash.
	// Where leases outlive it, the adapter sends the acks again that the broker has not confirmed.
	// Where the broker takes back what the connection held, the leases end, with a cause, and an
	// ack that was not stored by then is lost: the event comes again under another lease. When
	// Close has returned nil, every ack is stored that was given under a lease which was not lost.
	//
	// T2. After GiveBack it is delivered again, not before Delay has passed (exact to the adapter's
	// declared granularity, at most [Capabilities.LongestDelay]; where that is 0, the delay is
	// ignored). Given-back events of one key come back in publish order, before later ones of it,
	// and not while the stream still holds older ones of it unsettled. The delay holds while the
	// stream lives: Close ends the wait of what the stream itself keeps, and what the broker keeps
	// stays there until its time, and is lost to nobody.
	//
	// T3. NativeReject is only used where [Capabilities.NativeReject] says so, and has no effect
	// elsewhere.
	//
	// T4. A settlement of a delivery whose lease has ended has no effect, on that delivery or any
	// other.
	//
	// T5. Settle after Close has no effect.
	//
	// T6. A second settlement of a delivery has no effect, on that delivery or on a later one of
	// the same event.
	Settle(d *Delivery, s Settlement)

	// Capabilities tells what this subscription really holds. It does not change.
	Capabilities() Capabilities

	// Close flushes settlements, as long as ctx lasts, and ends the stream's leases. Deliveries
	// that are not settled go back to the group, in order and without delay, and with them those
	// that were given back with a delay and wait in the stream (T2). A Receive that is waiting ends
	// with [CodeClosed]. Closing twice returns nil.
	Close(ctx context.Context) error
}

// Limits is what a broker takes at most. A zero field means that only Leat's own limits hold.
type Limits struct {
	// MaxEventBytes is the largest event, as [Event.Size] counts it. An event of exactly that size
	// is taken whatever its bytes are: an adapter whose transport makes some events larger, by
	// percent-encoding, base64 or escapes, says so little that the worst of them fits, or writes an
	// event in the mode in which it fits.
	MaxEventBytes int
	// MaxAttributes is how many attributes, extensions included, fit beside the data.
	MaxAttributes int
}

// Order is how far a stream keeps the order of one key.
type Order uint8

// The orders that a [Stream] can hold.
const (
	// OrderNone promises nothing.
	OrderNone Order = iota
	// OrderPerStream keeps the order of a key within this stream only; other streams of the group
	// may hold events of the same key.
	OrderPerStream
	// OrderPerGroup keeps the order of a key across all streams of the group: one stream at a time
	// holds it.
	OrderPerGroup
)

// Capabilities is what a [Stream] really holds.
type Capabilities struct {
	// Order is how far the order of one key is kept.
	Order Order
	// History says that a group that is declared later gets events that were published before, as
	// far as the broker keeps them.
	History bool
	// Durable says that confirmed events survive the end of the broker's process.
	Durable bool
	// DeliveryCount says that Delivery.Deliveries is counted by the broker.
	DeliveryCount bool
	// NativeReject says that the broker has a dead-letter mechanism of its own, to which
	// NativeReject leads.
	NativeReject bool
	// Broadcast says that this stream is a broadcast.
	Broadcast bool
	// Standby says that one stream of the group receives and the others stand by until it closes or
	// is lost. Without it, streams share the events of the group.
	Standby bool
	// Watermark says that the broker stores one position per lease, as Kafka does. What finished
	// above an unfinished event is only stored as far as the adapter finds room for it, and may be
	// delivered again after a restart. Drain therefore finishes what lies below the newest started
	// event.
	Watermark bool
	// LongestDelay is the longest delay that GiveBack honours; 0 means that the broker cannot
	// delay.
	LongestDelay time.Duration
	// LongestHold is how long a delivery may stay unsettled; 0 means as long as the stream lives.
	LongestHold time.Duration
}

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
