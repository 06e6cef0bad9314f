package leat

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat/internal/aside"
	"github.com/leatgo/leat/internal/attempts"
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

	state        itemState
	skipped      bool         // no handler wanted it
	excused      bool         // the last attempt does not count, and the time since then neither
	aside        bool         // parked because its handler wants that, until the engine stops
	early        bool         // it started, or is ready, before the one ahead of it is done
	startedEarly bool         // early, when the running attempt began; for its worker, without the lock
	orphan       bool         // the one ahead of it went back to the broker, and so must it
	failing      bool         // only the engine's own backoff, which has no end, retries it; in engine.failing
	lane         *lane        // nil without a key; what is read of neighbours in it stands together
	ahead, after *item        // neighbours in the lane
	member       *batchMember // while it is in a Batch
	older, newer *item        // neighbours in the list of everything in flight
	prev, next   *item        // neighbours in the ready list; next also links items to use again

	outages   int            // attempts in a row that met an outage
	attempts  int            // calls of the handler in this process
	started   time.Duration  // when the running attempt, or the last one, began, on the engine's clock
	first     time.Duration  // when the first one began, on the engine's clock
	due       time.Time      // when a parked item is ready again
	parkIndex int            // its place in the heap of parked items, -1 when it is not in it
	poison    *Poisoned      // the verdict: it goes to the poison queue, the handler is not called again
	trouble   *poisonTrouble // with the poison queue; nil for most
	suspect   *suspect       // it may crash the process; nil for most
	lost      *lostEvent     // what was lost ahead of it while it ran; nil for most
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

// attempt is the context of one call of a handler: that of its lease, and what InfoFrom tells. It
// is used once, so that a handler may keep it, and small, because every event costs one.
type attempt struct {
	lease      *leaseWork
	batch      *batch
	first      time.Duration // when the first attempt began, on the engine's clock
	offset     int64
	partition  int32
	deliveries int32
	number     int32
	// skipped is set by the Router when no handler wants the event's type.
	skipped atomic.Bool
	rare    *attemptRare // nil for most
	item    *item        // the engine's lock guards it; nil once the attempt is over
}

// attemptRare is what few attempts have.
type attemptRare struct {
	crash      error       // what guard returns instead of calling the handler, which ended its goroutine
	told       atomic.Bool // guard has returned crash
	early      bool        // it began before the event ahead of it is done
	positionID string      // Position.ID
	key        string      // Info.Key
	trace      *TraceContext
	fixed      *Info // instead of all the rest, for ContextWithInfo
}

type attemptKey struct{}

// Deadline is the lease's context's, which has none.
func (a *attempt) Deadline() (time.Time, bool) { return a.lease.ctx.Deadline() }

// Done is closed when the handler should stop.
func (a *attempt) Done() <-chan struct{} { return a.lease.ctx.Done() }

// Err tells why; context.Cause tells more.
func (a *attempt) Err() error { return a.lease.ctx.Err() }

// Value returns the attempt itself for its own key, what Leat's own middleware asks for, else what
// the lease's context has.
func (a *attempt) Value(key any) any {
	switch key {
	case attemptKey{}:
		return a
	case aside.CrashKey{}:
		if crash := a.crash(); crash != nil {
			return crash
		}
		return nil
	case aside.LeaseKey{}:
		if a.lease == nil { // of ContextWithInfo
			return nil
		}
		return &a.lease.ctx
	}
	return a.lease.ctx.Value(key)
}

// newAttempt fills in the context of it's present attempt.
func newAttempt(it *item, crash error) *attempt {
	a := it.ctx // of the first attempt, allocated with the batch
	if a == nil {
		a = &attempt{}
	}
	it.ctx, a.item = a, it
	a.lease, a.batch, a.first, a.number = it.lease, it.batch, it.first, int32(it.attempts)
	a.offset, a.partition, a.deliveries = it.d.Position.Offset, it.d.Position.Partition, int32(it.d.Deliveries)
	if crash != nil || it.d.Position.ID != "" || it.d.Key != "" || it.d.Trace != nil || it.startedEarly {
		a.rare = &attemptRare{crash: crash, early: it.startedEarly, positionID: it.d.Position.ID, key: it.d.Key, trace: it.d.Trace}
	}
	return a
}

// early reports whether the attempt began before the event ahead of it is done.
func (a *attempt) early() bool { return a.rare != nil && a.rare.early }

func (a *attempt) crash() error {
	if a.rare == nil {
		return nil
	}
	return a.rare.crash
}

func (a *attempt) info() Info {
	info := Info{Position: Position{Partition: a.partition, Offset: a.offset}}
	if r := a.rare; r != nil {
		if r.fixed != nil {
			info = *r.fixed
			info.Skipped = a.skipped.Load()
			return info
		}
		info.Position.ID, info.Key, info.Trace = r.positionID, r.key, r.trace
	}
	e := a.batch.engine
	info.Topic, info.Group = e.c.sub.Topic, e.c.sub.Group
	info.Attempt, info.FirstAttempt = int(a.number), e.epoch.Add(a.first)
	info.Deliveries, info.Received, info.Skipped = int(a.deliveries), a.batch.received, a.skipped.Load()
	return info
}

// info tells about the delivery as its present attempt sees it, or, before the first, as nobody has
// yet.
func (it *item) info() Info {
	info := Info{
		Topic: it.batch.engine.c.sub.Topic, Group: it.batch.engine.c.sub.Group, Key: it.d.Key, Trace: it.d.Trace, Attempt: it.attempts,
		Deliveries: it.d.Deliveries, Received: it.batch.received, Position: it.d.Position,
	}
	if it.attempts > 0 {
		info.FirstAttempt = it.batch.engine.epoch.Add(it.first)
	}
	return info
}

// markSkipped notes for the Consumer's statistics that no handler wanted the event.
func markSkipped(ctx context.Context) {
	if a, ok := ctx.Value(attemptKey{}).(*attempt); ok {
		a.skipped.Store(true)
	}
	if skipped, ok := ctx.Value(aside.SkipKey{}).(*bool); ok {
		*skipped = true
	}
}

// attemptTable remembers the attempts of events that left the process unsettled, so that a
// redelivery to it goes on counting. The group is that of the Consumer.
type attemptTable struct{ table attempts.Table }

// keep remembers the attempts of it, if there were any. It comes again after delay, which does not
// count where the attempt does not.
func (t *attemptTable) keep(it *item, delay time.Duration) {
	if it.attempts == 0 || it.d.Malformed != nil {
		return
	}
	e, first := it.batch.engine, it.first
	if it.excused {
		first += e.now() - it.started + delay
	}
	t.table.Keep(it.d.Event.Source(), it.d.Event.ID(), attempts.Entry{Attempts: it.attempts, First: e.epoch.Add(first)})
}

// restore gives it the attempts that an earlier delivery had, before its own first.
func (t *attemptTable) restore(it *item) {
	if t.table.Len() == 0 || it.attempts > 0 || it.d.Deliveries == 1 {
		return
	}
	if entry, ok := t.table.Find(it.d.Event.Source(), it.d.Event.ID()); ok {
		it.attempts, it.first = entry.Attempts, entry.First.Sub(it.batch.engine.epoch)
	}
}

// forget drops what is known about it, because it is settled.
func (t *attemptTable) forget(it *item) {
	if t.table.Len() > 0 && it.d.Malformed == nil {
		t.table.Forget(it.d.Event.Source(), it.d.Event.ID())
	}
}
