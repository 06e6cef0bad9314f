package leat

import "context"

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
