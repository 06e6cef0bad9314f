// Package attempts remembers how often events were tried, in bounded memory.
package attempts

import (
	"hash/maphash"
	"time"
)

// Max bounds a Table, at about 120 bytes an entry.
const Max = 10_000

// Table remembers the tries of events by their source and id. It is bounded: the oldest entries go
// first. The zero value is empty and ready. It has no lock.
type Table struct {
	seed    maphash.Seed
	entries map[key]place
	order   []key // ring of the keys, oldest at next once it is full
	next    int
}

// Entry is what is known of one event.
type Entry struct {
	// Attempts is how often it was tried.
	Attempts int
	// First is when the first of them began.
	First time.Time
}

// key is a hash of source and id. The strings themselves would keep all attributes of the event in
// memory, and have no bound. Two of 10,000 events share a hash with a chance of 1 to 300 thousand
// million; one of the two then has the entry of both.
type key uint64

type place struct {
	Entry

	slot int // in order
}

func (t *Table) key(source, id string) key {
	return key(maphash.Comparable(t.seed, struct{ source, id string }{source, id}))
}

// Len returns how many events are known.
func (t *Table) Len() int { return len(t.entries) }

// Keep remembers e for an event.
func (t *Table) Keep(source, id string, e Entry) {
	if t.entries == nil {
		t.seed, t.entries = maphash.MakeSeed(), map[key]place{}
	}
	k := t.key(source, id)
	p, ok := t.entries[k]
	switch {
	case ok:
	case len(t.order) < Max:
		p.slot = len(t.order)
		t.order = append(t.order, k)
	default:
		p.slot = t.next
		if oldest := t.order[t.next]; t.entries[oldest].slot == t.next { // else it was forgotten, or kept again elsewhere
			delete(t.entries, oldest)
		}
		t.order[t.next] = k
		t.next = (t.next + 1) % Max
	}
	p.Entry = e
	t.entries[k] = p
}

// Find returns what is known of an event, and whether anything is.
func (t *Table) Find(source, id string) (Entry, bool) {
	if len(t.entries) == 0 {
		return Entry{}, false
	}
	p, ok := t.entries[t.key(source, id)]
	return p.Entry, ok
}

// Forget drops what is known of an event.
func (t *Table) Forget(source, id string) {
	if len(t.entries) > 0 {
		delete(t.entries, t.key(source, id))
	}
}
