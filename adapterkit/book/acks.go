package book

import (
	"time"
)

// acknowledgement is what a window keeps of what is finished.
type acknowledgement[T any] struct {
	newest  uint64 // one more than the newest number that is finished; no more than first when there is none
	settled uint64 // how many are finished

	mark   T // of the record below which everything is finished
	marked bool

	rejected []uint64
	unacked  int       // finished and not collected
	moved    time.Time // when something began to wait behind an unfinished one, or the oldest unfinished one changed
}

// settle notes that a record, which is not held any more, is finished.
func (w *Window[T]) settle(n uint64, s *slot[T]) {
	w.newest = max(w.newest, n+1)
	w.settled++
	switch w.book.o.Acks {
	case Position:
		s.state = done
		w.advance()
	case Ranges:
		var none T
		s.state, s.of = done, none
		if w.unacked == 0 {
			w.moved = time.Now()
		}
		w.unacked++
	default:
		w.forget(n, s)
		w.advance()
	}
}

// reject notes that a record is finished by a NativeReject.
func (w *Window[T]) reject(n uint64, s *slot[T]) {
	if w.book.o.Acks != Ranges {
		w.settle(n, s)
		return
	}
	w.newest = max(w.newest, n+1)
	w.settled++
	w.rejected = append(w.rejected, n)
	w.forget(n, s)
}

// forget marks a record as one that nobody needs to know of any more.
func (w *Window[T]) forget(n uint64, s *slot[T]) {
	*s = slot[T]{state: acked}
	if n < w.first {
		delete(w.stragglers, n)
	}
}

// advance takes what is finished out of the beginning of the ring.
func (w *Window[T]) advance() {
	for w.first < w.next {
		s := w.inRing(w.first)
		if s.state < done {
			break
		}
		if s.state == done {
			w.mark, w.marked = s.of, true
		}
		*s = slot[T]{}
		w.first++
	}
	w.fresh = max(w.fresh, w.first)
}

// Watermark returns the record up to which everything is finished, as far as it was in this window.
// It is for [Position].
func (w *Window[T]) Watermark() (of T, ok bool) { return w.mark, w.marked }

// Settled counts the records that are finished, so that the adapter sees whether there is something
// new to commit.
func (w *Window[T]) Settled() uint64 { return w.settled }

// Gap returns how many records lie between the oldest that is not finished and the newest that is.
// The ring holds them all with [Position], so the adapter stops to fetch at a limit.
func (w *Window[T]) Gap() int {
	if w.newest <= w.first {
		return 0
	}
	return int(w.newest - w.first)
}

// Above calls yield for each record from the oldest that is not finished to the newest that is, in
// order, with whether it is finished. It is for [Position].
func (w *Window[T]) Above(yield func(of T, finished bool) bool) {
	for n := w.first; n < w.newest; n++ {
		if s := w.inRing(n); !yield(s.of, s.state >= done) {
			return
		}
	}
}

// Collected is what the broker is to be told of a window: first the numbers to reject, then
// everything up to a number, unless that is 0, and single numbers.
type Collected struct {
	Rejects []uint64
	UpTo    uint64
	Ones    []uint64
	Count   int // how many records that are
}

// Collect takes what can be acknowledged, with [Ranges]. Everything below the oldest unfinished
// record goes at once. What is finished above it goes one by one, where ones is set. UpTo is a
// number that was not collected before: RabbitMQ would take everything that it has for another one.
func (w *Window[T]) Collect(ones bool) (c Collected) {
	c.Rejects, w.rejected = w.rejected, nil
	c.Count = len(c.Rejects)
	multiple, before := 0, w.first
	for len(w.stragglers) == 0 && w.first < w.next {
		s := w.inRing(w.first)
		if s.state < done {
			break
		}
		if s.state == done {
			c.UpTo = w.first
			multiple++
		}
		*s = slot[T]{}
		w.first++
	}
	w.fresh = max(w.fresh, w.first)
	w.unacked -= multiple
	c.Count += multiple
	if w.first > before {
		w.moved = time.Now()
	}
	if ones && w.unacked > 0 {
		c.Ones = w.single()
		w.unacked -= len(c.Ones)
		c.Count += len(c.Ones)
		w.moved = time.Now()
	}
	return c
}

// single takes what is finished above an unfinished record.
func (w *Window[T]) single() (ones []uint64) {
	for n, s := range w.stragglers {
		if s.state == done {
			delete(w.stragglers, n)
			ones = append(ones, n)
		}
	}
	for n := w.first; n < w.fresh && len(ones) < w.unacked; n++ {
		if s := w.inRing(n); s.state == done {
			s.state = acked
			ones = append(ones, n)
		}
	}
	return ones
}

// Uncollected returns how many records are finished and not collected, and since when some of them
// have waited behind the same unfinished one.
func (w *Window[T]) Uncollected() (n int, since time.Time) { return w.unacked, w.moved }
