// Package book keeps what a stream of an adapter knows about its deliveries in flight, so that the
// adapter only moves messages from and to its broker.
//
// A [Book] holds the records of one stream, from the moment at which they arrive until they are
// settled. A [Window] holds the records of one period of ownership: an assignment of a partition, a
// channel, or the whole life of a stream whose messages have a lease each. T is what the adapter
// itself keeps for a record, such as an offset or a receipt.
//
//	b := book.New[receipt](&s.mu, book.Options{MaxInFlight: sub.MaxInFlight, MaxInFlightBytes: sub.MaxInFlightBytes})
//	w := b.Open(lease)          // a period of ownership begins
//	w.Push(&d, size, receipt)   // a message arrived
//	n, err := b.Receive(ctx, into)
//	receipt, effect := b.Settle(d, how)
//
// The book keeps these rules of [github.com/leatgo/leat.Broker] for the adapter:
//
//   - R1: Receive waits for a delivery, for the end of its context, or for [Book.Shut].
//   - R3 and T2: the records of a key go out in the order in which they were pushed. When a record
//     comes back, nothing more of its key goes out until everything of the key that is out is settled.
//     Then all that waits goes out again, in order, and before what was pushed later.
//   - R5: what is out never exceeds MaxInFlight and MaxInFlightBytes. [Book.Room] says how much the
//     adapter may still fetch.
//   - R8: a record that goes out again repeats the broker's count.
//   - T1 and T4: each time that a record goes out is a round of its own. A settlement counts once, for
//     the last round, and while the window has not ended.
//   - Q1: after [Book.Quiesce] nothing that is given back goes out again.
//
// What is settled reaches the broker in one of three ways, which [Options].Acks names: each record
// by itself, one position below which all is finished, or ranges and single records.
//
// # Locks
//
// The adapter's own lock guards the book and its windows. The adapter holds it for every call,
// except for [Book.Receive], which takes it. Nothing here calls a lease or another part of the
// engine, so the lock may be the one that Settle takes.
package book
