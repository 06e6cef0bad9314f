package leat

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// leaseContext is the context that those of a lease's handlers descend from. The real one is made when somebody needs a channel, a value
// or a child of it, which most handlers do not: with a lease for each message it would be half of what a message costs.
type leaseContext struct {
	base     context.Context //nolint:containedctx // it is the parent of a context
	canceled atomic.Bool
	made     atomic.Pointer[madeContext]

	mu    sync.Mutex
	cause error // set with canceled
}

// madeContext is a context of the standard library. It finds its children by its own type, without a goroutine for each, and tells
// context.Cause.
type madeContext struct {
	context.Context

	cancel context.CancelCauseFunc
}

// full returns the real context, which is made once.
func (c *leaseContext) full() *madeContext {
	if m := c.made.Load(); m != nil {
		return m
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.made.Load(); m != nil {
		return m
	}
	m := &madeContext{}
	m.Context, m.cancel = context.WithCancelCause(c.base)
	if c.cause != nil {
		m.cancel(c.cause)
	}
	c.made.Store(m)
	return m
}

// cancel ends the context. Only the first cause counts.
func (c *leaseContext) cancel(cause error) {
	c.mu.Lock()
	if c.cause == nil {
		c.cause = cause
	}
	c.canceled.Store(true)
	m := c.made.Load()
	c.mu.Unlock()
	if m != nil {
		m.cancel(cause)
	}
}

// Deadline implements [context.Context]. There is none.
func (c *leaseContext) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements [context.Context].
func (c *leaseContext) Done() <-chan struct{} { return c.full().Done() }

// Value implements [context.Context].
func (c *leaseContext) Value(key any) any { return c.full().Value(key) }

// Err implements [context.Context]. A channel that somebody has is closed before Err says so.
func (c *leaseContext) Err() error {
	if !c.canceled.Load() {
		return nil
	}
	if m := c.made.Load(); m != nil {
		return m.Err()
	}
	return context.Canceled // and a channel that is made from now on is closed
}
