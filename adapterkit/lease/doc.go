// Package lease keeps messages that a broker lends for a term: the visibility timeout of SQS, the
// ack deadline of Pub/Sub, the AckWait of JetStream.
//
// A [Keeper] gives every message a lease of [github.com/leatgo/leat.TimedLeases], extends it, and
// tells the broker what became of it, in batches. The adapter writes one function that sends a
// batch and returns a result for each entry.
//
//	k := lease.New(lease.Options[string, receipt]{Term: 30 * time.Second, MaxBatch: 10, Send: s.send, Lost: s.lost})
//	m, fresh := k.Take(id, asked, receipt)  // a message arrived; asked is when its request began
//	delivery.Lease = m.Lease()
//	k.Ack(m)                                // from Settle
//	err := k.Close(ctx)
//
// A [Stream] is a Keeper with a book, which is most of an adapter's stream.
//
// The keeper holds these rules of [github.com/leatgo/leat.Lease] and Stream for the adapter:
//
//   - L1: it extends before half of the term has passed, and then at every tenth until the broker confirms,
//     as long as the message is not settled. A message whose ack the broker has not confirmed counts as
//     not settled.
//   - L2: the lease ends at nine tenths of the term, whatever requests do.
//   - L3: before a message is given back, its lease has ended. The extension that was under way has
//     ended too, unless it takes longer than half a second.
//   - A message that arrives when its lease is over is not delivered.
//   - L4: when the broker says that it does not know a receipt any more, the lease ends with a cause.
//   - L5: a message that comes again while it is held takes over the new receipt, and is not delivered.
//     Where several requests run at a time, the late answer to an older one changes nothing.
//   - L6: no ack and no extension is sent under a lease that is over, and no request outlasts it.
//   - L7 and T1: an ack is repeated until the broker has confirmed it, and the lease ends then.
//
// # Locks
//
// Ack, Reject and GiveBack may be called with the lock that Settle takes, and do not block. All
// other methods end leases, and need to be called without it. Send, Lost, Report and Freed are
// called without any lock.
package lease
