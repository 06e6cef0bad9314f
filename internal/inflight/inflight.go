// Package inflight counts what is on its way, and waits until what was on its way is done.
package inflight

import (
	"context"
	"sync"
	"sync/atomic"
)

// Counter counts in one of two phases. A Wait turns to the other phase and waits for the first to
// fall to zero, so that it does not wait for what is added after it. Its methods may be called from
// several goroutines at once.
type Counter struct {
	phase  atomic.Uint32
	counts [2]atomic.Int64
	waits  atomic.Bool   // somebody waits for a count to fall to zero
	turn   chan struct{} // holds a token while a Wait is on its way

	mu   sync.Mutex
	zero chan struct{} // closed when the count that is waited for may be zero
}

// New returns a Counter of nothing.
func New() *Counter { return &Counter{turn: make(chan struct{}, 1)} }

// Add counts n more and returns the phase to count them down in.
func (c *Counter) Add(n int) (phase uint32) {
	phase = c.phase.Load() & 1
	c.counts[phase].Add(int64(n))
	return phase
}

// Done counts down one that was added in phase.
func (c *Counter) Done(phase uint32) {
	if c.counts[phase].Add(-1) != 0 || !c.waits.Load() {
		return
	}
	c.mu.Lock()
	if c.zero != nil {
		close(c.zero)
		c.zero = nil
	}
	c.mu.Unlock()
}

// Left returns how many are not done.
func (c *Counter) Left() int64 { return c.counts[0].Load() + c.counts[1].Load() }

// Wait waits until everything that was added before is done, and reports whether that came before
// ctx ended.
func (c *Counter) Wait(ctx context.Context) bool {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return false
	}
	// Two turns, because what an earlier Wait gave up on is in the other phase.
	for range 2 {
		before := c.phase.Add(1) - 1
		if !c.empty(ctx, before&1) {
			return false
		}
	}
	return true
}

// empty waits until a phase's count is zero, and reports whether that came before ctx ended.
func (c *Counter) empty(ctx context.Context, phase uint32) bool {
	c.waits.Store(true)
	defer c.waits.Store(false)
	for c.counts[phase].Load() != 0 {
		c.mu.Lock()
		if c.zero == nil {
			c.zero = make(chan struct{})
		}
		zero := c.zero
		c.mu.Unlock()
		if c.counts[phase].Load() == 0 {
			break
		}
		select {
		case <-zero:
		case <-ctx.Done():
			return false
		}
	}
	return true
}
