// Package poison looks at poison queues, replays what is in them, and empties them, on every broker
// that implements [leat.Browser].
//
// All functions take the subscription of the consumer whose rejected events they are about, and not
// that of the poison queue: Subscription{Topic: "orders", Group: "billing"} is about the topic
// "orders.billing.poison". They may run beside the service, and may be killed: nothing is lost, and
// at most an event that was replayed last is replayed again.
package poison
