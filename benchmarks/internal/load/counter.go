package cases

import (
	"context"
	"fmt"
	"sync/atomic"
)

// counter is the work of every handler that does nothing: it counts, and tells when the expected
// number is reached.
type counter struct {
	n       atomic.Int64
	target  atomic.Int64
	reached chan struct{}
}

func newCounter() *counter { return &counter{reached: make(chan struct{}, 1)} }

// add counts one event.
func (c *counter) add() {
	if c.n.Add(1) == c.target.Load() {
		c.reached <- struct{}{}
	}
}

// expect sets how many more events wait waits for. It is called before the first of them is
// published.
func (c *counter) expect(n int) { c.target.Store(c.n.Load() + int64(n)) }

// wait waits until the expected events are counted.
func (c *counter) wait(ctx context.Context) error {
	select {
	case <-c.reached:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d of %d events were handled: %w", c.n.Load(), c.target.Load(), context.Cause(ctx))
	}
}

// Handled counts the events since the start.
func (c *counter) Handled() int64 { return c.n.Load() }
