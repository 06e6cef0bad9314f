package load

import (
	"context"
	"fmt"
	"sync/atomic"
)

// Counter is the work of every handler that does nothing: it counts, and tells when the expected
// number is reached.
type Counter struct {
	n       atomic.Int64
	target  atomic.Int64
	reached chan struct{}
}

// NewCounter returns a Counter.
func NewCounter() *Counter { return &Counter{reached: make(chan struct{}, 1)} }

// Add counts one event.
func (c *Counter) Add() {
	if c.n.Add(1) == c.target.Load() {
		c.reached <- struct{}{}
	}
}

// Expect sets how many more events Wait waits for. Call it before the first of them is published.
func (c *Counter) Expect(n int) { c.target.Store(c.n.Load() + int64(n)) }

// Wait waits until the expected events are counted.
func (c *Counter) Wait(ctx context.Context) error {
	select {
	case <-c.reached:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d of %d events were handled: %w", c.n.Load(), c.target.Load(), context.Cause(ctx))
	}
}

// Handled counts the events since the start.
func (c *Counter) Handled() int64 { return c.n.Load() }
