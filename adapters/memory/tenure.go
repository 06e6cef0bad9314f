package memory

import (
	"slices"

	"github.com/leatgo/leat"
)

// tenure is one period in which a stream owns a slot, or takes part in the shared queue: a lease
// and what was delivered under it.
type tenure struct {
	stream  *Stream
	slot    *slot // nil for the shared queue
	lease   *leat.Lease
	phase   phase
	listed  bool // in its stream's ready list
	watched bool // its slot is blocked until the flight is settled; counted in Stream.watched
	flight  flight

	// Once it is over:
	taken []*entry // what was not settled, until it is back in a queue
	cause error    // why the lease was lost, nil when it ended in order
}

type phase uint8

const (
	held phase = iota
	draining
	over // no settlement counts any more; the lease is ended as soon as the lock is free
)

func newTenure(s *Stream, sl *slot) *tenure {
	return &tenure{stream: s, slot: sl, lease: leat.NewLease()}
}

// deliverable reports whether its slot has something that its stream may take now.
func (tn *tenure) deliverable() bool {
	return tn.phase == held && !tn.slot.blocked && !tn.slot.queue.empty()
}

func (tn *tenure) setWatched(watched bool) {
	if tn.watched == watched {
		return
	}
	tn.watched = watched
	if watched {
		tn.stream.watched.Add(1)
	} else {
		tn.stream.watched.Add(-1)
	}
}

// retire makes every settlement of a tenure void, with the lock held; the caller passes what it
// returns to conclude, without the lock. In between, nobody else gets the slot or the events, so
// that no two streams hold a key with leases that both seem to last.
func (g *group) retire(retired []*tenure, tn *tenure, cause error) []*tenure {
	if tn == nil || tn.phase == over {
		return retired
	}
	tn.phase, tn.cause = over, cause
	tn.setWatched(false)
	tn.taken = tn.flight.land(&g.topic.pool)
	bytes := 0
	for _, e := range tn.taken {
		bytes += e.bytes()
		e.tenure = nil
	}
	tn.stream.settled(len(tn.taken), bytes)
	g.leaving = append(g.leaving, tn)
	return append(retired, tn)
}

// retireAll retires all tenures of a stream.
func (g *group) retireAll(s *Stream, cause error) (retired []*tenure) {
	retired = g.retire(nil, s.shared, cause)
	for _, sl := range g.slots {
		if sl.tenure != nil && sl.tenure.stream == s {
			retired = g.retire(retired, sl.tenure, cause)
		}
	}
	return retired
}

// conclude ends the leases of retired tenures, puts their events back, and hands their slots on.
// The caller does not hold the lock.
func (g *group) conclude(retired []*tenure) {
	if len(retired) == 0 {
		return
	}
	for _, tn := range retired {
		tn.lease.End(tn.cause)
	}
	g.topic.mu.Lock()
	if g.topic.closed {
		g.topic.mu.Unlock()
		return
	}
	for _, tn := range retired {
		g.putBack(tn)
	}
	drains := g.rearrange()
	g.topic.mu.Unlock()
	g.drain(drains)
}

// putBack returns the events of a retired tenure to their queue, in order. A broadcast is at most
// once: what it lost is gone.
func (g *group) putBack(tn *tenure) {
	q := &g.shared
	if tn.slot != nil {
		q = &tn.slot.queue
	}
	for _, e := range tn.taken {
		if g.broadcast {
			g.topic.pool.put(e)
			continue
		}
		g.queued++
		g.queuedBytes += e.bytes()
		q.returned.push(e)
	}
	tn.taken = nil
	g.leaving = slices.DeleteFunc(g.leaving, func(other *tenure) bool { return other == tn })
	if tn.slot == nil {
		tn.stream.shared = nil
		return
	}
	tn.slot.tenure = nil
	g.unblock(tn.slot)
}

// drain asks the holders of leases to let go; each slot moves on its own as soon as they have. The
// caller does not hold the lock.
func (g *group) drain(tenures []*tenure) {
	for _, tn := range tenures {
		tn.lease.Drain(func() {
			g.topic.mu.Lock()
			retired := g.retire(nil, tn, nil)
			g.topic.mu.Unlock()
			g.conclude(retired)
		})
	}
}
