package telemetry

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"
)

// Cache keeps what is made for a key, such as a series of a histogram. Reading it takes no lock. It
// must not be copied.
type Cache[K comparable, V any] struct {
	// Bound returns the key that takes the place of one which is not there yet: a copy, since a key
	// may have pieces of an event, and one of few where there may be many. No two calls run at
	// once.
	Bound func(k K) K
	// Make makes the value of a key that Bound has returned.
	Make func(k K) V
	// Most is how many values are kept. The others are made each time. 0 is no limit.
	Most int

	last  atomic.Pointer[cached[K, V]] // the one that was used last, which is often the next
	known atomic.Pointer[map[K]*cached[K, V]]
	mu    sync.Mutex // of those who add
}

type cached[K comparable, V any] struct {
	key   K
	value V
}

// Of returns the value of a key.
func (c *Cache[K, V]) Of(k K) V {
	if one := c.last.Load(); one != nil && one.key == k {
		return one.value
	}
	one := c.all()[k]
	if one == nil {
		one = c.add(k)
	}
	c.last.Store(one)
	return one.value
}

// all returns what is kept, which nobody changes.
func (c *Cache[K, V]) all() map[K]*cached[K, V] {
	if known := c.known.Load(); known != nil {
		return *known
	}
	return nil
}

// add makes the value of k, unless what takes its place is there.
func (c *Cache[K, V]) add(k K) *cached[K, V] {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.all()
	k = c.Bound(k)
	if one := old[k]; one != nil {
		return one
	}
	one := &cached[K, V]{k, c.Make(k)}
	if c.Most == 0 || len(old) < c.Most {
		fresh := make(map[K]*cached[K, V], len(old)+1)
		maps.Copy(fresh, old)
		fresh[k] = one
		c.known.Store(&fresh)
	}
	return one
}

// First lets the first values through, up to Most of them, and replaces the others.
type First[K comparable] struct {
	Most  int
	Other K
	Clone func(K) K

	seen map[K]K
}

// Of returns a copy of v that it keeps, or Other.
func (f *First[K]) Of(v K) K {
	if kept, ok := f.seen[v]; ok {
		return kept
	}
	if len(f.seen) >= f.Most {
		return f.Other
	}
	if f.seen == nil {
		f.seen = map[K]K{}
	}
	v = f.Clone(v)
	f.seen[v] = v
	return v
}

// FirstTexts lets the first texts through, and then [Other].
func FirstTexts(most int) First[string] {
	return First[string]{Most: most, Other: Other, Clone: strings.Clone}
}

// FirstGroups lets the first pairs of topic and group through.
func FirstGroups(most int) First[[2]string] {
	return First[[2]string]{Most: most, Other: [2]string{Other, Other}, Clone: func(pair [2]string) [2]string {
		return [2]string{strings.Clone(pair[0]), strings.Clone(pair[1])}
	}}
}
