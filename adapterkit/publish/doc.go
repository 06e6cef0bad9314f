// Package publish is the publish side of an adapter, as far as it is the same for every broker: rules P1 to P11 of
// [github.com/leatgo/leat.Broker]. The adapter encodes events, sends them and reads the broker's answers. A [Ledger]
// does the rest:
//
//   - It bounds what is under way, in events and in bytes (P2). Who finds no room waits in line, first come first
//     served, as long as its ctx lasts (P3). When nothing is under way, one event is let in, however large it is.
//   - It calls done exactly once for each event (P1), also when the broker answers late or twice (P8).
//   - It keeps one list of deadlines and one timer (P11). An event that the adapter has begun to send becomes unknown,
//     one that it has not begun is refused (P5).
//   - It takes back what was not begun (rules W1 to W4 of [github.com/leatgo/leat.Withdrawer]), and reports answers
//     that are slow.
//   - Close waits for answers while its ctx lasts, then gives up the rest (C1).
//
// # An event on its way
//
// An adapter puts the events of one Publish into a [Batch], with its own data for each event as T, and calls
// [Ledger.Admit]. Admit hands it the entries for which there is room. From then on each [Entry] is in one of these
// states, whose changes are atomic:
//
//	waiting ── Begin, Queue.Next ──> begun ── Done ──> over: done was called, the room is free
//	waiting <── Queue.PutBack ────── begun ── deadline, Close ──> lapsed: done was called with CodeUnknown
//	waiting ── Done, Refuse, deadline, Withdraw, Close ──> over
//	lapsed ── Done, Queue.PutBack ──> over
//
// The adapter begins an entry before the first of its bytes leaves the process, and puts it back only when it knows
// that none did. A lapsed entry keeps its room until the adapter calls Done, because the client or the broker still
// has the event. So the bound holds in an outage too.
//
// A [Queue] keeps entries that wait to be sent. An entry leaves its queue by itself when it is refused, so a queue
// holds no more than the ledger let in. An adapter has one queue for each lane, partition or key, or none at all
// where the client library keeps order by itself.
//
// # Why it is made like this
//
// Two designs were considered: a ledger that only counts, and an outbox that is also the queue. A ledger alone leaves
// the hardest part to each adapter: an event that expires or is withdrawn while another goroutine is about to send it.
// An outbox cannot serve a client library with a queue of its own, such as Kafka's, without a second queue in the
// hot path. So the state of an event is in the entry, which both share, and a queue is optional.
//
// Admission takes one lock for each Publish. An answer takes no lock unless it is the last one of its batch or someone
// waits in line. Nothing is allocated for an event but its entry, all entries of a batch in one piece, and an adapter
// whose client answers exactly once can use them again, see [Batch.Owner].
package publish
