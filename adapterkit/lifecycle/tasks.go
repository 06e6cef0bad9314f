package lifecycle

import (
	"sync"
	"time"
)

// Tasks counts the goroutines and timers of an adapter, so that its Close can await them (rule C3
// of [leat.Broker]). Unlike those of a [sync.WaitGroup], they may begin while somebody waits. The
// zero Tasks works.
type Tasks struct {
	mu   sync.Mutex
	n    int
	idle chan struct{} // closed when n falls to zero; nil while nobody waits
}

// Begin counts something that End will end.
func (g *Tasks) Begin() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n++
}

// End is the end of something that was begun.
func (g *Tasks) End() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.n--; g.n == 0 && g.idle != nil {
		close(g.idle)
		g.idle = nil
	}
}

// Go calls f in a goroutine.
func (g *Tasks) Go(f func()) {
	g.Begin()
	go func() {
		defer g.End()
		f()
	}()
}

// Wait waits until nothing is under way.
func (g *Tasks) Wait() {
	g.mu.Lock()
	if g.n == 0 {
		g.mu.Unlock()
		return
	}
	if g.idle == nil {
		g.idle = make(chan struct{})
	}
	idle := g.idle
	g.mu.Unlock()
	<-idle
}

// Timer is one of [Tasks.AfterFunc].
type Timer struct {
	g *Tasks
	t *time.Timer
}

// AfterFunc calls f in a goroutine after d. Wait waits for that, unless the Timer is stopped
// before.
func (g *Tasks) AfterFunc(d time.Duration, f func()) *Timer {
	g.Begin()
	return &Timer{g, time.AfterFunc(d, func() {
		defer g.End()
		f()
	})}
}

// Stop keeps f from being called, unless it was. A second Stop does nothing.
func (t *Timer) Stop() {
	if t.t.Stop() {
		t.g.End()
	}
}
