package middleware

import (
	"cmp"
	"container/list"
	"context"
	"math"
	"sync"
	"time"

	"github.com/leatgo/leat/internal/ranges"
)

// MemoryStore is a [Store] in memory: it tells duplicates within one process and its lifetime,
// which is what a redelivery after a lost connection needs, but neither a restart nor the other
// members of the group. It starts no goroutine; forgotten keys are freed by later marks.
type MemoryStore struct {
	limit   int
	ttl     time.Duration
	invalid error

	mu    sync.Mutex
	byKey map[string]*list.Element
	// order has the keys as *memoryEntry, the one marked longest ago first. With one ttl for all it
	// is the order of expiry too.
	order *list.List
}

type memoryEntry struct {
	key     string
	expires time.Time // zero where keys do not expire
}

// NewMemoryStore returns a MemoryStore that holds the limit keys that were marked last, each for
// ttl. A limit of 0 means 100,000 keys, about 25 MB of them; a ttl of 0 means that keys do not
// expire. Negative ones are reported by every Seen and Mark, and by [leat.Run] for [Idempotent].
func NewMemoryStore(limit int, ttl time.Duration) *MemoryStore {
	invalid := cmp.Or(ranges.Int("the limit of a MemoryStore", limit, 1, math.MaxInt32),
		ranges.Duration("the ttl of a MemoryStore", ttl, 1, math.MaxInt64))
	if limit == 0 {
		limit = 100_000
	}
	return &MemoryStore{limit: limit, ttl: ttl, invalid: invalid, byKey: map[string]*list.Element{}, order: list.New()}
}

// wrong returns what is wrong with the arguments of NewMemoryStore, also to those who embed a
// MemoryStore.
func (s *MemoryStore) wrong() error { return s.invalid }

// Seen implements [Store]. Its error is that of wrong arguments of [NewMemoryStore]. It does not
// make a key stay longer.
func (s *MemoryStore) Seen(_ context.Context, key string) (bool, error) {
	if s.invalid != nil {
		return false, s.invalid
	}
	return s.has(key), nil
}

// Mark implements [Store]. Its error is that of wrong arguments of [NewMemoryStore]. Marking a key
// again makes it the one that was marked last.
func (s *MemoryStore) Mark(_ context.Context, key string) error {
	if s.invalid != nil {
		return s.invalid
	}
	s.add(key)
	return nil
}

// Len returns how many keys it holds, at most its limit.
func (s *MemoryStore) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(time.Now())
	return s.order.Len()
}

func (s *MemoryStore) has(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	element, ok := s.byKey[key]
	return ok && !element.Value.(*memoryEntry).expired(time.Now()) //nolint:forcetypeassert // order has nothing else
}

func (s *MemoryStore) add(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now() // under the lock, so that order is in fact the order of expiry
	entry := &memoryEntry{key: key}
	if s.ttl > 0 {
		entry.expires = now.Add(s.ttl)
	}
	if element, ok := s.byKey[key]; ok {
		s.drop(element)
	}
	s.byKey[key] = s.order.PushBack(entry)
	s.expire(now)
	if s.order.Len() > s.limit {
		s.drop(s.order.Front())
	}
}

func (s *MemoryStore) remove(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if element, ok := s.byKey[key]; ok {
		s.drop(element)
	}
}

// expire drops the keys whose time is over. Each key is dropped once, so a mark pays for one on
// average.
func (s *MemoryStore) expire(now time.Time) {
	for front := s.order.Front(); front != nil; front = s.order.Front() {
		if !front.Value.(*memoryEntry).expired(now) { //nolint:forcetypeassert // order has nothing else
			return
		}
		s.drop(front)
	}
}

// drop removes an element from both order and byKey.
func (s *MemoryStore) drop(element *list.Element) {
	entry := s.order.Remove(element).(*memoryEntry) //nolint:forcetypeassert // order has nothing else
	delete(s.byKey, entry.key)
}

func (e *memoryEntry) expired(now time.Time) bool {
	return !e.expires.IsZero() && !now.Before(e.expires)
}
