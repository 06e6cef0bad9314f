package book

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/leatgo/leat"
)

// Options configures a [Book]. The limits are required; the zero value of every other field works.
type Options struct {
	// Topic names the topic in errors.
	Topic string
	// MaxInFlight and MaxInFlightBytes are the subscription's limits, with their defaults filled
	// in.
	MaxInFlight, MaxInFlightBytes int
	// LongestDelay caps the delay of a GiveBack, as in the stream's Capabilities. 0 ignores delays.
	LongestDelay time.Duration
	// Acks says how the broker learns what is settled.
	Acks Acks
	// Unordered treats every record as one without a key.
	Unordered bool
	// KeylessLeave makes a record without a key leave the book when it is given back: the adapter
	// gives it back to the broker. Records with a key wait in the book in any case, since brokers
	// put what comes back behind newer messages.
	KeylessLeave bool
	// NativeReject says that the stream's Capabilities have NativeReject. Without it that
	// settlement has no effect.
	NativeReject bool
	// Timed says that leases may end by time alone, as those of [leat.TimedLeases] do. The book
	// then asks each lease before it delivers and before it settles.
	Timed bool
	// Wake is called when a Receive of the adapter's own should look again, with the lock held.
	// Leave it nil where the adapter uses [Book.Receive].
	Wake func()
}

// Acks is how a broker learns what is settled.
type Acks uint8

const (
	// Each means one record at a time: [Book.Settle] returns what the adapter tells the broker, and
	// the book forgets the record.
	Each Acks = iota
	// Position means one position for each window, below which everything is finished. The book
	// keeps what is finished above it; see [Window.Watermark], [Window.Gap] and [Window.Above].
	Position
	// Ranges means everything up to a number at once, and single numbers above it; see
	// [Window.Collect].
	Ranges
)

// Book is what a stream knows of its records in flight. The adapter's lock guards it; see the
// package comment.
type Book[T any] struct {
	giveBacks[T]

	o       Options
	l       sync.Locker
	signal  chan struct{} // holds a token when Receive should look again
	shut    error         // what Receive returns; nil while the stream is open
	quiet   bool
	waiting bool // Receive waits
	short   bool // the last Fill left something for which there was no room

	windows []*Window[T]
	serial  uint64 // of the last window
	ready   []*Window[T]
	lapsed  []T // of records that were lost with others

	out, outBytes   int // delivered and not settled
	held, heldBytes int // pushed and not finished
}

// New returns a Book that l guards.
func New[T any](l sync.Locker, o Options) *Book[T] {
	b := &Book[T]{o: o, l: l, signal: make(chan struct{}, 1)}
	b.epoch = time.Now()
	b.blocked = map[string]*holding[T]{}
	return b
}

// Open begins a period of ownership. lease is the one of its records, and may be nil where each
// record has its own.
func (b *Book[T]) Open(lease *leat.Lease) *Window[T] {
	b.serial++
	w := &Window[T]{book: b, lease: lease, serial: b.serial, first: 1, next: 1, fresh: 1, ring: make([]slot[T], leastRing)}
	b.windows = append(b.windows, w)
	return w
}

// Receive implements [leat.Stream]: it waits until there is something to deliver. It takes the
// lock. When ctx ends it returns an error with [leat.CodeCanceled], and after [Book.Shut] the error
// given there.
func (b *Book[T]) Receive(ctx context.Context, into []leat.Delivery) (int, error) {
	if len(into) == 0 {
		return 0, &leat.Error{Op: "receive", Topic: b.o.Topic, Code: leat.CodeInvalid, Err: errNoRoom}
	}
	for {
		if err := ctx.Err(); err != nil {
			return 0, &leat.Error{Op: "receive", Topic: b.o.Topic, Code: leat.CodeCanceled, Err: err}
		}
		b.l.Lock()
		n, err := 0, b.shut
		if err == nil {
			n = b.Fill(into)
		}
		b.waiting = n == 0 && err == nil
		b.l.Unlock()
		if n > 0 || err != nil {
			return n, err
		}
		select {
		case <-b.signal:
		case <-ctx.Done():
		}
	}
}

var errNoRoom = errors.New("no room to receive into")

// Fill delivers what there is and the limits allow, from the start of into, and returns how much
// that is. It does not wait.
func (b *Book[T]) Fill(into []leat.Delivery) (n int) {
	b.sort()
	b.short = false
	for n < len(into) && b.again.len() > 0 {
		p := *b.again.first()
		s := p.w.at(p.n)
		switch {
		case stale(p):
			b.again.pop()
		case b.lapse(p.w, p.n, s): // takes it out
		case !b.fits(s):
			b.short = true
			return n
		default:
			b.again.pop()
			b.deliver(&into[n], s)
			n++
		}
	}
	used := 0
	for ; n < len(into) && used < len(b.ready); used++ {
		w := b.ready[used]
		n += b.fillFrom(w, into[n:])
		if w.fresh < w.next && !w.stopped { // no room, in into or in the limits
			break
		}
		w.listed = false
	}
	b.ready = slices.Delete(b.ready, 0, used)
	if len(b.ready) > 1 { // the next Fill begins with another window
		b.ready = append(b.ready[1:], b.ready[0])
	}
	return n
}

// fillFrom delivers records of a window that were not delivered yet.
func (b *Book[T]) fillFrom(w *Window[T], into []leat.Delivery) (n int) {
	if w.lapse() {
		return 0
	}
	for n < len(into) && w.fresh < w.next && !w.stopped {
		s := w.inRing(w.fresh)
		if s.state != fresh {
			w.fresh++
			continue
		}
		if s.d.Lease != w.lease && b.lapse(w, w.fresh, s) {
			continue
		}
		if h := b.holding(s); h != nil {
			s.state = back
			h.waiting = append(h.waiting, place[T]{w: w, n: w.fresh})
			w.fresh++
			continue
		}
		if !b.fits(s) {
			b.short = true
			return n
		}
		w.fresh++
		b.deliver(&into[n], s)
		n++
	}
	return n
}

// fits reports whether the limits leave room for a record (R5).
func (b *Book[T]) fits(s *slot[T]) bool {
	return b.out == 0 || b.out < b.o.MaxInFlight && b.outBytes+s.size <= b.o.MaxInFlightBytes
}

// deliver makes a delivery of a record, in a new round.
func (b *Book[T]) deliver(d *leat.Delivery, s *slot[T]) {
	s.state = out
	s.d.Tag = s.d.Tag&^roundMask | (s.d.Tag+1)&roundMask
	*d = s.d
	b.out++
	b.outBytes += s.size
}

// Effect is what a settlement did.
type Effect uint8

const (
	// None means nothing: the settlement is not the delivery's first, its lease has ended, or the
	// stream does not support it.
	None Effect = iota
	// Acked means that the record is finished. With [Each], the adapter acks it to the broker.
	Acked
	// GivenBack means that the record waits in the book to go out again.
	GivenBack
	// Returned means that the record has left the book, and the adapter gives it back to the
	// broker.
	Returned
	// Rejected means that the record is finished, and the broker's dead-letter mechanism gets it.
	Rejected
)

// Settle settles a delivery, and returns the adapter's part of its record. Deliveries of other
// streams have no effect.
func (b *Book[T]) Settle(d *leat.Delivery, how leat.Settlement) (of T, e Effect) {
	w, n, ok := b.Find(d)
	if !ok {
		return of, None
	}
	s := w.at(n)
	of = s.of
	switch {
	case how.Action == leat.Ack:
		w.Finish(n)
		return of, Acked
	case how.Action == leat.GiveBack && b.o.KeylessLeave && !b.quiet && b.key(s) == "":
		w.Finish(n)
		return of, Returned
	case how.Action == leat.GiveBack:
		w.GiveBack(n, how.Delay)
		return of, GivenBack
	case how.Action == leat.NativeReject && b.o.NativeReject:
		w.Reject(n)
		return of, Rejected
	}
	return of, None
}

// Find returns where the record of a delivery is, as long as a settlement of that delivery has an
// effect. It is for adapters that do more with a settlement than [Book.Settle].
func (b *Book[T]) Find(d *leat.Delivery) (w *Window[T], number uint64, ok bool) {
	w, ok = d.Handle.(*Window[T])
	if !ok || w.book != b || w.ended {
		return nil, 0, false
	}
	number = d.Tag >> roundBits
	s := w.at(number)
	if s == nil || s.state != out || s.d.Tag != d.Tag || b.lapse(w, number, s) {
		return nil, 0, false
	}
	return w, number, true
}

// key is the key that order is kept by: the event's, else the transport's.
func (b *Book[T]) key(s *slot[T]) string {
	if b.o.Unordered {
		return ""
	}
	return cmp.Or(s.d.Event.Key(), s.d.Key)
}

// Out returns how many records are delivered and not settled, and their bytes.
func (b *Book[T]) Out() (events, bytes int) { return b.out, b.outBytes }

// Held returns how many records are pushed and not finished, and their bytes: those that are out,
// that wait to go out, and that were set aside.
func (b *Book[T]) Held() (events, bytes int) { return b.held, b.heldBytes }

// Room returns how many events and bytes the adapter may fetch, requests under way not counted. One
// event of any size may come when nothing is held.
func (b *Book[T]) Room() (events, bytes int) {
	return b.o.MaxInFlight - b.held, b.o.MaxInFlightBytes - b.heldBytes
}

// Short reports whether the last Fill left a record for which the limits have no room.
func (b *Book[T]) Short() bool { return b.short }

// Waiting reports whether [Book.Receive] waits for something to deliver.
func (b *Book[T]) Waiting() bool { return b.waiting }

// Wake makes Receive look again.
func (b *Book[T]) Wake() {
	if b.o.Wake != nil {
		b.o.Wake()
		return
	}
	select {
	case b.signal <- struct{}{}:
	default:
	}
}

// Quiesce notes that Receive will not be called again (Q1). From now on what is given back stays
// where it is, without its delay, until its window ends.
func (b *Book[T]) Quiesce() { b.quiet = true }

// Shut makes Receive return err from now on; the first call counts. The adapter ends the windows by
// itself.
func (b *Book[T]) Shut(err error) {
	if b.shut == nil {
		b.shut = err
	}
	b.wakeAt(0)
	b.Wake()
}
