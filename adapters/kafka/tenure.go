package kafka

import (
	"slices"
	"time"

	"github.com/leatgo/leat"
	"github.com/twmb/franz-go/pkg/kgo"
)

// tenure is the time for which the stream has a partition. Stream.mu guards it.
type tenure struct {
	partition  int32
	topic      topicID // zero where it is not known
	lease      *leat.Lease
	timed      *leat.TimedLease // that the lease belongs to; nil for a plain one
	drained    func()           // ends the wait for the lease's drain; nil while it does not drain
	window     window
	begin      int64  // where the group had come to before; -1 where that is not known, or was compared already
	committed  commit // what the group has committed, as far as the stream knows
	tried      commit // the last commit, which may have arrived though no answer came
	above      spans  // offsets that were finished in an earlier tenure: above the watermark, and not delivered again
	aboveEpoch int32  // no record of above is of a later leader epoch
	counted    uint64 // window.settled at the last commit
	passed     int64  // the offset behind the last records that could not be read
	next       int64  // where the client is; -1 where that is not known
	seen       int64  // the same at the last look for stalls
	behind     int64  // the same at the last look that found records there
	asked      bool   // the client has asked for the group's offset
	placed     bool   // and has got it
	rest       time.Time
	draining   bool // nothing of it is delivered any more
	ended      bool
	suspended  bool // the session may be over: nothing is delivered until the group has answered
	rewind     bool // the client is to go back to from then
	from       kgo.EpochOffset
	paused     bool    // its gap is at the limit
	aside      []chunk // polled and not delivered, while paused
}

// progress is how far a tenure had come when it ended.
type progress struct {
	committed  commit // as in the tenure
	tried      commit // the same
	watermark  int64  // everything below was settled
	epoch      int32  // of the last record below
	above      spans  // settled as well
	aboveEpoch int32
}

// commit is what is committed: an offset, -1 for none, and the metadata.
type commit struct {
	offset int64
	note   string
}

// uncommitted reports whether something is finished and not committed. The lock is held.
func (t *tenure) uncommitted() bool {
	return t.window.settled != t.counted || t.window.watermark >= 0 && t.window.watermark != t.committed.offset
}

// finished returns the offsets above the position whose events are finished, and an epoch that none of them is later than.
func (t *tenure) finished() (above spans, epoch int32) {
	above, epoch = t.window.done()
	if len(t.above) > 0 {
		above, epoch = above.union(t.above), max(epoch, t.aboveEpoch)
	}
	_, above = above.absorb(t.window.position())
	return above, epoch
}

// finish marks a record as done. What was finished above it before counts when the watermark comes there.
func (t *tenure) finish(number uint64) {
	t.window.finish(number)
	if len(t.above) == 0 || t.window.watermark < t.above[0].from {
		return
	}
	t.absorb()
}

// owe has the tenure commit what earlier ones finished above a position, also when nothing else finishes.
func (t *tenure) owe(position int64, epoch int32) {
	t.window.watermark, t.window.epoch = position, epoch
	t.window.settled++
}

// absorb moves the watermark over what was finished before. That is known until its records have been polled, which may be later.
func (t *tenure) absorb() {
	watermark, _ := t.above.absorb(t.window.watermark)
	if watermark > t.window.watermark {
		t.window.watermark, t.window.epoch = watermark, max(t.window.epoch, t.aboveEpoch)
	}
	for len(t.above) > 0 && t.above[0].to <= min(t.window.watermark, t.next) {
		t.above = t.above[1:]
	}
}

// unfinished returns the records that are to be delivered: not those that were finished in an earlier tenure. A record of a later epoch
// stands where the log was truncated and written anew: what was finished is gone from there on.
func (s *Stream) unfinished(t *tenure, records []*kgo.Record) []*kgo.Record {
	end, epoch := records[len(records)-1].Offset+1, t.aboveEpoch
	kept := records[:0]
	for _, r := range records {
		if r.LeaderEpoch > t.aboveEpoch && r.Offset < t.above.end() {
			t.above = t.above.below(r.Offset)
		}
		if !t.above.has(r.Offset) {
			kept = append(kept, r)
		}
	}
	if len(kept) > 0 {
		end = kept[0].Offset
	}
	ofTenure := func(c chunk) bool { return c.tenure == t && c.len() > 0 }
	if len(t.aside) == 0 && !slices.ContainsFunc(s.polled, ofTenure) { // else something below may be unfinished
		t.window.skipTo(end, epoch)
		t.absorb()
		s.commit.soon()
	}
	return kept
}

// gap is how many events are finished above the oldest that is not. What was finished before counts as soon as all that lies between has
// been delivered, since a gap at the limit keeps the partition from being fetched.
func (t *tenure) gap() int {
	if len(t.above) > 0 && t.window.last >= t.above.end() {
		_, above := t.above.absorb(t.window.watermark)
		return t.window.gap() + int(above.count())
	}
	return t.window.gap()
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
	s.tenures[partition] = &tenure{partition: partition, topic: s.topic, lease: leat.NewLease(), window: newWindow(), begin: -1,
		committed: commit{offset: -1}, tried: commit{offset: -1}, aboveEpoch: -1, next: -1, seen: -1, behind: -1}
}

// queue appends what was polled. The lock is held.
func (s *Stream) queue(c chunk) {
	if c.tenure.suspended {
		c.tenure.aside = append(c.tenure.aside, c)
		return
	}
	s.polled = append(s.polled, c)
	s.queued += c.len()
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
		if t.ended { // its topic was deleted while it was given up, for example
			continue
		}
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
		above, epoch := t.finished()
		if t.window.watermark >= 0 || len(above) > 0 { // else it has not come to anything, and an earlier one may have
			s.progress[t.partition] = progress{t.committed, t.tried, t.window.position(), t.window.epoch, above, epoch}
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
