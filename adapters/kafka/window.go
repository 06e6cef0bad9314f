package kafka

import (
	"cmp"

	"github.com/leatgo/leat"
)

// window is what a stream knows of the records of one partition that it has delivered and whose offsets cannot be committed yet, in
// offset order, oldest first. It is a ring that grows. A record's number counts deliveries since the partition was assigned: unlike
// offsets, numbers have no gaps.
type window struct {
	ring   []slot // its length is a power of two
	first  uint64 // the number of the oldest
	next   uint64 // the number that the next record gets
	newest uint64 // one more than the number of the newest that is done; no more than first when there is none
	// The offset below which everything is done, and the leader epoch of the last record below it, as Kafka commits them.
	watermark int64
	epoch     int32
	last      int64  // the offset of the newest record
	settled   uint64 // how many are done
}

// slot is a record in a window.
type slot struct {
	event     leat.Event      // to be delivered again if it is given back; none when it is done
	malformed *leat.Malformed // instead of it
	recordKey string          // where the event has no key of its own
	trace     *leat.TraceContext
	size      int
	offset    int64
	before    int64 // how many offsets below that belong to it: more than 0 only for records that cannot be read
	epoch     int32
	round     uint8 // how often it was delivered, to tell settlements of different deliveries apart
	state     slotState
}

// key is the key that order is kept by: the event's, else the record's.
func (s *slot) key() string { return cmp.Or(s.event.Key(), s.recordKey) }

type slotState uint8

const (
	slotOut  slotState = iota // delivered and not settled
	slotBack                  // given back, or held because an earlier one of its key was
	slotDone
)

func newWindow() window { return window{ring: make([]slot, 64), watermark: -1, epoch: -1, last: -1} }

// push appends a record and returns its number.
func (w *window) push(s slot) uint64 {
	if w.next-w.first == uint64(len(w.ring)) {
		ring := make([]slot, 2*len(w.ring))
		for n := w.first; n < w.next; n++ {
			ring[n&uint64(len(ring)-1)] = *w.at(n)
		}
		w.ring = ring
	}
	n := w.next
	w.next++
	w.last = s.offset
	*w.at(n) = s
	return n
}

// at returns the slot of a number in the window.
func (w *window) at(n uint64) *slot { return &w.ring[n&uint64(len(w.ring)-1)] }

// has reports whether a number is in the window.
func (w *window) has(n uint64) bool { return w.first <= n && n < w.next }

// finish marks a record as done, and moves the watermark over all that are done.
func (w *window) finish(n uint64) {
	s := w.at(n)
	s.state, s.event, s.malformed, s.recordKey = slotDone, leat.Event{}, nil, ""
	s.trace = nil
	w.newest = max(w.newest, n+1)
	w.settled++
	for w.first < w.next {
		s := w.at(w.first)
		if s.state != slotDone {
			break
		}
		w.watermark, w.epoch = s.offset+1, s.epoch
		w.first++
	}
}

// position is the watermark or, while there is none, where the window begins; -1 for an empty one.
func (w *window) position() int64 {
	if w.watermark < 0 && w.first < w.next {
		return w.at(w.first).offset - w.at(w.first).before
	}
	return w.watermark
}

// skipTo moves the watermark of an empty window to an offset below which everything is finished.
func (w *window) skipTo(offset int64, epoch int32) {
	if w.first == w.next && w.watermark < offset {
		w.watermark, w.epoch = offset, max(w.epoch, epoch)
		w.settled++
	}
}

// done returns the offsets above the oldest record that is not done at which the records are, and the latest leader epoch of them. Offsets
// without a record between two that are done belong to them, and so do those before one behind a record that is not done. A log that was
// truncated, whose offsets come again, has none.
func (w *window) done() (above spans, epoch int32) {
	epoch = -1
	if w.gap() == 0 {
		return nil, epoch
	}
	before := w.at(w.first).offset
	for n := w.first + 1; n < w.newest; n++ {
		s := w.at(n)
		if s.offset <= before {
			return nil, -1
		}
		if s.state == slotDone {
			above, epoch = above.add(span{before + 1, s.offset + 1}), max(epoch, s.epoch)
		}
		before = s.offset
	}
	return above, epoch
}

// gap is how many records lie between the oldest that is not done and the newest that is.
func (w *window) gap() int {
	if w.newest <= w.first {
		return 0
	}
	return int(w.newest - w.first)
}

// clear forgets the records, but not the watermark.
func (w *window) clear() { w.ring, w.first, w.newest = w.ring[:1:1], w.next, w.next }
