// Package memory is a message broker inside the process: the reference implementation of the broker
// contract of Leat, the embedded default, and what tests run on. It is no toy: it keeps order by
// key across several streams of a group, moves keys between streams with leases, redelivers,
// delays, keeps history, and pushes back when a queue is full.
//
// # Topics and groups
//
// A topic keeps a bounded history. A group has a queue of its own, which starts with the topic's
// history and gets every event that is published from then on; its streams share it. Events are
// shared by reference, they are immutable.
//
// # Order by key
//
// The keys of a group that is not Unordered are spread over 64 slots by a hash. One stream at a
// time owns a slot, for the time of one [leat.Lease]; when a stream comes or goes, the fewest
// possible slots move, each after its lease was drained. Events without a key go to whichever
// stream asks first. An event that is given back holds its slot, so a delay also delays the other
// keys of that slot; events without a key wait alone.
//
// # Confirmation and durability
//
// A publish is confirmed when every group of the topic has the event, before Publish returns.
// Nothing survives the end of the process. A group whose queue is full blocks the publishers of its
// topic until a stream makes room, the caller's context ends, or [Options].FullTimeout has passed.
// A broadcast stream is a group of its own, and blocks them likewise.
//
// # URL
//
// [Open] takes mem:// with the parameters buffer, buffer_bytes, history, no_history, history_bytes,
// max_event_bytes, lease_duration, full_timeout and provision. Each call makes a private broker.
// The Openers of [NewOpener] also take mem://name: connections to one broker for each name.
//
// # Controls for tests
//
// [Broker.Crash], [Broker.StallLeases], [Broker.ExpireLeases], [Stream.StallLease],
// [Broker.DeliverRaw] and [Broker.Depth] bring about and show what other brokers do on their own.
// All time behaviour works under testing/synctest.
package memory
