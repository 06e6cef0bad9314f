package lifecycle

import "sync"

// mostMemories is how much a Memo remembers.
const mostMemories = 1000

// Memo remembers what an adapter has found out about topics, or about other names that the
// application chooses. There may be any number of them, so with 1,000 it forgets one at random for
// each that it takes. So it is for what can be found out again. The zero Memo is empty; it must not
// be copied. Its methods may be called from several goroutines at once.
type Memo[K comparable, V any] struct {
	mu  sync.RWMutex
	all map[K]V
}

// Load returns what is remembered of a name.
func (m *Memo[K, V]) Load(name K) (v V, ok bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	v, ok = m.all[name]
	return v, ok
}

// LoadOrStore remembers v, where nothing is remembered of the name, and returns what is.
func (m *Memo[K, V]) LoadOrStore(name K, v V) V {
	m.mu.Lock()
	defer m.mu.Unlock()
	if kept, known := m.all[name]; known {
		return kept
	}
	if m.all == nil {
		m.all = map[K]V{}
	}
	if len(m.all) >= mostMemories {
		for other := range m.all { // in no order
			delete(m.all, other)
			break
		}
	}
	m.all[name] = v
	return v
}

// Delete forgets a name.
func (m *Memo[K, V]) Delete(name K) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.all, name)
}
