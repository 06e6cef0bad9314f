// Package failing remembers what fails, by name, from the first failure until it works again.
package failing

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// most bounds the names that are remembered. Those on top are left out.
const most = 100

// Names remembers the names that fail. Its zero value has none. Its methods may be called from
// several goroutines at once, and call no foreign code.
type Names struct {
	count atomic.Int32
	mu    sync.Mutex
	known map[string]*Failure
}

// Failure is what is known about a name since it last worked.
type Failure struct {
	Name string
	// Since is when it first failed, Newest when it last did, with Err.
	Since, Newest time.Time
	Err           error
	// Refused counts what has failed for certain, Unknown what may have worked.
	Refused, Unknown int
}

// Any reports whether a name fails. It is cheap.
func (n *Names) Any() bool { return n.count.Load() > 0 }

// Fail notes that name failed refused and unknown times, at last with err, and reports whether it
// worked before.
func (n *Names) Fail(name string, refused, unknown int, err error) (began bool) {
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	f := n.known[name]
	if f == nil {
		if len(n.known) >= most {
			return false
		}
		if n.known == nil {
			n.known = map[string]*Failure{}
		}
		f, began = &Failure{Name: name, Since: now}, true
		n.known[name] = f
		n.count.Add(1)
	}
	f.Newest, f.Err = now, err
	f.Refused += refused
	f.Unknown += unknown
	return began
}

// Works notes that name works, and returns what was known of its failure; false where it has not
// failed.
func (n *Names) Works(name string) (Failure, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f := n.known[name]
	if f == nil {
		return Failure{}, false
	}
	delete(n.known, name)
	n.count.Add(-1)
	return *f, true
}

// All returns the names that fail, the newest failure first.
func (n *Names) All() []Failure {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make([]Failure, 0, len(n.known))
	for _, f := range n.known {
		all = append(all, *f)
	}
	slices.SortFunc(all, func(a, b Failure) int { return cmp.Or(b.Newest.Compare(a.Newest), cmp.Compare(a.Name, b.Name)) })
	return all
}
