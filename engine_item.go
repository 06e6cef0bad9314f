package leat

import (
	"time"
)

// item is one delivery in the engine. The engine's lock guards all of it but d, size, batch and
// lease, which do not change while it is in flight; while a handler runs, its worker has skipped
// for itself. Items are used again.
type item struct {
	d     Delivery
	size  int
	lease *leaseWork
	batch *batch
	ctx   *attempt // of the first attempt, allocated with the batch, or of the one that runs
	seq   uint64   // the order in which the engine received it

	member *batchMember // while it is in a Batch
	lost   *lostEvent   // what was lost ahead of it while it ran; nil for most

	state        itemState
	skipped      bool  // no handler wanted it
	excused      bool  // the last attempt does not count, and the time since then neither
	aside        bool  // parked because its handler wants that, until the engine stops
	early        bool  // it started, or is ready, before the one ahead of it is done
	startedEarly bool  // early, when the running attempt began; for its worker, without the lock
	orphan       bool  // the one ahead of it went back to the broker, and so must it
	failing      bool  // parked by the engine's own backoff, which has no end
	lane         *lane // nil without a key
	ahead, after *item // neighbours in the lane
	older, newer *item // neighbours in the list of everything in flight
	prev, next   *item // neighbours in the ready list; next also links items to use again

	outages   int            // attempts in a row that met an outage
	attempts  int            // calls of the handler in this process
	started   time.Duration  // when the running attempt, or the last one, began, on the engine's clock
	first     time.Duration  // when the first one began, on the engine's clock
	due       time.Time      // when a parked item is ready again
	parkIndex int            // its place in the heap of parked items, -1 when it is not in it
	poison    *Poisoned      // the verdict: it goes to the poison queue, the handler is not called again
	trouble   *poisonTrouble // with the poison queue; nil for most
	suspect   *suspect       // it may crash the process; nil for most
	failed    error          // of the last attempt, while failing
	failure   error          // the panic or Goexit that ended the last attempt; nil when something else did
}

// batch is what deliveries that came together share.
type batch struct {
	engine   *engine
	received time.Time
}

type itemState uint8

const (
	itemGone itemState = iota
	itemWaiting
	itemReady
	itemRunning
	itemParked
	itemSuspect // waits to run alone
)

// lane holds the events of one key in their order. Only its first can be ready, running or parked,
// and those behind it that are early. A lane exists as long as it has an event.
type lane struct {
	key         string
	first, last *item
	hash        uint64
	next        *lane // the next of its bucket, or in the list of lanes to use again
}

// push adds it at the end.
func (l *lane) push(it *item) {
	it.lane, it.ahead = l, l.last
	if l.last == nil {
		l.first = it
	} else {
		l.last.after = it
	}
	l.last = it
}

// remove takes it out, wherever it stands.
func (l *lane) remove(it *item) {
	if it.ahead == nil {
		l.first = it.after
	} else {
		it.ahead.after = it.after
	}
	if it.after == nil {
		l.last = it.ahead
	} else {
		it.after.ahead = it.ahead
	}
	it.ahead, it.after, it.lane = nil, nil, nil
}

// The three lists of items have the same links under other names. One list for all three, with the
// links in an array, took 5 to 10 percent more processor time for an event without a key
// (BenchmarkHotPath), because the array costs what the inlined fields do not.

// itemList is the list of everything in flight, oldest first.
type itemList struct {
	oldest, newest *item
	count, bytes   int
}

func (l *itemList) push(it *item) {
	it.older = l.newest
	if l.newest == nil {
		l.oldest = it
	} else {
		l.newest.newer = it
	}
	l.newest = it
	l.count++
	l.bytes += it.size
}

func (l *itemList) remove(it *item) {
	if it.older == nil {
		l.oldest = it.newer
	} else {
		it.older.newer = it.newer
	}
	if it.newer == nil {
		l.newest = it.older
	} else {
		it.newer.older = it.older
	}
	it.older, it.newer = nil, nil
	l.count--
	l.bytes -= it.size
}

// readyList is the queue of the items that a worker may start.
type readyList struct {
	first, last *item
	count       int
}

func (l *readyList) push(it *item) {
	it.state, it.prev, it.next = itemReady, l.last, nil
	if l.last == nil {
		l.first = it
	} else {
		l.last.next = it
	}
	l.last = it
	l.count++
}

func (l *readyList) remove(it *item) {
	if it.prev == nil {
		l.first = it.next
	} else {
		it.prev.next = it.next
	}
	if it.next == nil {
		l.last = it.prev
	} else {
		it.next.prev = it.prev
	}
	it.state, it.prev, it.next = itemWaiting, nil, nil
	l.count--
}

// pop takes out the next item, nil when there is none.
func (l *readyList) pop() *item {
	it := l.first
	if it != nil {
		l.remove(it)
	}
	return it
}

// itemPool is a list of items to use again.
type itemPool struct{ first *item }

func (p *itemPool) get() *item {
	it := p.first
	if it == nil {
		return &item{}
	}
	p.first = it.next
	it.next = nil
	return it
}

// put takes back an item that is gone.
func (p *itemPool) put(it *item) {
	*it = item{next: p.first}
	p.first = it
}
