package leat

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
)

// unanswered counts the events that a Producer has given to the broker and has no answer for. They
// count in one of two phases; a Flush turns to the other phase and waits for the first to fall to
// zero, so that it does not wait for what is published after it.
type unanswered struct {
	phase  atomic.Uint32
	counts [2]atomic.Int64
	waits  atomic.Bool   // somebody waits for a count to fall to zero
	turn   chan struct{} // holds a token while a Flush is on its way

	mu   sync.Mutex
	zero chan struct{} // closed when the count that is waited for may be zero
}

// add counts n more events and returns the phase to count them down in.
func (u *unanswered) add(n int) uint32 {
	phase := u.phase.Load() & 1
	u.counts[phase].Add(int64(n))
	return phase
}

// done counts one answer.
func (u *unanswered) done(phase uint32) {
	if u.counts[phase].Add(-1) != 0 || !u.waits.Load() {
		return
	}
	u.mu.Lock()
	if u.zero != nil {
		close(u.zero)
		u.zero = nil
	}
	u.mu.Unlock()
}

// wait waits for the answers to everything that was counted before, or until ctx ends.
func (u *unanswered) wait(ctx context.Context) error {
	select {
	case u.turn <- struct{}{}:
		defer func() { <-u.turn }()
	case <-ctx.Done():
		return u.missing(ctx)
	}
	// Two turns, because what an earlier Flush gave up on is in the other phase.
	for range 2 {
		before := u.phase.Add(1) - 1
		if !u.empty(ctx, before&1) {
			return u.missing(ctx)
		}
	}
	return nil
}

// empty waits until a phase's count is zero, and reports whether that came before ctx ended.
func (u *unanswered) empty(ctx context.Context, phase uint32) bool {
	u.waits.Store(true)
	defer u.waits.Store(false)
	for u.counts[phase].Load() != 0 {
		u.mu.Lock()
		if u.zero == nil {
			u.zero = make(chan struct{})
		}
		zero := u.zero
		u.mu.Unlock()
		if u.counts[phase].Load() == 0 {
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

func (u *unanswered) missing(ctx context.Context) error {
	return &Error{Op: "flush", Code: CodeUnknown, Err: fmt.Errorf("%d events without an answer of the broker: %w",
		u.counts[0].Load()+u.counts[1].Load(), context.Cause(ctx))}
}
