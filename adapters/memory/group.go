package memory

import (
	"time"

	"github.com/leatgo/leat"
)

// longestDelay is the longest delay of a GiveBack.
const longestDelay = 24 * time.Hour

// group is a queue of a topic's events and the streams that share it. Everything in it is guarded
// by the topic's lock.
//
// An event is in one of four places: a queue (the shared one, or its slot's), the heap of delays,
// the flight of the lease that it was delivered under, or, while a lease that was taken away is
// being ended, that lease's taken entries.
type group struct {
	topic     *topic
	name      string // empty for a broadcast
	broadcast bool
	ordered   bool // as declared

	gone bool // its broadcast stream was closed

	streams []*Stream
	idle    int     // streams that wait for events
	shared  queue   // events without a key; any stream takes them
	slots   []*slot // nil when not ordered

	queued, queuedBytes int // everything that is not in a flight

	leaving []*tenure // leases that are being ended, with what was taken under them

	delayed heap[delayed]
	timer   *time.Timer // for the first of delayed; nil until there was one
}

// queue holds events that wait for delivery: first what came back, by sequence, then what was never
// delivered. All of the former was published before all of the latter, so this is the order of
// publishing.
type queue struct {
	returned heap[*entry]
	pending  ring[*entry]
}

func (q *queue) empty() bool { return q.pending.n == 0 && len(q.returned) == 0 }

func (q *queue) peek() *entry {
	if len(q.returned) > 0 {
		return q.returned[0]
	}
	return *q.pending.at(0)
}

func (q *queue) pop() *entry {
	if len(q.returned) > 0 {
		return q.returned.pop()
	}
	return q.pending.pop()
}

// delayed is an entry without a key, or a slot, that waits until a time.
type delayed struct {
	at    time.Time
	entry *entry
	slot  *slot
}

func (d delayed) before(other delayed) bool { return d.at.Before(other.at) }

func newGroup(t *topic, sub leat.Subscription) *group {
	g := &group{topic: t, name: sub.Group, ordered: !sub.Unordered, broadcast: sub.Broadcast}
	if g.ordered {
		slots := make([]slot, slotCount)
		for i := range slots {
			g.slots = append(g.slots, &slots[i])
		}
	}
	return g
}

func (g *group) hasRoom(size int) bool {
	o := &g.topic.broker.o
	return g.queued < o.Buffer && (g.queued == 0 || g.queuedBytes+size <= o.BufferBytes)
}

// enqueue adds a new event behind all others. slot is -1 for one without a key.
func (g *group) enqueue(e *entry, slot int) {
	g.queued++
	g.queuedBytes += e.bytes()
	if slot < 0 || !g.ordered {
		g.shared.pending.push(e)
		g.wakeIdle()
		return
	}
	sl := g.slots[slot]
	sl.queue.pending.push(e)
	g.offer(sl)
}

// wakeIdle wakes one stream that waits and may take from the shared queue, if there is anything in
// it.
func (g *group) wakeIdle() {
	if g.idle == 0 || g.shared.empty() {
		return
	}
	for _, s := range g.streams {
		if s.idle && s.shared != nil && s.shared.phase == held {
			s.wake()
			return
		}
	}
}

// giveBack puts an entry that its stream does not want any more back into its queue. The caller has
// taken it out of its delivery.
func (g *group) giveBack(e *entry, delay time.Duration) {
	tn := e.tenure
	e.tenure = nil
	g.queued++
	g.queuedBytes += e.bytes()
	delay = max(0, min(delay, longestDelay))
	switch {
	case tn.slot != nil:
		tn.slot.queue.returned.push(e)
		tn.slot.block(time.Now().Add(delay))
		g.unblock(tn.slot)
	case delay > 0:
		g.delay(delayed{at: time.Now().Add(delay), entry: e})
	default:
		g.shared.returned.push(e)
		g.wakeIdle()
	}
}

// delay adds d to the heap and sets the timer if d is the first.
func (g *group) delay(d delayed) {
	g.delayed.push(d)
	if g.delayed[0] == d {
		g.setTimer()
	}
}

// setTimer sets the timer for the first of delayed. A timer that fires too early, since the first
// changed, does no harm.
func (g *group) setTimer() {
	if len(g.delayed) == 0 || g.topic.closed || g.gone {
		return
	}
	wait := time.Until(g.delayed[0].at)
	if g.timer == nil {
		g.timer = time.AfterFunc(wait, g.delaysPassed)
		return
	}
	g.timer.Reset(wait)
}

// delaysPassed is the timer's function.
func (g *group) delaysPassed() {
	g.topic.mu.Lock()
	defer g.topic.mu.Unlock()
	if g.topic.closed || g.gone {
		return
	}
	now := time.Now()
	for len(g.delayed) > 0 && !g.delayed[0].at.After(now) {
		d := g.delayed.pop()
		if d.entry != nil {
			g.shared.returned.push(d.entry)
			g.wakeIdle()
			continue
		}
		d.slot.parked = false
		g.unblock(d.slot)
	}
	g.setTimer()
}

// remove takes a stream that closes out of the group.
func (g *group) remove(s *Stream) {
	kept := g.streams[:0]
	for _, other := range g.streams {
		if other != s {
			kept = append(kept, other)
		}
	}
	clear(g.streams[len(kept):])
	g.streams = kept
	if s.idle {
		s.idle = false
		g.idle--
	}
	if g.broadcast {
		g.gone = true
		g.topic.removeGroup(g)
		if g.timer != nil {
			g.timer.Stop()
		}
	}
}
