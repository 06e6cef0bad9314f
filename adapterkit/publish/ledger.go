package publish

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
)

// Options are the limits of a [Ledger]. The zero value works.
type Options struct {
	// Events is how many events may be under way. 0 means 10,000.
	Events int
	// Bytes is how many bytes, as [leat.Event.Size] counts them, may be under way. 0 means 64 MiB.
	Bytes int
	// Timeout is how long an event may be without an answer, from when it was admitted. 0 means 30
	// s.
	Timeout time.Duration
	// Trouble says why nothing can be sent at present; nil means that nothing is known to be wrong.
	// Its text becomes a part of the errors of events that were not begun, or have no answer. When
	// it is an [*leat.Error], the former have its code, else [leat.CodeUnavailable], as also for
	// [leat.CodeUnknown], which is about what was sent. It is called without a lock. A nil Trouble
	// means that nothing is ever known.
	Trouble func() error
}

// SlowAfter is how long an event may be without an answer before [Ledger.Health] reports it.
const SlowAfter = 10 * time.Second

// Ledger accounts for the events that an adapter publishes. T is what the adapter keeps for each of
// them. All methods may be called from several goroutines at once, also from done.
type Ledger[T any] struct {
	o Options

	// What takes up room. The numbers grow under mu only.
	events, bytes atomic.Int64
	queueing      atomic.Bool // somebody waits in line

	mu     sync.Mutex
	closed bool
	line   []*waiter
	// Parts with an event that has no outcome, oldest first. They expire in that order.
	oldest, newest *part[T]
	idle           chan struct{} // closed when there is no such part; made by Close
	timer          *time.Timer
	armed          bool           // the timer will fire
	firing         sync.WaitGroup // while it is armed, and expire
}

// part is what was admitted of a batch at once.
type part[T any] struct {
	ledger       *Ledger[T]
	batch        *Batch[T]
	entries      []Entry[T]
	left         atomic.Int64 // entries that take up room
	taken        time.Time
	listed       bool     // guarded by Ledger.mu
	older, newer *part[T] // likewise
}

// New returns a Ledger.
func New[T any](o Options) *Ledger[T] {
	if o.Events == 0 {
		o.Events = 10_000
	}
	if o.Bytes == 0 {
		o.Bytes = 64 << 20
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	return &Ledger[T]{o: o}
}

// take admits entries. The lock is held.
func (l *Ledger[T]) take(p *part[T], b *Batch[T], entries []Entry[T]) {
	p.ledger, p.batch, p.entries, p.taken, p.listed = l, b, entries, time.Now(), true
	p.left.Store(int64(len(entries)))
	b.users.Add(1)
	size := 0
	for i := range entries {
		entries[i].part = p
		size += entries[i].size
	}
	l.events.Add(int64(len(entries)))
	l.bytes.Add(int64(size))
	if p.older = l.newest; p.older != nil {
		p.older.newer = p
	} else {
		l.oldest = p
	}
	l.newest = p
	if !l.armed {
		l.arm(l.o.Timeout)
	}
}

// unlist takes a part out of the list. The lock is held.
func (l *Ledger[T]) unlist(p *part[T]) {
	if p.older != nil {
		p.older.newer = p.newer
	} else {
		l.oldest = p.newer
	}
	if p.newer != nil {
		p.newer.older = p.older
	} else {
		l.newest = p.older
	}
	p.older, p.newer, p.listed = nil, nil, false
	if l.oldest == nil && l.idle != nil {
		close(l.idle)
		l.idle = nil
	}
}

// release makes room when an entry is over.
func (l *Ledger[T]) release(p *part[T], size int) {
	l.bytes.Add(-int64(size))
	l.events.Add(-1)
	last := p.left.Add(-1) == 0 // if not, p may be used for something else from here on
	if !last && !l.queueing.Load() {
		return
	}
	l.mu.Lock()
	l.offerRoom()
	reuse := last && p.listed
	if reuse {
		l.unlist(p)
	}
	l.mu.Unlock()
	if reuse { // otherwise giveUp may be looking at it
		p.batch.drop()
	}
}

// arm sets the timer. The lock is held.
func (l *Ledger[T]) arm(d time.Duration) {
	l.armed = true
	l.firing.Add(1)
	if l.timer == nil {
		l.timer = time.AfterFunc(d, l.expire)
	} else {
		l.timer.Reset(d)
	}
}

// expire gives up what is without an answer for too long.
func (l *Ledger[T]) expire() {
	defer l.firing.Done()
	now := time.Now()
	var late []*part[T]
	l.mu.Lock()
	l.armed = false
	for l.oldest != nil && now.Sub(l.oldest.taken) >= l.o.Timeout {
		late = append(late, l.oldest)
		l.unlist(l.oldest)
	}
	if l.oldest != nil {
		l.arm(l.o.Timeout - now.Sub(l.oldest.taken))
	}
	l.mu.Unlock()
	giveUp(late, l.o.late, l.o.unanswered())
}

// giveUp ends the entries of parts that are not listed any more: those that were not begun are
// refused, the others are unknown.
func giveUp[T any](parts []*part[T], refusal func() error, unknown error) {
	var refused error
	for _, p := range parts {
		for i := range p.entries {
			e := &p.entries[i]
			for {
				if e.state.CompareAndSwap(waiting, over) {
					if refused == nil {
						refused = refusal()
					}
					e.end(refused)
					break
				}
				if e.state.CompareAndSwap(begun, lapsed) {
					e.tell(unknown)
					break
				}
				if e.Told() {
					break // else it was put back, or begun, between the two
				}
			}
		}
	}
}

// Withdraw refuses the entries of a topic that wait and were not begun, as [leat.Withdrawer] wants
// it. An entry is found by the source and id of its event. Ctx has ended. It returns those that
// were begun and have no outcome yet, for an adapter that can still stop them; with an Owner of the
// batch, they may be used for something else by then.
func (l *Ledger[T]) Withdraw(ctx context.Context, topic string, events []leat.Event) (sent []*Entry[T]) {
	type name struct{ source, id string }
	wanted := make(map[name]struct{}, len(events))
	for _, e := range events {
		wanted[name{e.Source(), e.ID()}] = struct{}{}
	}
	var all []*Entry[T]
	l.mu.Lock()
	for p := l.oldest; p != nil; p = p.newer {
		if p.batch.topic != topic {
			continue
		}
		for i := range p.entries {
			e := &p.entries[i]
			if _, ok := wanted[name{e.event.Source(), e.event.ID()}]; e.Told() || !ok {
				continue
			}
			if e.state.CompareAndSwap(waiting, over) {
				all = append(all, e)
			} else {
				sent = append(sent, e)
			}
		}
	}
	l.mu.Unlock()
	if len(all) > 0 {
		refusal := l.o.withdrawn(ctx)
		for _, e := range all {
			e.end(refusal)
		}
	}
	return sent
}

// Health returns nil, or an [*leat.Error] of health that says since when the oldest event is under
// way, and its topic, where that is longer ago than [SlowAfter].
func (l *Ledger[T]) Health() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.oldest == nil || time.Since(l.oldest.taken) < SlowAfter {
		return nil
	}
	return fault.Health(l.oldest.batch.topic, leat.CodeUnavailable, l.oldest.taken, errUnanswered)
}

var errUnanswered = errors.New("publishes are not answered")

// Close admits nothing more, with [leat.CodeClosed], waits until all events have their outcomes or
// ctx ends, and gives up the others: unknown when they were begun, else refused with CodeClosed.
// Its timer is gone when it has returned. What sends events has to run until then. Entries that are
// lapsed are not waited for.
func (l *Ledger[T]) Close(ctx context.Context) {
	l.mu.Lock()
	l.closed = true
	for _, w := range l.line {
		w.signal()
	}
	var idle chan struct{}
	if l.oldest != nil {
		if l.idle == nil {
			l.idle = make(chan struct{})
		}
		idle = l.idle
	}
	l.mu.Unlock()
	if idle != nil {
		select {
		case <-idle:
		case <-ctx.Done():
		}
	}
	var open []*part[T]
	l.mu.Lock()
	for l.oldest != nil {
		open = append(open, l.oldest)
		l.unlist(l.oldest)
	}
	if l.armed && l.timer.Stop() {
		l.armed = false
		l.firing.Done()
	}
	l.mu.Unlock()
	giveUp(open, closed, errors.New("the broker was closed before an answer came"))
	l.firing.Wait()
}
