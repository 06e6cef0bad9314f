package leat

import "hash/maphash"

// laneTable finds the lane of a key: a hash table with chains through the lanes themselves, so that a lane that ends leaves without
// its key being hashed again, and nothing is left behind.
type laneTable struct {
	seed    maphash.Seed
	buckets []*lane
	count   int
	spare   *lane // lanes to use again
}

func newLaneTable() laneTable {
	return laneTable{seed: maphash.MakeSeed(), buckets: make([]*lane, 64)}
}

func (t *laneTable) hash(key string) uint64 { return maphash.String(t.seed, key) }

// lane returns the lane of a key, a new one if there is none.
func (t *laneTable) lane(key string, hash uint64) *lane {
	for l := t.buckets[hash&uint64(len(t.buckets)-1)]; l != nil; l = l.next {
		if l.hash == hash && l.key == key {
			return l
		}
	}
	if t.count == len(t.buckets) {
		t.grow()
	}
	l := t.spare
	if l == nil {
		l = &lane{}
	} else {
		t.spare = l.next
	}
	t.count++
	b := &t.buckets[hash&uint64(len(t.buckets)-1)]
	l.key, l.hash, l.next = key, hash, *b
	*b = l
	return l
}

// remove takes out a lane that is empty.
func (t *laneTable) remove(l *lane) {
	at := &t.buckets[l.hash&uint64(len(t.buckets)-1)]
	for *at != l {
		at = &(*at).next
	}
	*at = l.next
	l.key, l.next = "", t.spare
	t.spare = l
	t.count--
}

func (t *laneTable) grow() {
	old := t.buckets
	t.buckets = make([]*lane, 4*len(old))
	for _, l := range old {
		for l != nil {
			next := l.next
			b := &t.buckets[l.hash&uint64(len(t.buckets)-1)]
			l.next = *b
			*b = l
			l = next
		}
	}
}
