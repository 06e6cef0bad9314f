package leat

import "time"

// gate lets a suspect run alone among all consumers of one Run: what else runs in them could end the process meanwhile, and the suspect
// would be blamed.
type gate struct {
	turn    chan struct{} // has one place: whose suspect runs
	engines []*engine
}

func newGate(consumers []*Consumer) *gate {
	g := &gate{turn: make(chan struct{}, 1)}
	for _, c := range consumers {
		g.engines = append(g.engines, c.engine)
		c.engine.gate = g
	}
	return g
}

// hold keeps the consumers from starting handlers, and waits, at most for d, until those that run have returned. Otherwise everything
// goes on: a running handler may wait for another event to be handled.
func (g *gate) hold(stop <-chan struct{}, d time.Duration) bool {
	select {
	case g.turn <- struct{}{}:
	case <-stop:
		return false
	}
	for _, e := range g.engines {
		e.c.mu.Lock()
		e.suspects.held = true
		e.c.mu.Unlock()
	}
	if !g.awaitAlone(stop, d) {
		g.release()
		return false
	}
	return true
}

// awaitAlone waits until no handler of the consumers runs, at most for d; 0 does not wait.
func (g *gate) awaitAlone(stop <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for _, e := range g.engines {
		alone := e.aloneSoon()
		select {
		case <-alone:
			continue
		default:
		}
		select {
		case <-alone:
		case <-timer.C:
			return false
		case <-stop:
			return false
		}
	}
	return true
}

// aloneSoon returns a channel that is closed when no handler of e runs.
func (e *engine) aloneSoon() <-chan struct{} {
	e.c.mu.Lock()
	defer e.c.mu.Unlock()
	alone := make(chan struct{})
	if e.running == 0 {
		close(alone)
		return alone
	}
	e.suspects.alone = alone
	return alone
}

// checkAlone tells who waits for it that no handler runs. The lock is held.
func (e *engine) checkAlone() {
	if e.suspects.alone != nil && e.running == 0 {
		close(e.suspects.alone)
		e.suspects.alone = nil
	}
}

// release lets the consumers go on.
func (g *gate) release() {
	for _, e := range g.engines {
		e.c.mu.Lock()
		e.suspects.held, e.suspects.alone = false, nil
		e.restartHeld()
	}
	<-g.turn
}

// restartHeld gives workers what was held. The lock is held, and free afterwards.
func (e *engine) restartHeld() {
	e.signalRoom()
	e.unlock(e.wake())
}

// startable reports whether a worker may start an item now. The lock is held.
func (e *engine) startable() bool {
	if e.suspects.held {
		it := e.suspects.solo
		return it != nil && it.state == itemReady
	}
	return e.ready.count > 0 && (!e.pausedNow() || e.stopping)
}
