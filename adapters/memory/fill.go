package memory

import "github.com/leatgo/leat"

// turn is how many events a fill takes from the shared queue, or from one slot, before it goes on
// to the next.
const turn = 8

// filler fills the deliveries of one Receive.
type filler struct {
	into     []leat.Delivery // no longer than MaxInFlight allows
	n        int
	bytes    int  // of into[:n]
	room     int  // bytes that may still be taken
	binds    bool // something is in flight, so that room counts
	exceeded bool // the next event does not fit into room
}

// fill delivers what waits for the stream, under the lock. short says that nothing came since too
// much is in flight.
func (s *Stream) fill(into []leat.Delivery, load uint64) (n int, short bool) {
	flying := int(load >> loadShift)
	if flying >= s.maxEvents {
		return 0, true
	}
	f := filler{into: into[:min(len(into), s.maxEvents-flying)], room: s.maxBytes - int(load&loadMask), binds: flying > 0}
	for barren := 0; barren < 2 && f.n < len(f.into) && !f.exceeded; {
		before := f.n
		if s.slotsFirst {
			s.fillFromSlot(&f)
		} else if s.shared != nil && s.shared.phase == held {
			f.take(s.shared, &s.group.shared)
		}
		s.slotsFirst = !s.slotsFirst
		if barren++; f.n > before {
			barren = 0
		}
	}
	if f.n == 0 {
		return 0, f.exceeded
	}
	s.load.Add(uint64(f.n)<<loadShift + uint64(f.bytes))
	s.group.queued -= f.n
	s.group.queuedBytes -= f.bytes
	return f.n, false
}

// fillFromSlot takes from the first slot in the ready list that has something, and puts it behind
// the others while it has more.
func (s *Stream) fillFromSlot(f *filler) {
	for s.ready.n > 0 {
		tn := *s.ready.at(0)
		if !tn.deliverable() { // it is on its way to another stream, or blocked
			s.ready.pop()
			tn.listed = false
			continue
		}
		before := f.n
		f.take(tn, &tn.slot.queue)
		if tn.slot.queue.empty() {
			s.ready.pop()
			tn.listed = false
		} else if f.n > before {
			s.ready.push(s.ready.pop())
		}
		return
	}
}

// take delivers up to one turn of events from a queue.
func (f *filler) take(tn *tenure, q *queue) {
	p := &tn.stream.group.topic.pool
	for end := min(f.n+turn, len(f.into)); f.n < end && !q.empty(); {
		size := q.peek().bytes()
		if f.binds && size > f.room {
			f.exceeded = true
			return
		}
		e := q.pop()
		gen := e.state.Load()>>stateBits + 1
		e.state.Store(gen<<stateBits | stateHeld)
		e.tenure = tn
		e.deliveries++
		tn.flight.add(p, e, gen)
		d := &f.into[f.n]
		e.describe(d)
		d.Lease, d.Handle, d.Tag = tn.lease, e, gen
		f.n++
		f.bytes += size
		f.room -= size
		f.binds = true
	}
}

// describe fills in what a delivery says of the entry.
func (e *entry) describe(d *leat.Delivery) {
	d.Event, d.Malformed, d.Key, d.Trace = e.event, e.raw, "", e.trace
	if e.raw != nil && !e.event.IsZero() {
		d.Malformed, d.Key = nil, transportKey(e.event, e.raw)
	}
	d.Deliveries, d.Position = e.deliveries, leat.Position{Offset: int64(e.seq)}
}

// transportKey is the key of the message that an event was made of, where the event has none.
func transportKey(e leat.Event, raw *leat.Malformed) string {
	if e.Key() != "" {
		return ""
	}
	return string(raw.Key)
}
