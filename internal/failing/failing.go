// Package failing remembers what fails, by name, from the first failure until it works again, or
// has not failed for an hour.
package failing

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// most bounds the names that are remembered. One on top takes the place of the one whose newest
	// failure is the oldest.
	most = 100
	// memory is how long a name is remembered after its newest failure. Who still uses a name that
	// fails, such as a job that runs each quarter of an hour, uses it sooner; one that nobody uses
	// any more, such as the topic of a tenant that is gone, never works again.
	memory = time.Hour
)

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
// worked before, or was forgotten.
func (n *Names) Fail(name string, refused, unknown int, err error) (began bool) {
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	f := n.known[name]
	if f == nil || f.over(now) {
		n.makeRoom(now)
		f, began = &Failure{Name: name, Since: now}, true
		n.known[name] = f
		n.count.Store(int32(len(n.known)))
	}
	f.Newest, f.Err = now, err
	f.Refused += refused
	f.Unknown += unknown
	return began
}

// over reports whether the failure is forgotten.
func (f *Failure) over(now time.Time) bool { return now.Sub(f.Newest) >= memory }

// makeRoom makes room for one more name. The lock is held.
func (n *Names) makeRoom(now time.Time) {
	if n.known == nil {
		n.known = map[string]*Failure{}
	}
	n.forget(now)
	if len(n.known) < most {
		return
	}
	var oldest *Failure
	for _, f := range n.known {
		if oldest == nil || f.Newest.Before(oldest.Newest) {
			oldest = f
		}
	}
	delete(n.known, oldest.Name)
}

// forget drops the names that have not failed for a while. The lock is held.
func (n *Names) forget(now time.Time) {
	maps.DeleteFunc(n.known, func(_ string, f *Failure) bool { return f.over(now) })
}

// Works notes that name works, and returns what was known of its failure; false where it has not
// failed, or was forgotten.
func (n *Names) Works(name string) (Failure, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f := n.known[name]
	if f == nil {
		return Failure{}, false
	}
	delete(n.known, name)
	n.count.Add(-1)
	return *f, !f.over(time.Now())
}

// All returns the names that fail, the newest failure first.
func (n *Names) All() []Failure {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.forget(time.Now())
	n.count.Store(int32(len(n.known)))
	all := make([]Failure, 0, len(n.known))
	for _, f := range n.known {
		all = append(all, *f)
	}
	slices.SortFunc(all, func(a, b Failure) int { return cmp.Or(b.Newest.Compare(a.Newest), cmp.Compare(a.Name, b.Name)) })
	return all
}
