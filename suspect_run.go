package leat

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/leatgo/leat/internal/uuid"
)

// runSlice lets suspects run alone, one after the other, until the slice is over, and notes the end of the last.
func (e *engine) runSlice(session *suspectSession, until time.Time) error {
	for it := e.firstSuspect(); it != nil && time.Now().Before(until) && session.over() == nil; it = e.firstSuspect() {
		if err := e.serveSuspect(session, it); errors.Is(err, errReopen) || errors.Is(err, errNotesWanted) {
			return errors.Join(err, e.noteEnds(session))
		} else if err != nil {
			return err
		}
		if e.gate.awaitAlone(e.suspects.stop, 0) {
			continue
		}
		// Its lease was lost, or the engine stops, and its handler goes on: what that does to the process from now on does not count.
		if err := e.noteEnds(session); err != nil {
			return err
		}
		if !e.gate.awaitAlone(e.suspects.stop, holdPatience) {
			break
		}
	}
	return e.noteEnds(session)
}

// suspectRef is a suspect as the goroutine may keep it while the lock is free: the item itself may be used for another delivery meanwhile.
type suspectRef struct {
	it  *item
	seq uint64
	e   Event
}

// firstSuspect returns the suspect whose turn it is, or nil.
func (e *engine) firstSuspect() *suspectRef {
	e.c.mu.Lock()
	defer e.c.mu.Unlock()
	it := e.suspects.waiting.first
	if it == nil || e.stopping || e.pausedNow() {
		return nil
	}
	return &suspectRef{it, it.seq, it.d.Event}
}

func (e *engine) stoppingNow() bool {
	e.c.mu.Lock()
	defer e.c.mu.Unlock()
	return e.stopping
}

// still reports whether r waits where it did. The lock is held.
func (e *engine) still(r *suspectRef) bool {
	return r.it.seq == r.seq && r.it.state == itemSuspect && !e.stopping && !e.pausedNow()
}

// serveSuspect lets one suspect run, or poisons it, or lets it wait.
func (e *engine) serveSuspect(session *suspectSession, r *suspectRef) error {
	id := suspectID(r.e)
	open := session.ofEvent(id)
	if len(open) >= suspectRuns {
		return e.condemn(session, r, id, open)
	}
	run := string(uuid.Append(nil, time.Now()))
	e.c.mu.Lock()
	e.c.suspectEnds.addRun(run) // until it begins: a note whose outcome is unknown must not count
	e.c.mu.Unlock()
	if err := e.writeState(session, suspectRun{id, run}); err != nil {
		return err
	}
	done, stopped := e.startSolo(r, suspectRun{id, run}, open)
	if done == nil {
		return nil
	}
	select {
	case <-done:
	case <-stopped:
	}
	return nil
}

// condemn poisons a suspect whose runs did not come back, unless a process that lives has not had the time to say that one did.
func (e *engine) condemn(session *suspectSession, r *suspectRef, id string, open []string) error {
	now := time.Now()
	e.c.mu.Lock()
	defer func() { e.unlock(nil) }()
	if !e.still(r) {
		return nil
	}
	it := r.it
	known := slices.Equal(it.suspect.runs, open)
	switch {
	case known && now.Sub(it.suspect.since) >= suspectGrace && it.suspect.session == session.id:
		return errReopen
	case known && now.Sub(it.suspect.since) >= suspectGrace:
		it.suspect.id = id
		e.suspects.waiting.remove(it)
		it.poison = &Poisoned{Event: it.d.Event, Info: it.info(), At: now, Reason: fmt.Errorf(
			"%d runs of it alone ended with the process, after %d deliveries; MaxDeliveries is %d", len(open), it.d.Deliveries, e.c.o.MaxDeliveries)}
		e.startPoison(it)
		return nil
	case !known:
		it.suspect.runs, it.suspect.since, it.suspect.session = open, now, session.id
	}
	e.suspects.waiting.remove(it)
	e.park.push(it, it.suspect.since.Add(suspectGrace))
	e.armTimer(now)
	return nil
}

// startSolo lets a suspect start whose run is noted. It returns what is closed when the run came back, or nil when it is not to start any
// more.
func (e *engine) startSolo(r *suspectRef, run suspectRun, open []string) (done, stopped <-chan struct{}) {
	s := &e.suspects
	e.c.mu.Lock()
	if !e.still(r) {
		e.c.mu.Unlock()
		return nil, nil
	}
	delete(e.c.suspectEnds.runs, run.Run)
	it := r.it
	it.suspect.id, it.suspect.runs = run.Event, open
	s.solo, s.soloRun, s.soloDone = it, run.Run, make(chan struct{})
	done = s.soloDone
	s.waiting.remove(it)
	e.ready.push(it)
	deliveries, waiting := it.d.Deliveries, s.waiting.count
	w := e.wake()
	e.after = append(e.after, func() {
		e.c.o.Logger.Warn("an event over MaxDeliveries runs alone", "topic", e.c.sub.Topic, "group", e.c.sub.Group,
			"type", r.e.Type(), "id", r.e.ID(), "deliveries", deliveries, "waiting", waiting)
	})
	e.unlock(w)
	return done, s.stop
}
