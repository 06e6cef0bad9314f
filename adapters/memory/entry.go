package memory

import (
	"sync/atomic"

	"github.com/leatgo/leat"
)

// entry is one event in the queue of one group. Entries come in slabs and are used again once they
// are settled, so that an event costs no allocation in the steady state; what makes that safe is
// the generation, which grows with each delivery for as long as the entry exists.
//
// state and size are atomics since Settle reads them without the lock; a Settle that is late may
// even meet an entry that carries another event by now, and its CompareAndSwap fails. Everything
// else is guarded by the topic's lock.
type entry struct {
	// state holds generation<<stateBits | one of the states below.
	state      atomic.Uint64
	size       atomic.Int64
	event      leat.Event
	raw        *leat.Malformed
	trace      *leat.TraceContext
	seq        uint64
	deliveries int
	tenure     *tenure // that delivered it last
}

// The states of an entry. Only held to acked happens without the lock.
const (
	stateQueued = iota // new, or given back or taken back from its last delivery
	stateHeld          // delivered and not settled
	stateAcked         // settled; free as soon as its flight drops it, and until its next delivery
)

// stateBits is how many bits of entry.state hold one of these.
const stateBits = 2

func (e *entry) before(other *entry) bool { return e.seq < other.seq }

func (e *entry) bytes() int { return int(e.size.Load()) }

// move takes the entry from one state to another if it is still in the delivery that gen stands
// for.
func (e *entry) move(gen uint64, from, to uint64) bool {
	return e.state.CompareAndSwap(gen<<stateBits|from, gen<<stateBits|to)
}

func (e *entry) is(gen uint64, state uint64) bool { return e.state.Load() == gen<<stateBits|state }

const (
	slabEntries = 64
	// poolKeep bounds the free entries that a topic keeps after a burst.
	poolKeep = 4096
)

// pool is a topic's stock of free entries, guarded by the topic's lock.
type pool struct{ free []*entry }

func (p *pool) get() *entry {
	if len(p.free) == 0 {
		slab := make([]entry, slabEntries)
		for i := range slab {
			p.free = append(p.free, &slab[i])
		}
	}
	last := len(p.free) - 1
	e := p.free[last]
	p.free[last] = nil
	p.free = p.free[:last]
	return e
}

// put takes back an entry that is in no queue and whose last delivery is settled. Its state stays:
// no flight holds that delivery any more, and the next one has a new generation.
func (p *pool) put(e *entry) {
	e.event, e.raw, e.trace, e.tenure, e.deliveries = leat.Event{}, nil, nil, nil, 0
	if len(p.free) < poolKeep {
		p.free = append(p.free, e)
	}
}

// flight is what one lease has delivered, in order. Settled entries are dropped lazily: from the
// front whenever it is touched, and from everywhere before it would grow, so that it is at most
// twice as long as what is unsettled.
type flight struct{ ring[flown] }

// flown is one delivery; it is live while its entry is still held in the generation gen.
type flown struct {
	entry *entry
	gen   uint64
}

func (f *flight) add(p *pool, e *entry, gen uint64) {
	f.trim(p)
	if f.n == len(f.buf) {
		f.compact(p)
		if 2*f.n > len(f.buf) {
			f.resize(2 * len(f.buf))
		}
	}
	f.push(flown{e, gen})
}

// trim drops what is settled from the front and reports whether nothing is left.
func (f *flight) trim(p *pool) bool {
	for f.n > 0 && f.at(0).settled(p) {
		f.pop()
	}
	return f.n == 0
}

// compact drops everything that is settled.
func (f *flight) compact(p *pool) {
	kept := 0
	for i := range f.n {
		if d := *f.at(i); !d.settled(p) {
			*f.at(kept) = d
			kept++
		}
	}
	for i := kept; i < f.n; i++ {
		*f.at(i) = flown{}
	}
	f.n = kept
}

// settled reports whether the delivery is over, and frees its entry if that was acked. Callers drop
// the delivery then.
func (d flown) settled(p *pool) bool {
	switch d.entry.state.Load() {
	case d.gen<<stateBits | stateHeld:
		return false
	case d.gen<<stateBits | stateAcked:
		p.put(d.entry)
	}
	return true // or it was given back, and lives on under another generation or none
}

// land empties the flight and returns the entries that are not settled, which no Settle can reach
// any more.
func (f *flight) land(p *pool) (taken []*entry) {
	for f.n > 0 {
		d := f.pop()
		switch {
		case d.entry.move(d.gen, stateHeld, stateQueued):
			taken = append(taken, d.entry)
		case d.entry.is(d.gen, stateAcked):
			p.put(d.entry)
		}
	}
	return taken
}
