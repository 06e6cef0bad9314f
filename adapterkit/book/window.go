package book

import (
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/leatgo/leat"
)

// Window is the records of one period of ownership, in the order in which they were pushed. Their
// numbers begin at 1 and have no gaps. The adapter's lock guards it.
//
// A window is a ring. With [Position] it grows to the distance from the oldest unfinished record to
// the newest one. Otherwise it grows to a few times MaxInFlight, and what is unfinished for longer
// than that is kept beside it.
type Window[T any] struct {
	acknowledgement[T]

	book   *Book[T]
	lease  *leat.Lease
	serial uint64    // orders windows by age
	ring   []slot[T] // its length is a power of two
	first  uint64    // the oldest number in it
	next   uint64    // the number that the next record gets
	fresh  uint64    // the oldest number that was not delivered yet

	stragglers map[uint64]*slot[T] // below first

	stopped bool // nothing of it is delivered any more
	ended   bool
	listed  bool // in the book's list of windows with something to deliver
}

// slot is a record in a window.
type slot[T any] struct {
	d     leat.Delivery // as it goes out; zero when it is finished
	of    T
	size  int
	state state
}

type state uint8

const (
	fresh state = iota // not delivered yet
	out                // delivered and not settled
	back               // given back, or held because an earlier one of its key was
	aside              // see Window.SetAside
	done               // finished
	acked              // and nobody needs to know of it any more
)

const (
	// roundBits is how much of a delivery's Tag says how often its record went out. The rest is its
	// number: enough for a million events a second for eight years.
	roundBits = 16
	roundMask = 1<<roundBits - 1

	leastRing = 64
)

// Push enters a record that arrived, and returns its number. It copies d, which has the event, or
// what is malformed, and everything else that goes out with it, except for Handle and Tag. Lease
// may be nil for the window's. size counts against MaxInFlightBytes. After [Window.End] it does
// nothing and returns 0.
func (w *Window[T]) Push(d *leat.Delivery, size int, of T) uint64 {
	if w.ended {
		return 0
	}
	b, n := w.book, w.grow()
	s := w.inRing(n)
	s.d, s.of, s.size, s.state = *d, of, size, fresh
	s.d.Handle, s.d.Tag = w, n<<roundBits
	if s.d.Lease == nil {
		s.d.Lease = w.lease
	}
	b.held++
	b.heldBytes += size
	if !w.listed && !w.stopped {
		w.listed = true
		b.ready = append(b.ready, w)
	}
	if b.waiting {
		b.Wake()
	}
	return n
}

// Skip enters something that is not a delivery as finished, such as the marker of a transaction.
func (w *Window[T]) Skip(of T) {
	if w.ended {
		return
	}
	n := w.grow()
	s := w.inRing(n)
	*s = slot[T]{of: of}
	w.settle(n, s)
}

// grow returns the next number, for which there is room in the ring then.
func (w *Window[T]) grow() uint64 {
	n := w.next
	if n-w.first == uint64(len(w.ring)) {
		half := w.first + uint64(len(w.ring)/2)
		if w.book.o.Acks == Position || len(w.ring) < w.book.longestRing() || w.fresh < half {
			ring := make([]slot[T], 2*len(w.ring))
			for n := w.first; n < w.next; n++ {
				ring[n&uint64(len(ring)-1)] = *w.inRing(n)
			}
			w.ring = ring
		} else {
			w.leaveBehind(half)
		}
	}
	w.next++
	return n
}

// leaveBehind moves what is needed of the beginning of the ring out of it.
func (w *Window[T]) leaveBehind(end uint64) {
	if w.stragglers == nil {
		w.stragglers = map[uint64]*slot[T]{}
	}
	for ; w.first < end; w.first++ {
		s := w.inRing(w.first)
		if s.state != acked {
			kept := *s
			w.stragglers[w.first] = &kept
		}
		*s = slot[T]{}
	}
}

// longestRing is how long a ring becomes, unless even more was never delivered.
func (b *Book[T]) longestRing() int {
	most := 4 * leastRing
	for most < 4*b.o.MaxInFlight {
		most *= 2
	}
	return most
}

func (w *Window[T]) inRing(n uint64) *slot[T] { return &w.ring[n&uint64(len(w.ring)-1)] }

// at returns the slot of a number, nil where there is none.
func (w *Window[T]) at(n uint64) *slot[T] {
	if w.first <= n && n < w.next {
		return w.inRing(n)
	}
	return w.stragglers[n]
}

// open returns the slot of a record that is not finished, nil for others.
func (w *Window[T]) open(n uint64) *slot[T] {
	if s := w.at(n); s != nil && s.state < done && !w.ended {
		return s
	}
	return nil
}

// Finish notes that a record is finished. It has no effect on one that is finished already.
func (w *Window[T]) Finish(n uint64) {
	s := w.open(n)
	if s == nil {
		return
	}
	w.remove(s)
	w.settle(n, s)
	w.book.madeRoom()
}

// Reject notes that a record is finished by a NativeReject. [Window.Collect] returns its number.
func (w *Window[T]) Reject(n uint64) {
	s := w.open(n)
	if s == nil {
		return
	}
	w.remove(s)
	w.reject(n, s)
	w.book.madeRoom()
}

// SetAside notes that a record is settled and not finished: the adapter does something with it, and
// calls Finish or GiveBack later. It does not count as delivered, and is still held.
func (w *Window[T]) SetAside(n uint64) {
	if s := w.open(n); s != nil {
		w.leave(s)
		s.state = aside
		w.book.madeRoom()
	}
}

// GiveBack makes a record go out again, after delay at the earliest. In a window that is stopped,
// and after [Book.Quiesce], it stays where it is.
func (w *Window[T]) GiveBack(n uint64, delay time.Duration) {
	s := w.open(n)
	if s == nil || s.state == fresh || s.state == back {
		return
	}
	w.leave(s)
	s.state = back
	b := w.book
	if !w.stopped && !b.quiet {
		p := place[T]{w: w, n: n}
		if delay = min(delay, b.o.LongestDelay); delay > 0 {
			p.until = b.clock() + delay
		}
		b.returns = append(b.returns, p)
		b.Wake()
	}
}

// leave takes a record out of what is out.
func (w *Window[T]) leave(s *slot[T]) {
	if s.state != out {
		return
	}
	b := w.book
	b.out--
	b.outBytes -= s.size
	if h := b.holding(s); h != nil {
		if h.out--; h.out == 0 {
			b.Wake()
		}
	}
}

// remove takes a record out of what is held.
func (w *Window[T]) remove(s *slot[T]) {
	w.leave(s)
	w.book.held--
	w.book.heldBytes -= s.size
	s.d = leat.Delivery{}
}

// madeRoom lets Receive go on where it found no room.
func (b *Book[T]) madeRoom() {
	if b.short {
		b.Wake()
	}
}

// Of returns the adapter's part of a record that is not finished, nil for others. The pointer is
// valid until the next Push.
func (w *Window[T]) Of(n uint64) *T {
	if s := w.open(n); s != nil {
		return &s.of
	}
	return nil
}

// Delivery returns the last delivery of a record that is not finished, nil for others. The pointer
// is valid until the next Push.
func (w *Window[T]) Delivery(n uint64) *leat.Delivery {
	if s := w.open(n); s != nil {
		return &s.d
	}
	return nil
}

// Next returns the number that the next record gets.
func (w *Window[T]) Next() uint64 { return w.next }

// Fresh returns how many records were not delivered yet.
func (w *Window[T]) Fresh() int { return int(w.next - w.fresh) }

// Sort sorts the records that were not delivered yet. It is for brokers that hand over what a
// consumer before held after newer messages. moved gets the new number of each record.
func (w *Window[T]) Sort(compare func(a, b T) int, moved func(of *T, n uint64)) {
	var waiting []slot[T]
	for n := w.fresh; n < w.next; n++ {
		waiting = append(waiting, *w.inRing(n))
	}
	slices.SortStableFunc(waiting, func(a, b slot[T]) int { return compare(a.of, b.of) })
	for i := range waiting {
		n := w.fresh + uint64(i)
		s := w.inRing(n)
		*s = waiting[i]
		if s.state == fresh {
			s.d.Tag = n << roundBits
			moved(&s.of, n)
		}
	}
}

// Unsettled returns the records that are not finished, oldest first, and whether each is out. They
// are what the adapter gives back to the broker when it ends the window.
func (w *Window[T]) Unsettled() iter.Seq2[T, bool] {
	return func(yield func(T, bool) bool) {
		for _, s := range w.all() {
			if s.state < done && !yield(s.of, s.state == out) {
				return
			}
		}
	}
}

// all returns the slots in order.
func (w *Window[T]) all() iter.Seq2[uint64, *slot[T]] {
	return func(yield func(uint64, *slot[T]) bool) {
		if len(w.stragglers) > 0 {
			for _, n := range slices.Sorted(maps.Keys(w.stragglers)) {
				if !yield(n, w.stragglers[n]) {
					return
				}
			}
		}
		for n := w.first; n < w.next; n++ {
			if !yield(n, w.inRing(n)) {
				return
			}
		}
	}
}

// Oldest returns the oldest record that is not finished; ok is false where all are.
func (w *Window[T]) Oldest() (of T, ok bool) {
	for of := range w.Unsettled() {
		return of, true
	}
	return of, false
}

// Stop ends deliveries of the window: its lease drains. Settlements still count.
func (w *Window[T]) Stop() {
	if w.stopped {
		return
	}
	w.stopped = true // Fill takes it out of ready
	w.book.purge()
}

// Stopped reports whether nothing of the window is delivered any more.
func (w *Window[T]) Stopped() bool { return w.stopped }

// Ended reports whether the window has ended.
func (w *Window[T]) Ended() bool { return w.ended }

// End ends the window: no settlement of its records has an effect any more. Call it before the
// lease ends, and End of the lease without the lock. What is not settled is forgotten; see
// [Window.Unsettled].
func (w *Window[T]) End() {
	if w.ended {
		return
	}
	w.Stop()
	for _, s := range w.all() {
		if s.state < done {
			w.remove(s)
		}
	}
	w.ended = true
	w.ring, w.stragglers, w.rejected = w.ring[:1:1], nil, nil
	w.ring[0] = slot[T]{}
	w.first, w.fresh, w.newest, w.unacked = w.next, w.next, w.next, 0
	b := w.book
	b.windows = slices.DeleteFunc(b.windows, func(other *Window[T]) bool { return other == w })
	b.Wake()
}
