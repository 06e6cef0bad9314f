package lifecycle

import (
	"context"
	"sync"
	"time"
)

// Signal puts a token into a channel with room for one, so that its reader looks again. A token
// that is there already is enough.
func Signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Sleep waits for d, and reports whether ctx lasted for it.
func Sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Pause is the wait after failures: 50 ms, then twice as long each time, up to a second. The zero
// Pause works.
type Pause struct{ last time.Duration }

// Next returns how long to wait after one more failure.
func (p *Pause) Next() time.Duration {
	p.last = min(max(2*p.last, 50*time.Millisecond), time.Second)
	return p.last
}

// Sleep waits after one more failure, and reports whether ctx lasted for it.
func (p *Pause) Sleep(ctx context.Context) bool { return Sleep(ctx, p.Next()) }

// Reset notes that something has succeeded.
func (p *Pause) Reset() { p.last = 0 }

// Await calls f as one of the tasks, and returns its error. When ctx ends before f, it returns the
// cause of that, and f goes on. It is for calls of a client that take no context, or that block on
// a write whatever their context says. Where Close must not wait for such a call, make it one of
// Tasks of its own, for which nobody waits.
func (g *Tasks) Await(ctx context.Context, f func() error) error {
	result := make(chan error, 1)
	g.Go(func() { result <- f() })
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Closing is the Close of a stream, which may be called several times. The zero Closing works.
type Closing struct {
	mu   sync.Mutex
	over chan struct{} // closed by End; nil before the first Begin
}

// Begin reports whether this Close is the first, which then closes and calls End. Any other Close
// waits for that while ctx lasts, and has nothing to do.
func (c *Closing) Begin(ctx context.Context) bool {
	c.mu.Lock()
	over := c.over
	if over == nil {
		c.over = make(chan struct{})
	}
	c.mu.Unlock()
	if over == nil {
		return true
	}
	select {
	case <-over:
	case <-ctx.Done():
	}
	return false
}

// End is the end of the first Close.
func (c *Closing) End() { close(c.over) }
