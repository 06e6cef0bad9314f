// Package watermill joins Leat and Watermill, both ways.
//
// Leat over Watermill: [New] makes a [leat.Broker] of a Watermill Publisher and Subscriber, so that
// Leat's producers, consumers and middleware run on any of Watermill's Pub/Subs. The packages kafka
// and amqp beside this one, modules of their own, have two of them ready made.
//
// Watermill over Leat: [NewPublisher] and [NewSubscriber] make a Watermill Publisher and Subscriber
// of any broker of Leat, for a Router that exists.
//
// [Codec] says how messages and events become each other. docs/watermill.md is the guide, with what
// changes in a move and what gets safer.
//
// # What a Pub/Sub cannot promise
//
// Watermill's interfaces tell nothing about order, durability, groups or how long a message may be
// held. [Options] say what the one below holds, and unless they do, nothing is promised. Nothing
// counts deliveries, delays a redelivery or rejects. A publish that failed is of unknown outcome,
// because a Publisher does not say which it is. A Subscriber has no way to tell that a message was
// taken away from it, as Kafka does in a rebalance: unless it closes its channel, a handler is not
// told that its lease was lost.
package watermill
