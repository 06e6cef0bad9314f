package book

import (
	"cmp"
	"slices"
	"time"
)

// giveBacks is what a book knows of records that were given back. It costs nothing while there is
// none.
type giveBacks[T any] struct {
	epoch   time.Time              // the zero of clock
	returns []place[T]             // given back since the last Fill
	blocked map[string]*holding[T] // keys of which something was given back while more was out
	naps    []place[T]             // without a key, until their delay is over
	again   queue[T]               // to be delivered again, in order
	alarm   *time.Timer            // for the delay that is over first; nil before the first
	alarmAt time.Duration          // when that is, on clock; 0 when it is not set
}

// place is where a record is.
type place[T any] struct {
	w     *Window[T]
	n     uint64
	until time.Duration // not to be delivered before, on clock
}

// holding is a key that is held back.
type holding[T any] struct {
	out     int        // records of it that are delivered and not settled
	waiting []place[T] // those that are to be delivered again, and new ones behind them
}

// queue is first in, first out.
type queue[T any] struct {
	places []place[T]
	head   int
}

func (q *queue[T]) len() int         { return len(q.places) - q.head }
func (q *queue[T]) first() *place[T] { return &q.places[q.head] }

func (q *queue[T]) pop() {
	q.places[q.head] = place[T]{}
	if q.head++; q.head == len(q.places) {
		q.places, q.head = q.places[:0], 0
	}
}

func (q *queue[T]) push(places ...place[T]) { q.places = append(q.places, places...) }

// remove takes out the places for which f is true.
func (q *queue[T]) remove(f func(place[T]) bool) {
	q.places, q.head = slices.DeleteFunc(q.places[q.head:], f), 0
}

// clock is how long the book has been there: unlike the time of day it does not jump.
func (b *Book[T]) clock() time.Duration { return time.Since(b.epoch) }

// holding returns what is known of a record's key that is held back, nil for others and for no key.
func (b *Book[T]) holding(s *slot[T]) *holding[T] {
	if len(b.blocked) == 0 {
		return nil
	}
	if key := b.key(s); key != "" {
		return b.blocked[key]
	}
	return nil
}

// sort decides about what was given back. What has no key may go out again when its delay is over.
// The records of a key go out again when nothing of it is out any more and the longest delay is
// over, in order and before what comes after them.
func (b *Book[T]) sort() {
	if len(b.returns) == 0 && len(b.blocked) == 0 && len(b.naps) == 0 {
		return
	}
	b.block()
	now, next := b.clock(), time.Duration(0)
	sleeps := func(until time.Duration) bool {
		if until > now && (next == 0 || until < next) {
			next = until
		}
		return until > now
	}
	b.naps = slices.DeleteFunc(b.naps, func(p place[T]) bool {
		if sleeps(p.until) {
			return false
		}
		b.again.push(p)
		return true
	})
	for key, h := range b.blocked {
		h.waiting = slices.DeleteFunc(h.waiting, stale)
		until := time.Duration(0)
		for _, p := range h.waiting {
			until = max(until, p.until)
		}
		if len(h.waiting) > 0 && (sleeps(until) || h.out > 0) {
			continue
		}
		slices.SortFunc(h.waiting, func(x, y place[T]) int {
			return cmp.Or(cmp.Compare(x.w.serial, y.w.serial), cmp.Compare(x.n, y.n))
		})
		b.again.push(h.waiting...)
		delete(b.blocked, key)
	}
	b.wakeAt(next)
}

// block enters what was given back since the last time.
func (b *Book[T]) block() {
	entered := map[string]*holding[T]{}
	for _, p := range b.returns {
		if stale(p) {
			continue
		}
		key := b.key(p.w.at(p.n))
		if key == "" {
			b.naps = append(b.naps, p)
			continue
		}
		h := b.blocked[key]
		if h == nil {
			h = &holding[T]{}
			b.blocked[key], entered[key] = h, h
		}
		h.waiting = append(h.waiting, p)
	}
	clear(b.returns)
	b.returns = b.returns[:0]
	if len(entered) == 0 {
		return
	}
	b.again.remove(func(p place[T]) bool { // it comes after what was given back now, or before it
		if stale(p) {
			return true
		}
		h := entered[b.key(p.w.at(p.n))]
		if h != nil {
			h.waiting = append(h.waiting, p)
		}
		return h != nil
	})
	for _, w := range b.windows {
		for _, s := range w.all() {
			if s.state == out {
				if h := entered[b.key(s)]; h != nil {
					h.out++
				}
			}
		}
	}
}

// stale reports whether a record does not wait to go out again any more.
func stale[T any](p place[T]) bool {
	s := p.w.at(p.n)
	return s == nil || s.state != back || p.w.stopped
}

// purge forgets what does not wait any more.
func (b *Book[T]) purge() {
	b.returns = slices.DeleteFunc(b.returns, stale)
	b.naps = slices.DeleteFunc(b.naps, stale)
	b.again.remove(stale)
	for key, h := range b.blocked {
		if h.waiting = slices.DeleteFunc(h.waiting, stale); len(h.waiting) == 0 {
			delete(b.blocked, key)
		}
	}
}

// wakeAt makes Receive look at a time, and not at an earlier one that was set before; 0 is never.
func (b *Book[T]) wakeAt(at time.Duration) {
	if at == b.alarmAt {
		return
	}
	b.alarmAt = at
	switch d := at - b.clock(); {
	case at == 0:
		b.alarm.Stop()
	case b.alarm == nil:
		b.alarm = time.AfterFunc(d, func() {
			b.l.Lock()
			defer b.l.Unlock()
			b.alarmAt = 0
			b.Wake()
		})
	default:
		b.alarm.Reset(d)
	}
}

// lapse reports whether the lease of a record has ended by its time. Its records go no more, even
// before the adapter learns of that: all of the window, if the lease is the window's.
func (b *Book[T]) lapse(w *Window[T], n uint64, s *slot[T]) bool {
	switch {
	case !b.o.Timed:
		return false
	case s.d.Lease == w.lease:
		return w.lapse()
	case !s.d.Lease.Ended():
		return false
	case b.o.Acks != Each: // no single record can be taken out
		w.Stop()
		return true
	}
	b.lapsed = append(b.lapsed, b.lose(w, n)...)
	return true
}

// lapse stops the window if its own lease has ended, and reports whether it has.
func (w *Window[T]) lapse() bool {
	if !w.book.o.Timed || w.lease == nil || !w.lease.Ended() {
		return false
	}
	w.Stop()
	return true
}

// Lose takes a record whose lease is lost out of the book, and everything of its key that was
// pushed after it: those would overtake it. It returns the adapter's parts of these others, whose
// leases must end too. It is for streams whose records have a lease each, with [Each].
func (w *Window[T]) Lose(n uint64) (others []T) {
	b := w.book
	b.lapsed = append(b.lapsed, b.lose(w, n)...)
	others, b.lapsed = b.lapsed, nil
	return others
}

// lose is Lose for one record.
func (b *Book[T]) lose(w *Window[T], n uint64) (others []T) {
	s := w.open(n)
	if s == nil || b.o.Acks != Each {
		return nil
	}
	key := b.key(s)
	if key != "" {
		for m, later := range w.all() {
			if m > n && later.state < done && b.key(later) == key {
				others = append(others, later.of)
				w.remove(later)
				w.forget(m, later)
			}
		}
	}
	w.remove(s)
	w.forget(n, s)
	w.advance()
	b.madeRoom()
	return others
}
