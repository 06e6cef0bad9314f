package rabbitmq

import (
	"cmp"
	"time"

	"github.com/leatgo/leat"
)

// window is what a stream knows of the messages that came by one channel and are not acknowledged to the broker, by delivery tag. The
// tags of a channel with one consumer have no gaps. The window is a ring that grows to a few times the prefetch; what is unfinished
// for so long that it would have to grow further is kept beside it.
type window struct {
	ring  []slot // its length is a power of two
	most  int    // how long it may become
	first uint64 // the oldest tag in it
	next  uint64 // the tag that the next message gets
	fresh uint64 // the oldest tag that was not delivered yet

	stragglers map[uint64]*slot // unfinished, below first
	rejected   []uint64         // to be rejected
	unacked    int              // finished and not acknowledged
	moved      time.Time        // when something began to wait behind an unfinished one, or the oldest unfinished one changed
}

// slot is a message in a window.
type slot struct {
	event      leat.Event
	malformed  *leat.Malformed // instead of it
	messageKey string          // where the event has no key of its own
	trace      *leat.TraceContext
	came       time.Time
	size       int
	deliveries int    // by the broker
	notBefore  int64  // Unix nanoseconds, of one that was given back with a delay
	round      uint32 // how often it was delivered, to tell settlements of different deliveries apart
	state      slotState
}

// key is the key that order is kept by: the event's, else the message's.
func (s *slot) key() string { return cmp.Or(s.event.Key(), s.messageKey) }

type slotState uint8

const (
	slotFresh slotState = iota // not delivered yet
	slotOut                    // delivered and not settled
	slotBack                   // given back, or held because an earlier one of its key was
	slotMoved                  // on its way to a queue where it waits for its delay
	slotDone                   // finished
	slotAcked                  // and acknowledged by itself, or rejected
)

func newWindow(prefetch int) window {
	w := window{first: 1, next: 1, fresh: 1, ring: make([]slot, 64), most: 256}
	for w.most < 4*prefetch {
		w.most *= 2
	}
	return w
}

// push appends a message. Its tag is the next one.
func (w *window) push(s slot) {
	if w.next-w.first == uint64(len(w.ring)) {
		w.grow()
	}
	*w.inRing(w.next) = s
	w.next++
}

// grow makes room: a longer ring, or, where it is long enough, one without its beginning. What is finished there is acknowledged before.
func (w *window) grow() {
	if len(w.ring) < w.most {
		ring := make([]slot, 2*len(w.ring))
		for n := w.first; n < w.next; n++ {
			ring[n&uint64(len(ring)-1)] = *w.inRing(n)
		}
		w.ring = ring
		return
	}
	if w.stragglers == nil {
		w.stragglers = map[uint64]*slot{}
	}
	for end := w.first + uint64(len(w.ring)/2); w.first < end; w.first++ {
		s := w.inRing(w.first)
		if s.state != slotAcked { // finished and not acknowledged ones included
			kept := *s
			w.stragglers[w.first] = &kept
		}
		*s = slot{}
	}
}

func (w *window) inRing(tag uint64) *slot { return &w.ring[tag&uint64(len(w.ring)-1)] }

// at returns the slot of a tag, nil where there is none.
func (w *window) at(tag uint64) *slot {
	if w.first <= tag && tag < w.next {
		return w.inRing(tag)
	}
	return w.stragglers[tag]
}

// finish marks a message as done.
func (w *window) finish(s *slot, now time.Time) {
	s.state = slotDone
	s.forget()
	if w.unacked == 0 {
		w.moved = now
	}
	w.unacked++
}

// forget lets go of what was delivered.
func (s *slot) forget() { s.event, s.malformed, s.messageKey, s.trace = leat.Event{}, nil, "", nil }

// reject marks a message as rejected. That is told before anything above it is acknowledged.
func (w *window) reject(tag uint64, s *slot) {
	s.state = slotAcked
	s.forget()
	w.rejected = append(w.rejected, tag)
	delete(w.stragglers, tag)
}

// acks is what to acknowledge: tags to reject, then everything up to a tag, unless that is 0, and tags by themselves.
type acks struct {
	rejects []uint64
	upTo    uint64
	ones    []uint64
	count   int
}

// collect takes what can be acknowledged. Everything up to the oldest unfinished message goes at once. What is finished above that goes one
// by one, when ones is set. The tag of a multiple acknowledgement is one that the broker still waits for: for another one, RabbitMQ
// would take everything it has.
func (w *window) collect(ones bool, now time.Time) (a acks) {
	a.rejects, w.rejected = w.rejected, nil
	a.count = len(a.rejects)
	multiple := 0
	for len(w.stragglers) == 0 && w.first < w.next {
		s := w.inRing(w.first)
		if s.state != slotDone && s.state != slotAcked {
			break
		}
		if s.state == slotDone {
			a.upTo = w.first
			multiple++
		}
		*s = slot{}
		w.first++
		w.moved = now
	}
	w.unacked -= multiple
	a.count += multiple
	if !ones || w.unacked == 0 {
		return a
	}
	for tag, s := range w.stragglers {
		if s.state == slotDone {
			delete(w.stragglers, tag)
			a.ones = append(a.ones, tag)
		}
	}
	for tag := w.first; tag < w.fresh && len(a.ones) < w.unacked; tag++ {
		if s := w.inRing(tag); s.state == slotDone {
			s.state = slotAcked
			a.ones = append(a.ones, tag)
		}
	}
	w.unacked -= len(a.ones)
	a.count += len(a.ones)
	w.moved = now
	return a
}

// oldest returns since when the oldest unfinished message is here.
func (w *window) oldest() (time.Time, bool) {
	var oldest time.Time
	for _, s := range w.stragglers {
		if s.state < slotDone && (oldest.IsZero() || s.came.Before(oldest)) {
			oldest = s.came
		}
	}
	if !oldest.IsZero() {
		return oldest, true
	}
	for tag := w.first; tag < w.next; tag++ {
		if s := w.inRing(tag); s.state < slotDone {
			return s.came, true
		}
	}
	return oldest, false
}
