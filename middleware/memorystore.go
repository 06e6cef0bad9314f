package middleware

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// MemoryStore is a [Store] in memory: it tells duplicates within one process and its lifetime, which is what a redelivery after a lost
// connection needs, but neither a restart nor the other members of the group. It starts no goroutine; forgotten keys
// are freed by later marks.
type MemoryStore struct {
	limit int
	ttl   time.Duration

	mu    sync.Mutex
	byKey map[string]*list.Element
	// order has the keys as *memoryEntry, the one marked longest ago first. With one ttl for all it is the order of expiry too.
	order *list.List
}

type memoryEntry struct {
	key     string
	expires time.Time // zero where keys do not expire
}

// NewMemoryStore returns a MemoryStore that holds the limit keys that were marked last, each for ttl. A limit of 0 or less means
// 100,000 keys, about 25 MB of them; a ttl of 0 or less means that keys do not expire.
func NewMemoryStore(limit int, ttl time.Duration) *MemoryStore {
	if limit <= 0 {
		limit = 100_000
	}
	return &MemoryStore{limit: limit, ttl: ttl, byKey: map[string]*list.Element{}, order: list.New()}
}

// Seen implements [Store]. Its error is always nil. It does not make a key stay longer.
func (s *MemoryStore) Seen(_ context.Context, key string) (bool, error) { return s.has(key), nil }

// Mark implements [Store]. Its error is always nil. Marking a key again makes it the one that was marked last.
func (s *MemoryStore) Mark(_ context.Context, key string) error {
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

// expire drops the keys whose time is over. Each key is dropped once, so a mark pays for one on average.
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
