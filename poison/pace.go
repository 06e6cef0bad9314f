package poison

import (
	"context"
	"sync"
	"time"
)

// pace lets events through at a rate.
type pace struct {
	rate float64 // in a second; 0 is no limit

	mu   sync.Mutex
	next time.Time
}

// wait waits for the turn of one event, and reports whether it came before the end of ctx and of
// the run.
func (p *pace) wait(ctx context.Context, ended <-chan struct{}) bool {
	if p.rate <= 0 {
		return true
	}
	p.mu.Lock()
	now := time.Now()
	at := p.next
	if at.Before(now) {
		at = now
	}
	p.next = at.Add(time.Duration(float64(time.Second) / p.rate))
	p.mu.Unlock()
	if !at.After(now) {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(at.Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return false
	case <-ended:
		return false
	}
	select {
	case <-ended:
		return false
	default:
		return ctx.Err() == nil
	}
}
