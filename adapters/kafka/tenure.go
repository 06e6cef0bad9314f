package kafka

import (
	"slices"

	"github.com/leatgo/leat"
	"github.com/twmb/franz-go/pkg/kgo"
)

// tenure is the time for which the stream has a partition. Stream.mu guards it.
type tenure struct {
	partition int32
	lease     *leat.Lease
	window    window
	begin     int64 // where the group had come to before; -1 where that is not known, or was compared already
	committed int64 // the offset that the group has committed, as far as the stream knows; -1 for none
	tried     int64 // the offset of the last commit, which may have arrived though no answer came
	passed    int64 // the offset behind the last records that could not be read
	draining  bool  // nothing of it is delivered any more
	ended     bool
	paused    bool    // its gap is at the limit
	aside     []chunk // polled and not delivered, while paused
}

// progress is how far a tenure had come when it ended.
type progress struct {
	committed int64 // as in the tenure
	tried     int64 // the same
	watermark int64 // everything below was settled
	epoch     int32 // of the last record below
}

// uncommitted reports whether something is finished and not committed. The lock is held.
func (t *tenure) uncommitted() bool {
	return t.window.watermark >= 0 && t.window.watermark != t.committed // it goes back where the log was truncated
}

// chunk is polled records of one partition, or what stands in their place.
type chunk struct {
	tenure  *tenure
	records []*kgo.Record
	bad     *unreadable
}

// len is how many deliveries are in the chunk.
func (c *chunk) len() int {
	if c.bad != nil {
		return 1
	}
	return len(c.records)
}

// begin makes the tenure of a partition. The lock is held.
func (s *Stream) begin(partition int32) {
	s.tenures[partition] = &tenure{partition: partition, lease: leat.NewLease(), window: newWindow(), begin: -1, committed: -1, tried: -1}
}

// setAside takes what was polled of a partition out of the way of the others, while it is paused. The lock is held.
func (s *Stream) setAside(t *tenure) {
	s.polled = slices.DeleteFunc(s.polled, func(c chunk) bool {
		if c.tenure != t {
			return false
		}
		s.queued -= c.len()
		t.aside = append(t.aside, c)
		return true
	})
}

// bringBack undoes setAside: what was polled before the pause comes before what is polled after it. The lock is held.
func (s *Stream) bringBack(t *tenure) {
	for _, c := range t.aside {
		s.queued += c.len()
	}
	s.polled = append(t.aside, s.polled...)
	t.aside = nil
}

// stop marks tenures, so that nothing of them is delivered any more, and drops what was not delivered yet. The lock is held.
func (s *Stream) stop(tenures []*tenure) {
	for _, t := range tenures {
		t.draining, t.aside = true, nil
	}
	s.queued = 0
	s.polled = slices.DeleteFunc(s.polled, func(c chunk) bool {
		if !c.tenure.draining {
			s.queued += c.len()
		}
		return c.tenure.draining
	})
	ofDraining := func(r returned) bool { return r.tenure.draining }
	s.returns = slices.DeleteFunc(s.returns, ofDraining)
	s.again = slices.DeleteFunc(s.again, ofDraining)
	s.held = len(s.again)
	for key, h := range s.blocked {
		h.waiting = slices.DeleteFunc(h.waiting, ofDraining)
		s.held += len(h.waiting)
		if len(h.waiting) == 0 { // nothing of the key is held back any more
			delete(s.blocked, key)
		}
	}
}

// end ends tenures: settlements have no effect any more. It returns, for each, the offset of the oldest record that is out, or -1. The
// lock is held.
func (s *Stream) end(tenures []*tenure) []int64 {
	s.stop(tenures)
	oldest := make([]int64, len(tenures))
	for i, t := range tenures {
		oldest[i] = -1
		t.ended = true
		for n := t.window.next; n > t.window.first; n-- {
			if slot := t.window.at(n - 1); slot.state == slotOut {
				s.events--
				s.bytes -= slot.size
				if h := s.holding(slot.key()); h != nil { // of another partition, where a key has moved
					h.out--
				}
				oldest[i] = slot.offset
			}
		}
		if t.window.watermark >= 0 { // else it has not come to anything, and an earlier one may have
			s.progress[t.partition] = progress{t.committed, t.tried, t.window.watermark, t.window.epoch}
		}
		t.window.clear()
		if s.tenures[t.partition] == t {
			delete(s.tenures, t.partition)
		}
		s.ill.forget(t.partition)
	}
	s.wake()
	return oldest
}

// all returns the tenures. The lock is held.
func (s *Stream) all() []*tenure {
	tenures := make([]*tenure, 0, len(s.tenures))
	for _, t := range s.tenures {
		tenures = append(tenures, t)
	}
	return tenures
}
