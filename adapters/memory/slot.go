package memory

import "time"

// slotCount is over how many slots the keys of a group are spread: at most that many streams of a
// group get keyed events.
const slotCount = 64

// slot is the unit in which keys are owned: one stream at a time, under one lease. Its events are
// delivered in order, and keys that fall into one slot share its fate.
type slot struct {
	queue  queue
	tenure *tenure // of the owner; nil when nobody owns it. It may be draining, or over and about to be replaced
	next   *Stream // who should own it; equal to the owner unless it moves
	// blocked says that an event was given back: nothing is delivered until all others in flight
	// are settled and until the largest delay has passed, since they may have to come first.
	blocked bool
	until   time.Time
	parked  bool // it is in the group's delayed heap, for until
}

func (sl *slot) block(until time.Time) {
	sl.blocked = true
	if until.After(sl.until) {
		sl.until = until
	}
	if sl.tenure != nil && sl.tenure.phase != over {
		sl.tenure.setWatched(true)
	}
}

// unblock lets the slot go on if nothing of it is in flight and its delay has passed. It does
// nothing to one that is not blocked.
func (g *group) unblock(sl *slot) {
	if !sl.blocked || sl.parked {
		return
	}
	if sl.tenure != nil {
		if !sl.tenure.flight.trim(&g.topic.pool) {
			return
		}
		sl.tenure.setWatched(false)
	}
	if sl.until.After(time.Now()) {
		sl.parked = true
		g.delay(delayed{at: sl.until, slot: sl})
		return
	}
	sl.blocked, sl.until = false, time.Time{}
	g.offer(sl)
}

// offer puts a slot that has deliverable events on its owner's list and wakes the owner.
func (g *group) offer(sl *slot) {
	tn := sl.tenure
	if tn == nil || tn.listed || !tn.deliverable() {
		return
	}
	tn.listed = true
	tn.stream.ready.push(tn)
	if tn.stream.idle {
		tn.stream.wake()
	}
}

// rearrange gives every slot and every stream of the group what it should have: live streams their
// lease on the shared queue, slots without an owner a new one, and too many slots of one stream,
// one by one, to the stream with the fewest. It returns the leases that must be drained for that,
// which the caller passes to drain without the lock.
func (g *group) rearrange() (drains []*tenure) {
	live := make([]*Stream, 0, len(g.streams))
	for _, s := range g.streams {
		if !s.lapsed {
			live = append(live, s)
			s.share = 0
			if s.shared == nil {
				s.shared = newTenure(s, nil)
			}
		}
	}
	g.wakeIdle()
	if len(live) == 0 {
		return nil
	}
	g.balance(live)
	for _, sl := range g.slots {
		switch {
		case sl.tenure == nil:
			sl.tenure = newTenure(sl.next, sl)
			g.offer(sl)
		case sl.tenure.phase == held && sl.tenure.stream != sl.next:
			sl.tenure.phase = draining
			drains = append(drains, sl.tenure)
		}
	}
	return drains
}

// balance sets next of every slot: to whom it belongs already as far as shares stay even, with as
// few moves as possible.
func (g *group) balance(live []*Stream) {
	for _, sl := range g.slots {
		if sl.next != nil && (sl.next.lapsed || sl.next.closed) {
			sl.next = nil
		}
		if sl.next != nil {
			sl.next.share++
		}
	}
	for _, sl := range g.slots {
		if sl.next == nil {
			_, sl.next = extremes(live)
			sl.next.share++
		}
	}
	if len(g.slots) == 0 {
		return
	}
	for {
		most, fewest := extremes(live)
		if most.share-fewest.share <= 1 {
			return
		}
		g.moveOne(most, fewest)
	}
}

// moveOne moves one slot, an idle one if there is one, since that drains at once.
func (g *group) moveOne(from, to *Stream) {
	var chosen *slot
	for _, sl := range g.slots {
		if sl.next != from {
			continue
		}
		chosen = sl
		if sl.tenure == nil || sl.tenure.stream != from || sl.tenure.flight.n == 0 {
			break
		}
	}
	chosen.next = to
	from.share--
	to.share++
}

// extremes returns the streams with the largest and the smallest share.
func extremes(streams []*Stream) (most, fewest *Stream) {
	most, fewest = streams[0], streams[0]
	for _, s := range streams[1:] {
		if s.share > most.share {
			most = s
		}
		if s.share < fewest.share {
			fewest = s
		}
	}
	return most, fewest
}
