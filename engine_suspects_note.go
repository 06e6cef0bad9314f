package leat

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"time"
)

// The runs of suspects are noted in a topic of the group, because the process that a run ends has
// no memory afterwards, and the broker's count of deliveries does not tell a run from a prefetch.
// The newest note of the topic is the state: all runs that began and have not come back. Only the
// stream that holds the topic's one key reads and writes it, so that the members of a group take
// turns.

// suspectNote is the data of one event of that topic.
type suspectNote struct {
	Kind    noteKind `json:"kind"`
	Session string   `json:"session"`
	// Runs is the state, for noteState.
	Runs []suspectRun `json:"runs,omitempty"`
}

// suspectRun is a run that began and has not come back.
type suspectRun struct {
	Event string `json:"event"` // a hash of the event
	Run   string `json:"run"`
}

type noteKind string

const (
	// noteKnock is published by a member that waits for its turn: when it comes to the member
	// itself, the turn has come.
	noteKnock noteKind = "knock"
	// noteBegin is published when the turn has come. All notes of the member before come before it,
	// so the state is known then; a state that another session publishes after it does not count.
	noteBegin noteKind = "begin"
	// noteState has the state.
	noteState noteKind = "state"
)

const (
	suspectType    = "leat.suspects.v1"
	suspectTimeout = 10 * time.Second // of one note
	knockEvery     = 5 * time.Second
	// maxSuspectRuns bounds the state, at about 110 bytes each. The oldest run is forgotten first.
	maxSuspectRuns = 1_000
)

// suspectsTopic returns the topic in which the runs of a group's suspects are noted, named by the
// rule of [PoisonTopic].
func suspectsTopic(topic, group string) string { return topicOfGroup(topic, group, "suspects") }

// suspectID returns the hash that names an event in the notes: of source, id and data.
func suspectID(e Event) string {
	h := sha256.New()
	for _, part := range []string{e.Source(), e.ID(), e.DataString()} {
		_, _ = h.Write(binary.AppendUvarint(nil, uint64(len(part))))
		_, _ = h.Write([]byte(part))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

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

// publishOne publishes an event and waits for its outcome; admission may take as long as ctx lasts.
func publishOne(answer, ctx context.Context, b Broker, topic string, e Event) error {
	outcome := make(chan error, 1)
	b.Publish(ctx, topic, []Event{e}, func(_ int, err error) {
		select {
		case outcome <- err:
		default: // an adapter that reports twice
		}
	})
	select {
	case err := <-outcome:
		return err
	case <-answer.Done():
		return &Error{Op: "publish", Topic: topic, EventID: e.ID(), Code: CodeUnknown, Err: errPending}
	}
}
