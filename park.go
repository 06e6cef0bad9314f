package leat

import (
	"container/heap"
	"time"
)

// park holds the items that wait for a time: one heap and one timer for all of them.
type park struct {
	items parkHeap
	stuck int // items that are parked without a time, because there is no poison queue
	timer *time.Timer
	at    time.Time // when the timer fires; zero when it is not set
}

func (p *park) push(it *item, due time.Time) {
	it.state, it.due = itemParked, due
	heap.Push(&p.items, it)
}

// remove takes it out, if it is parked.
func (p *park) remove(it *item) {
	switch {
	case it.state != itemParked:
	case it.parkIndex >= 0:
		heap.Remove(&p.items, it.parkIndex)
	default:
		p.stuck--
	}
}

// count is how many items are parked.
func (p *park) count() int { return len(p.items) + p.stuck }

// parkHeap orders items by when they are due, then by how often the poison queue did not take them, then by age.
type parkHeap []*item

func (h parkHeap) Len() int { return len(h) }

func (h parkHeap) Less(i, j int) bool {
	if !h[i].due.Equal(h[j].due) {
		return h[i].due.Before(h[j].due)
	}
	if a, b := h[i].trouble.failures(), h[j].trouble.failures(); a != b {
		return a < b
	}
	return h[i].seq < h[j].seq
}

func (h parkHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].parkIndex, h[j].parkIndex = i, j
}

// Push is for container/heap.
func (h *parkHeap) Push(x any) {
	it := x.(*item) //nolint:forcetypeassert // heap.Push is only called with items
	it.parkIndex = len(*h)
	*h = append(*h, it)
}

// Pop is for container/heap.
func (h *parkHeap) Pop() any {
	old := *h
	it := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	it.parkIndex = -1
	return it
}

// pauseUntil stops receiving and dispatching until t, or later where a longer pause is on.
func (e *engine) pauseUntil(t time.Time) {
	if t.After(e.pauseEnd) {
		e.pauseEnd, e.fullAt = t, time.Time{}
		e.giveBackDraining()
		e.armTimer(time.Now())
	}
}

// resume ends a pause. The lock is held.
func (e *engine) resume() {
	e.pauseEnd = time.Time{}
	e.restart()
}

// restart gives workers and the receive loop what a pause or the timer kept from them.
func (e *engine) restart() {
	e.signalRoom()
	e.noteFull()
	if e.suspects.waiting.count > 0 {
		e.workSuspects()
	}
	e.wake().signal()
}

// armTimer sets the timer to what comes first: the first parked item or the end of the pause.
func (e *engine) armTimer(now time.Time) {
	at := e.pauseEnd
	if len(e.park.items) > 0 && (at.IsZero() || e.park.items[0].due.Before(at)) {
		at = e.park.items[0].due
	}
	if at.IsZero() || e.stopping || !e.park.at.IsZero() && !at.Before(e.park.at) {
		return
	}
	e.park.at = at
	if e.park.timer == nil {
		e.park.timer = time.AfterFunc(at.Sub(now), e.onTimer)
	} else {
		e.park.timer.Reset(at.Sub(now))
	}
}

// onTimer makes ready what is due.
func (e *engine) onTimer() {
	e.c.mu.Lock()
	defer e.unlock(nil)
	e.park.at = time.Time{}
	if e.stopping {
		return
	}
	now := time.Now()
	if !e.pauseEnd.IsZero() && !e.pauseEnd.After(now) {
		e.pauseEnd = time.Time{}
	}
	for len(e.park.items) > 0 && !e.park.items[0].due.After(now) {
		it := heap.Pop(&e.park.items).(*item) //nolint:forcetypeassert // Pop below returns items
		e.dispatch(it)
	}
	e.armTimer(now)
	e.restart()
}
