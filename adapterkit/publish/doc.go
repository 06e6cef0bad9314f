// Package publish is the part of an adapter's publish side that is the same for every broker: rules
// P1 to P11 of [github.com/leatgo/leat.Broker]. The adapter encodes events, sends them and reads
// the broker's answers. A [Ledger] does the rest:
//
//   - It bounds what is under way, in events and in bytes (P2). A publish without room waits in line
//     while its ctx lasts (P3). When nothing is under way, one event is let in, however large.
//   - It calls done exactly once for each event (P1), also when the broker answers late or twice (P8).
//   - It keeps one list of deadlines and one timer (P11). At its deadline, an event that the adapter
//     has begun to send becomes unknown. An event that it has not begun is refused (P5).
//   - It takes back events that were not begun (rules W1 to W4 of
//     [github.com/leatgo/leat.Withdrawer]), and reports slow answers.
//   - Close waits for answers while its ctx lasts, then gives up the rest (C1).
//
// # An event on its way
//
// The adapter puts the events of one Publish into a [Batch], with its own data for each event as T,
// and calls [Ledger.Admit]. Admit hands over the entries for which there is room. From then on each
// [Entry] is in one of four states. Each change is one atomic operation:
//
//	waiting: nothing of the event was sent
//	    Begin, Queue.Next                            begun
//	    Done, Refuse, deadline, Withdraw, Close      over
//	    Queue.Hold, Queue.PutBack                    waiting
//	begun: it may have been sent
//	    Done                                         over
//	    Queue.PutBack                                waiting
//	    deadline, Close                              lapsed
//	lapsed: done was called with CodeUnknown, and the event still takes up room
//	    Done, Queue.PutBack                          over
//	over: done was called, and the room is free
//
// The adapter begins an entry before its first byte leaves the process. It puts the entry back only
// when it knows that no byte left. A lapsed entry keeps its room until the adapter calls Done,
// because the client or the broker still has the event. So the bound also holds in an outage.
//
// A [Queue] keeps entries that wait to be sent. When an entry is refused, it leaves its queue by
// itself, so a queue never holds more than the ledger let in. An adapter has one queue for each
// lane, partition or key. It needs none when the client library keeps its own queue.
//
// # Why it is made like this
//
// Two designs were considered: a ledger that only counts, and an outbox that is also the queue.
// With a counting ledger, each adapter has to solve the hardest part itself: an event expires or is
// withdrawn while another goroutine is about to send it. An outbox puts a second queue in front of
// a client that has its own, such as Kafka's. Here the state of an event is in its entry, which the
// ledger and the queue share, and the queue is optional.
//
// Admission takes one lock for each Publish. An answer takes a lock only when it is the last one of
// its batch, or when a publish waits in line. A batch allocates its entries in one piece and
// nothing for each event. An adapter whose client answers exactly once can use that memory again,
// see [Batch.Owner].
//
// The broker in memory does not use this package: its answers come at once, and the room of a topic
// is that of its slowest group.
package publish
