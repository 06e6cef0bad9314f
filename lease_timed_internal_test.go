package leat

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// listed returns how many leases are in the list.
func (ls *TimedLeases) listed() (n int) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for t := ls.root.next; t != &ls.root; t = t.next {
		n++
	}
	return n
}

// takeOut does what takeDue does with a lease whose time was over a moment ago, and that was extended
// since.
func (ls *TimedLeases) takeOut(t *TimedLease) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.remove(t)
}

// TestEndedTimedLeaseIsNotPutBack: the adapter ends a lease after the timer saw that it was extended.
// The lease must not come back into the list. It would stay there, and keep the timer going, until a
// deadline that is a term away.
func TestEndedTimedLeaseIsNotPutBack(t *testing.T) {
	leases := NewTimedLeases(time.Hour)
	ended, lasting := leases.New(time.Now()), leases.New(time.Now())
	for _, l := range []*TimedLease{ended, lasting} {
		leases.takeOut(l)
		assert.False(t, l.expire())
	}
	ended.Lease().End(nil)
	leases.putBack(ended)
	leases.putBack(lasting)
	assert.Equal(t, 1, leases.listed(), "one lasts")
	lasting.Lease().End(nil)
	assert.Zero(t, leases.listed())
}

// TestTimedLeasesEndWhileTheTimerLooks is the same in any order of the two.
func TestTimedLeasesEndWhileTheTimerLooks(t *testing.T) {
	const rounds, each = 100, 200
	leases := NewTimedLeases(time.Hour)
	for range rounds {
		over := make([]*TimedLease, each)
		for i := range over {
			over[i] = leases.New(time.Now())
			leases.takeOut(over[i])
		}
		var wg sync.WaitGroup
		wg.Go(func() { leases.expire(over) })
		for _, l := range over {
			l.Lease().End(nil)
		}
		wg.Wait()
		assert.Zero(t, leases.listed(), "leases that have ended are in the list")
	}
}
