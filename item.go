package leat

import "time"

// item is one delivery in the engine. The engine's lock guards all of it but d, seq, received and lease, which do not change while
// it is in flight.
type item struct {
	d        Delivery
	lease    *leaseWork
	seq      uint64 // the order in which the engine received it
	received time.Time

	state        itemState
	lane         *lane // nil without a key
	ahead, after *item // neighbours in the lane
	older, newer *item // neighbours in the list of everything in flight
	nextReady    *item // the next in the ready list

	attempts  int       // calls of the handler in this process
	first     time.Time // when the first of them began
	due       time.Time // when a parked item is ready again
	parkIndex int       // its place in the heap of parked items
	failing   bool      // parked by the engine's own backoff, which has no end
	poison    *Poisoned // the verdict: it goes to the poison queue, the handler is not called again
	tries     int       // attempts to put it there
	crash     error     // the panic or Goexit of the last attempt
	skipped   bool      // no handler wanted it
	started   time.Time // when the running attempt began
	ctx       attempt   // the context of the first attempt, allocated with the item
}

type itemState uint8

const (
	itemWaiting itemState = iota // behind another of its key
	itemReady
	itemRunning
	itemParked
	itemGone
)

// lane holds the events of one key in their order. Only its first can be ready, running or parked. A lane exists as long as it has
// an event.
type lane struct {
	key         string
	first, last *item
	free        *lane // the next in the list of lanes to use again
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
	l.bytes += it.d.size()
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
	l.bytes -= it.d.size()
}

// readyList is the queue of items that a worker may start. Items that are no longer ready stay in it until they are met.
type readyList struct {
	first, last *item
	count       int // of those that are ready
}

func (l *readyList) push(it *item) {
	it.state, it.nextReady = itemReady, nil
	if l.last == nil {
		l.first = it
	} else {
		l.last.nextReady = it
	}
	l.last = it
	l.count++
}

// pop returns the next item that is ready, nil when there is none.
func (l *readyList) pop() *item {
	for it := l.first; it != nil; it = l.first {
		l.first = it.nextReady
		if l.first == nil {
			l.last = nil
		}
		it.nextReady = nil
		if it.state == itemReady {
			l.count--
			return it
		}
	}
	return nil
}
