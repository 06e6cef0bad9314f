package leat

import (
	"hash/maphash"
	"time"
)

// attemptTable remembers the attempts of events that left the process unsettled, so that a redelivery to it goes on counting. It is
// bounded: the oldest entries go first. The group is that of the Consumer.
type attemptTable struct {
	seed    maphash.Seed
	entries map[attemptID]attemptEntry
	order   []attemptID // ring of the keys, oldest at next once it is full
	next    int
}

// attemptID is a hash of source and id. The strings themselves would keep all attributes of the event in memory, and have no bound. Two of
// 10,000 events share a hash with a chance of 1 to 300 thousand million; one of the two then has the attempts of both.
type attemptID uint64

type attemptEntry struct {
	attempts int
	first    time.Time
	slot     int // its place in order
}

// maxAttemptEntries bounds the table, at about 120 bytes each.
const maxAttemptEntries = 10_000

// id returns the key of an event.
func (t *attemptTable) id(e Event) attemptID {
	return attemptID(maphash.Comparable(t.seed, struct{ source, id string }{e.Source(), e.ID()}))
}

// keep remembers the attempts of it, if there were any.
func (t *attemptTable) keep(it *item) {
	if it.attempts == 0 || it.d.Malformed != nil {
		return
	}
	if t.entries == nil {
		t.seed, t.entries = maphash.MakeSeed(), map[attemptID]attemptEntry{}
	}
	id := t.id(it.d.Event)
	entry, ok := t.entries[id]
	switch {
	case ok:
	case len(t.order) < maxAttemptEntries:
		entry.slot = len(t.order)
		t.order = append(t.order, id)
	default:
		entry.slot = t.next
		if oldest := t.order[t.next]; t.entries[oldest].slot == t.next { // else it was forgotten, or kept again elsewhere
			delete(t.entries, oldest)
		}
		t.order[t.next] = id
		t.next = (t.next + 1) % maxAttemptEntries
	}
	e, first := it.batch.engine, it.first
	if it.excused {
		first += e.now() - it.started
	}
	entry.attempts, entry.first = it.attempts, e.epoch.Add(first)
	t.entries[id] = entry
}

// restore gives it the attempts that an earlier delivery had, before its own first.
func (t *attemptTable) restore(it *item) {
	if len(t.entries) == 0 || it.attempts > 0 || it.d.Deliveries == 1 {
		return
	}
	if entry, ok := t.entries[t.id(it.d.Event)]; ok {
		it.attempts, it.first = entry.attempts, entry.first.Sub(it.batch.engine.epoch)
	}
}

// forget drops what is known about it, because it is settled.
func (t *attemptTable) forget(it *item) {
	if len(t.entries) > 0 && it.d.Malformed == nil {
		delete(t.entries, t.id(it.d.Event))
	}
}
