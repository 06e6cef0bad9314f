package kafka

import (
	"slices"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/book"
	"github.com/twmb/franz-go/pkg/kgo"
)

// tenure is the time for which the stream has a partition. Stream.mu guards it.
type tenure struct {
	progress

	partition int32
	topic     topicID // zero where it is not known
	lease     *leat.Lease
	timed     *leat.TimedLease // that the lease belongs to; nil for a plain one
	drained   func()           // ends the wait for the lease's drain; nil while it does not drain
	window    *book.Window[place]
	mark      place  // of the window, when watermark has followed it
	last      int64  // the offset of the newest record in the window
	owed      uint64 // how often the watermark moved without a record
	begin     int64  // where the group had come to before; -1 where that is not known, or was compared already
	counted   uint64 // settled at the last commit
	passed    int64  // the offset behind the last records that could not be read
	next      int64  // where the client is; -1 where that is not known
	seen      int64  // the same at the last look for stalls
	behind    int64  // the same at the last look that found records there
	began     bool   // the first records have come
	asked     bool   // the client has asked for the group's offset
	placed    bool   // and has got it
	rest      time.Time
	draining  bool // nothing of it is delivered any more
	ended     bool
	suspended bool // the session may be over: nothing is delivered until the group has answered
	rewind    bool // the client is to go back to begin then
	paused    bool // its gap is at the limit
}

// progress is how far a tenure has come, or had come when it ended.
type progress struct {
	committed commit // what the group has committed, as far as the stream knows
	tried     commit // the last commit, which may have arrived though no answer came
	watermark int64  // everything below is finished, as it is committed; -1 where that is not known yet
	epoch     int32  // of the last record below
	// above has offsets above the watermark that are finished and not delivered again: in a tenure
	// those of earlier ones, to which soFar adds its own.
	above      spans
	aboveEpoch int32 // no record of above is of a later leader epoch
}

// soFar returns how far the tenure has come by now.
func (t *tenure) soFar() progress {
	above, epoch := t.finished()
	return progress{t.committed, t.tried, t.position(), t.epoch, above, epoch}
}

// commit is what is committed: an offset, -1 for none, and the metadata.
type commit struct {
	offset int64
	note   string
}

// uncommitted reports whether something is finished and not committed. The lock is held.
func (t *tenure) uncommitted() bool {
	return t.settled() != t.counted || t.watermark >= 0 && t.watermark != t.committed.offset
}

// finished returns the offsets above the position whose events are finished, and an epoch that none
// of them is later than.
func (t *tenure) finished() (above spans, epoch int32) {
	above, epoch = t.done()
	if len(t.above) > 0 {
		above, epoch = above.union(t.above), max(epoch, t.aboveEpoch)
	}
	_, above = above.absorb(t.position())
	return above, epoch
}

// place is what a tenure keeps for a delivery.
type place struct {
	tenure *tenure
	offset int64
	before int64 // how many offsets below that belong to it: more than 0 only for records that cannot be read
	epoch  int32
}

// beginsLate reports, once, that the first records of the tenure do not begin where the client was
// to begin. There may be none before them, in a compacted topic or between transactions; or the
// client has skipped them (consumeAnew tells how). Then they come when it is told again where to
// begin. The stream's lock is held.
func (t *tenure) beginsLate(p *kgo.FetchPartition) bool {
	if t.began || t.rewind || len(p.Records) == 0 {
		return false
	}
	t.began = true
	return t.next >= 0 && p.Records[0].Offset > t.next
}

// push enters a delivery in the window.
func (t *tenure) push(d *leat.Delivery, size int, r place) {
	r.tenure = t
	d.Position = leat.Position{Partition: t.partition, Offset: r.offset - r.before}
	t.last = r.offset
	t.window.Push(d, size, r)
}

// skip enters the end of a transaction as finished.
func (t *tenure) skip(r *kgo.Record) {
	t.last = r.Offset
	t.window.Skip(place{tenure: t, offset: r.Offset, epoch: r.LeaderEpoch})
	t.follow()
}

// finish marks a record as done. What was finished above it before counts when the watermark comes
// there.
func (t *tenure) finish(number uint64) {
	t.window.Finish(number)
	t.follow()
	if len(t.above) == 0 || t.watermark < t.above[0].from {
		return
	}
	t.absorb()
}

// follow moves the watermark to the window's.
func (t *tenure) follow() {
	if mark, ok := t.window.Watermark(); ok && mark != t.mark {
		t.mark, t.watermark, t.epoch = mark, mark.offset+1, mark.epoch
	}
}

// settled counts what is finished, so that a commit sees what is new.
func (t *tenure) settled() uint64 { return t.window.Settled() + t.owed }

// position is the watermark or, while there is none, where the window begins; -1 for an empty one.
func (t *tenure) position() int64 {
	if t.watermark < 0 {
		if oldest, ok := t.window.Oldest(); ok {
			return oldest.offset - oldest.before
		}
	}
	return t.watermark
}

// skipTo moves the watermark of an empty window to an offset below which everything is finished.
func (t *tenure) skipTo(offset int64, epoch int32) {
	if _, open := t.window.Oldest(); !open && t.watermark < offset {
		t.watermark, t.epoch = offset, max(t.epoch, epoch)
		t.owed++
	}
}

// done returns the offsets above the oldest record that is not done at which the records are, and
// the latest leader epoch of them. Offsets without a record between two that are done belong to
// them, and so do those before one behind a record that is not done. A log that was truncated,
// whose offsets come again, has none.
func (t *tenure) done() (above spans, epoch int32) {
	epoch = -1
	before := int64(-1)
	for r, finished := range t.window.Above {
		switch {
		case r.offset <= before:
			return nil, -1
		case finished:
			above, epoch = above.add(span{before + 1, r.offset + 1}), max(epoch, r.epoch)
		}
		before = r.offset
	}
	return above, epoch
}

// owe has the tenure commit what earlier ones finished above a position, also when nothing else
// finishes.
func (t *tenure) owe(position int64, epoch int32) {
	t.watermark, t.epoch = position, epoch
	t.owed++
}

// absorb moves the watermark over what was finished before. That is known until its records have
// been polled, which may be later.
func (t *tenure) absorb() {
	watermark, _ := t.above.absorb(t.watermark)
	if watermark > t.watermark {
		t.watermark, t.epoch = watermark, max(t.epoch, t.aboveEpoch)
	}
	for len(t.above) > 0 && t.above[0].to <= min(t.watermark, t.next) {
		t.above = t.above[1:]
	}
}

// unfinished returns the records that are to be delivered: not those that were finished in an
// earlier tenure. A record of a later epoch stands where the log was truncated and written anew:
// what was finished is gone from there on.
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
	ofTenure := func(c chunk) bool { return c.tenure == t && !c.empty() }
	if !slices.ContainsFunc(s.polled, ofTenure) { // else something below may be unfinished
		t.skipTo(end, epoch)
		t.absorb()
		s.commit.soon()
	}
	return kept
}

// gap is how many events are finished above the oldest that is not. What was finished before counts
// as soon as all that lies between has been delivered, since a gap at the limit keeps the partition
// from being fetched.
func (t *tenure) gap() int {
	if len(t.above) > 0 && t.last >= t.above.end() {
		_, above := t.above.absorb(t.watermark)
		return t.window.Gap() + int(above.count())
	}
	return t.window.Gap()
}

// waits reports whether nothing of the tenure is delivered for now. The lock is held.
func (t *tenure) waits() bool { return t.paused || t.suspended }

// chunk is polled records of one partition, or what stands in their place.
type chunk struct {
	tenure  *tenure
	records []*kgo.Record
	bad     *unreadable
}

func (c *chunk) empty() bool { return c.bad == nil && len(c.records) == 0 }

// first returns the first delivery of the chunk, which is not empty.
func (c *chunk) first() candidate {
	if c.bad != nil {
		return candidate{tenure: c.tenure, bad: c.bad}
	}
	return candidate{tenure: c.tenure, record: c.records[0], size: sizeOf(c.records[0])}
}

// cut takes the first delivery out.
func (c *chunk) cut() {
	if c.bad != nil {
		c.bad = nil
		return
	}
	c.records[0] = nil
	c.records = c.records[1:]
}

// begin makes the tenure of a partition. The lock is held.
func (s *Stream) begin(partition int32) {
	nothing := progress{committed: commit{offset: -1}, tried: commit{offset: -1}, watermark: -1, epoch: -1, aboveEpoch: -1}
	t := &tenure{progress: nothing, partition: partition, topic: s.topic, last: -1, begin: -1, next: -1, seen: -1, behind: -1}
	s.tenures[partition] = t
	s.hold(t)
}

// stop marks tenures, so that nothing of them is delivered any more, and drops what was not
// delivered yet. The lock is held.
func (s *Stream) stop(tenures []*tenure) {
	for _, t := range tenures {
		t.draining = true
		t.window.Stop()
	}
	s.polled = slices.DeleteFunc(s.polled, func(c chunk) bool { return c.tenure.draining })
}

// end ends tenures: settlements have no effect any more. It returns, for each, the offset of the
// oldest record that is out, or -1. The lock is held.
func (s *Stream) end(tenures []*tenure) []int64 {
	s.stop(tenures)
	oldest := make([]int64, len(tenures))
	for i, t := range tenures {
		oldest[i] = -1
		if t.ended { // its topic was deleted while it was given up, for example
			continue
		}
		t.ended = true
		for r, out := range t.window.Unsettled() {
			if out {
				oldest[i] = r.offset
				break
			}
		}
		if was := t.soFar(); t.watermark >= 0 || len(was.above) > 0 { // else it has not come to anything, and an earlier one may have
			s.progress[t.partition] = was
		}
		t.window.End()
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
