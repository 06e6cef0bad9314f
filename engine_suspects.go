package leat

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// An event that the broker has delivered more often than MaxDeliveries is a suspect: it may crash
// the process, or it was prefetched and given back by many processes, which the count does not tell
// apart. So each of its runs is noted in the broker before it begins, and runs alone: among the
// handlers of all consumers of a Run, nothing else can have ended the process. A run that came
// back, in whatever way, is taken out of the notes; a suspect of which suspectRuns runs are still
// there is poisoned.

const (
	// suspectRuns is how many runs of a suspect have to end with the process. One could be a kill
	// from outside, which looks the same.
	suspectRuns = 2
	// suspectGrace is how long a suspect waits, once that many are noted, before it is poisoned: a
	// process that lost its connection while the suspect ran, and lives, has that time to take its
	// run out of the notes.
	suspectGrace = 10 * time.Second
	// suspectSlice is how long suspects run one after the other before the other events get as much
	// time.
	suspectSlice = time.Second
	// holdPatience is how long the running handlers may take at first until a suspect can run
	// alone.
	holdPatience, longestHoldPatience = 10 * time.Second, 10 * time.Minute
)

// suspect is what the engine knows of an item that is one.
type suspect struct {
	id      string   // of the event in the notes; empty until its first run
	runs    []string // that had not come back when it was looked at last
	since   time.Time
	session string // the session in which that was
}

// suspectStage is the engine's state for suspects. The Consumer's lock guards it.
type suspectStage struct {
	waiting readyList // suspects that nothing else holds up
	count   int       // suspects in flight
	working bool      // the goroutine runs
	wake    chan struct{}
	stop    chan struct{} // closed when the engine stops
	ended   chan struct{} // closed when the goroutine has ended; nil before it began
	ctx     context.Context
	cancel  context.CancelFunc
	failed  error // why runs cannot be noted; nil when they can

	failedSince time.Time

	held     bool          // a suspect of some consumer runs, or is about to: nothing else starts
	alone    chan struct{} // closed when no handler runs; nil when nobody waits for that
	solo     *item         // the suspect that may start, or runs
	soloRun  string
	soloDone chan struct{} // closed when its run came back
}

// checkSuspects refuses MaxDeliveries on a stream that does not count deliveries, instead of
// ignoring it. Elsewhere it declares the topic of the notes.
func (e *engine) checkSuspects(ctx context.Context) error {
	if e.c.o.MaxDeliveries == 0 {
		return nil
	}
	if e.caps.DeliveryCount && !e.caps.Broadcast {
		sub := e.c.sub
		return Declare(ctx, e.c.broker, Subscription{Topic: suspectsTopic(sub.Topic, sub.Group), Group: sub.Group})
	}
	what := "the broker does not count deliveries"
	if e.caps.Broadcast {
		what = "a broadcast delivers nothing again after a crash"
	}
	return &Error{Op: "run", Topic: e.c.sub.Topic, Code: CodeUnsupported, Err: fmt.Errorf(
		"%s, so MaxDeliveries (%d) cannot be held; set it to 0, and let the handler count its starts in a store of its own and return Reject "+
			"for an event that it has started too often", what, e.c.o.MaxDeliveries)}
}

// makeReady hands an item that nothing holds up to the workers, or, if it is a suspect, to the
// goroutine that lets it run alone.
func (e *engine) makeReady(it *item) {
	if it.suspect == nil || it.poison != nil {
		e.ready.push(it)
		return
	}
	e.suspects.waiting.push(it)
	it.state = itemSuspect
	e.workSuspects()
}

// workSuspects wakes or starts the goroutine that serves suspects. The lock is held.
func (e *engine) workSuspects() {
	s := &e.suspects
	if s.working {
		select {
		case s.wake <- struct{}{}:
		default:
		}
		return
	}
	if e.stopping {
		return
	}
	s.working, s.ended = true, make(chan struct{})
	go e.serveSuspects()
}

// serveSuspects is the goroutine: it takes the turn with the notes whenever there is something to
// do, and gives it back in between.
func (e *engine) serveSuspects() {
	s := &e.suspects
	defer close(s.ended)
	failures := 0
	for e.awaitSuspects() {
		session, err := openSuspects(s.ctx, e.c.broker, e.c.sub)
		if err == nil {
			failures = 0
			err = e.serveSession(session)
			session.close()
		}
		e.noteSuspects(err)
		if err == nil {
			continue
		}
		failures++
		e.sleepSuspects(defaultBackoff.Delay(failures, rand.Float64))
	}
}

// noteSuspects keeps why runs cannot be noted, for health, and logs it once.
func (e *engine) noteSuspects(err error) {
	if errors.Is(err, errNotesWanted) || errors.Is(err, errReopen) {
		err = nil // it is the turn of another member
	}
	e.c.mu.Lock()
	was := e.suspects.failed
	e.suspects.failed = err
	if was == nil {
		e.suspects.failedSince = time.Now()
	}
	stopping := e.stopping
	e.c.mu.Unlock()
	switch notes := suspectsTopic(e.c.sub.Topic, e.c.sub.Group); {
	case stopping:
	case err != nil && was == nil:
		e.note(lineNotesFail, notes, err)
	case err == nil && was != nil:
		e.note(lineNotesWork, notes)
	}
}

// awaitSuspects waits for something to do; false when there is nothing any more, because the engine
// stops.
func (e *engine) awaitSuspects() bool {
	s := &e.suspects
	for {
		e.c.mu.Lock()
		stopping := e.stopping
		work := s.waiting.count > 0 && !stopping && !e.pausedNow() || !e.c.suspectEnds.empty() && s.ctx.Err() == nil
		if !work && stopping {
			s.working = false
			e.c.mu.Unlock()
			return false
		}
		e.c.mu.Unlock()
		if work {
			return true
		}
		select {
		case <-s.wake:
		case <-s.stop:
		}
	}
}

// sleepSuspects waits for d, or until the engine stops and then only as long as ends may still be
// noted.
func (e *engine) sleepSuspects(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-e.suspects.ctx.Done():
	case <-e.suspects.stop:
		select { // a quicker pace, since the ShutdownTimeout runs
		case <-e.suspects.ctx.Done():
		case <-time.After(min(d, 100*time.Millisecond)):
		}
	}
}

var (
	errReopen = errors.New("others must get the turn first")
)

// serveSession runs the suspects that wait, and notes what has ended, in one turn with the notes.
func (e *engine) serveSession(session *suspectSession) error {
	if err := e.noteEnds(session); err != nil {
		return err
	}
	patience := holdPatience
	for session.over() == nil {
		if e.firstSuspect() == nil {
			return e.noteEnds(session)
		}
		if !e.gate.hold(e.suspects.stop, patience) {
			if e.stoppingNow() {
				return nil
			}
			e.sleepSuspects(patience) // what runs may wait for what is held
			patience = min(2*patience, longestHoldPatience)
			continue
		}
		patience = holdPatience
		began := time.Now()
		err := e.runSlice(session, began.Add(suspectSlice))
		took := time.Since(began)
		e.gate.release()
		if err != nil {
			return err
		}
		if e.firstSuspect() != nil {
			e.sleepSuspects(min(took, suspectSlice))
		}
	}
	return session.over()
}

// soloOver notes that the suspect that runs came back: it returned, or its lease was lost, or the
// engine stops, which is all that the process has to live to see. The lock is held.
func (e *engine) soloOver() {
	s := &e.suspects
	if s.solo == nil {
		return
	}
	e.c.suspectEnds.addRun(s.soloRun)
	s.solo = nil
	close(s.soloDone)
}

// suspectLeaves keeps count. The lock is held.
func (e *engine) suspectLeaves(it *item) {
	if it == e.suspects.solo {
		e.soloOver()
	}
	if it.state == itemSuspect {
		e.suspects.waiting.remove(it)
	}
	e.suspects.count--
}

// stopSuspects ends the wait of the goroutine: a run that is not back by now came back, since the
// process lives to see the shutdown. The lock is held.
func (e *engine) stopSuspects() {
	e.soloOver()
	closeOnce(e.suspects.stop)
	if e.c.suspectEnds.empty() {
		e.suspects.cancel()
	}
}

// awaitSuspectNotes waits until the ends of runs are noted, at most until the deadline, and says
// what could not be noted.
func (e *engine) awaitSuspectNotes(deadline time.Time) {
	e.c.mu.Lock()
	ended := e.suspects.ended
	e.c.mu.Unlock()
	if ended != nil && !await(ended, time.Until(deadline)) {
		e.suspects.cancel()
		await(ended, endGrace)
	}
	e.suspects.cancel()
	e.c.mu.Lock()
	missing := len(e.c.suspectEnds.runs)
	e.c.mu.Unlock()
	if missing > 0 {
		e.note(lineNotesMissing, missing)
	}
}

// finishSuspect notes that a run came back, and takes an event that is done out of the notes. The
// lock is held.
func (e *engine) finishSuspect(it *item, o outcome) {
	if it == e.suspects.solo {
		e.soloOver()
	}
	if o.kind == outcomeHandled || o.kind == outcomePoisoned {
		e.suspectDone(it)
	}
}

// gate lets a suspect run alone among all consumers of one Run: what else runs in them could end
// the process meanwhile, and the suspect would be blamed.
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

// hold keeps the consumers from starting handlers, and waits, at most for d, until those that run
// have returned. Otherwise everything goes on: a running handler may wait for another event to be
// handled.
func (g *gate) hold(stop <-chan struct{}, d time.Duration) bool {
	select {
	case g.turn <- struct{}{}:
	case <-stop:
		return false
	}
	for _, e := range g.engines {
		e.c.mu.Lock()
		e.suspects.held = true
		e.flushBatches()
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
	return e.ready.count > 0 && !e.backlog && (!e.pausedNow() || e.stopping)
}
