package leat

import (
	"errors"
	"slices"
)

// suspectEnds is what has to be taken out of the notes. It outlives a run of the Consumer.
type suspectEnds struct {
	runs   map[string]bool // that came back, or never began
	events map[string]bool // that are handled or poisoned, by suspectID
}

func (s *suspectEnds) addRun(run string) {
	if s.runs == nil {
		s.runs = map[string]bool{}
	}
	s.runs[run] = true
}

func (s *suspectEnds) addEvent(id string) {
	if s.events == nil {
		s.events = map[string]bool{}
	}
	s.events[id] = true
}

func (s *suspectEnds) empty() bool { return len(s.runs)+len(s.events) == 0 }

// suspectDone takes an event that is handled or poisoned out of the notes. The lock is held.
func (e *engine) suspectDone(it *item) {
	if it.suspect != nil && len(it.suspect.runs) > 0 {
		e.c.suspectEnds.addEvent(it.suspect.id)
		e.workSuspects()
	}
}

// noteEnds takes out of the notes what came back.
func (e *engine) noteEnds(session *suspectSession) error {
	e.c.mu.Lock()
	none := e.c.suspectEnds.empty()
	e.c.mu.Unlock()
	if none {
		return nil
	}
	err := e.writeState(session)
	if errors.Is(err, errNotesWanted) {
		return nil // it is stored, and nobody else has had the turn yet
	}
	return err
}

// writeState notes the runs that begin, and takes those out that came back.
func (e *engine) writeState(session *suspectSession, begin ...suspectRun) error {
	e.c.mu.Lock()
	ends := &e.c.suspectEnds
	runs, events := make([]string, 0, len(ends.runs)), make([]string, 0, len(ends.events))
	for run := range ends.runs {
		if len(begin) == 0 || begin[0].Run != run {
			runs = append(runs, run)
		}
	}
	for id := range ends.events {
		events = append(events, id)
	}
	state := slices.DeleteFunc(slices.Clone(session.runs), func(r suspectRun) bool { return ends.runs[r.Run] || ends.events[r.Event] })
	e.c.mu.Unlock()
	if len(state) == len(session.runs) && len(begin) == 0 {
		e.forgetEnds(runs, events) // they are not there
		return nil
	}
	err := session.write(e.suspects.ctx, append(state, begin...))
	if err == nil || errors.Is(err, errNotesWanted) {
		e.forgetEnds(runs, events)
	}
	return err
}

func (e *engine) forgetEnds(runs, events []string) {
	e.c.mu.Lock()
	defer e.c.mu.Unlock()
	for _, run := range runs {
		delete(e.c.suspectEnds.runs, run)
	}
	for _, id := range events {
		delete(e.c.suspectEnds.events, id)
	}
}
