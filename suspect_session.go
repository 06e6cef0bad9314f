package leat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

var (
	errNotesLost   = errors.New("the lease of the topic was lost")
	errNotesWanted = errors.New("another member of the group wants the topic")
)

// suspectSession is one turn with the notes. One goroutine uses it.
type suspectSession struct {
	broker Broker
	sub    Subscription
	stream Stream
	id     string
	fence  string       // the session whose state counts
	runs   []suspectRun // the state
	states []Delivery   // the newest state, not settled
	begins []Delivery   // the newest begin after it, not settled

	mu       sync.Mutex
	seen     map[*Lease]bool
	lost     bool
	wanted   bool
	releases []func()
	cancel   context.CancelFunc // ends a wait when the lease is lost or wanted
}

// openSuspects waits for the turn, as long as ctx lasts, and reads the state.
func openSuspects(ctx context.Context, b Broker, sub Subscription) (*suspectSession, error) {
	sub = Subscription{Topic: suspectsTopic(sub.Topic, sub.Group), Group: sub.Group}.WithDefaults()
	stream, err := b.Subscribe(ctx, sub)
	if err != nil {
		return nil, err
	}
	s := &suspectSession{broker: b, sub: sub, stream: stream, id: string(appendUUID(nil, time.Now())), seen: map[*Lease]bool{}}
	if err := s.begin(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// begin knocks until the turn has come, and reads all notes.
func (s *suspectSession) begin(ctx context.Context) error {
	if s.stream.Capabilities().Order != OrderPerGroup {
		return &Error{Op: "consume", Topic: s.sub.Topic, Code: CodeUnsupported,
			Err: errors.New("the stream does not keep order across the group")}
	}
	for {
		err := s.note(ctx, knockEvery, suspectNote{Kind: noteKnock, Session: s.id})
		if err == nil {
			return s.note(ctx, suspectTimeout, suspectNote{Kind: noteBegin, Session: s.id})
		}
		if ctx.Err() != nil || !errors.Is(err, errNoTurn) {
			return err
		}
	}
}

// write makes runs the state, and returns when it has been read back: then it is stored, and the turn was not over.
func (s *suspectSession) write(ctx context.Context, runs []suspectRun) error {
	if len(runs) > maxSuspectRuns {
		runs = runs[len(runs)-maxSuspectRuns:]
	}
	return s.note(ctx, suspectTimeout, suspectNote{Kind: noteState, Session: s.id, Runs: runs})
}

// errNoTurn says that a note did not come back in time.
var errNoTurn = errors.New("a note did not come back in time")

// note publishes a note and reads until it comes back, for at most d.
func (s *suspectSession) note(ctx context.Context, d time.Duration, n suspectNote) error {
	data, err := json.Marshal(n)
	if err != nil {
		return err
	}
	e, err := NewEvent(suspectType, &EventOptions{Source: "/leat", Key: "suspects", DataContentType: "application/json", Data: data})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	stored, cancelStored := context.WithTimeout(context.WithoutCancel(ctx), suspectTimeout)
	defer cancelStored()
	if err := publishOne(stored, ctx, s.broker, s.sub.Topic, e); err != nil {
		return err
	}
	return s.readUntil(ctx, cancel, e.ID())
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

// readUntil reads notes until the one with that id came.
func (s *suspectSession) readUntil(ctx context.Context, cancel context.CancelFunc, id string) error {
	s.mu.Lock()
	s.cancel = cancel
	s.mu.Unlock()
	into := make([]Delivery, 16)
	for found := false; !found; {
		if err := s.over(); err != nil {
			return err
		}
		n, err := s.stream.Receive(ctx, into)
		for i := range into[:n] {
			s.attach(into[i].Lease)
			found = found || into[i].Malformed == nil && into[i].Event.ID() == id
			s.take(into[i])
		}
		if over := s.over(); over != nil {
			return over
		}
		if err != nil && ctx.Err() != nil {
			return fmt.Errorf("%w: %w", errNoTurn, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// take reads one note. What a newer one makes superfluous is acked; the rest goes back when the session ends.
func (s *suspectSession) take(d Delivery) {
	var n suspectNote
	if d.Malformed != nil || d.Event.Type() != suspectType || json.Unmarshal(d.Event.Data(), &n) != nil {
		n.Kind = ""
	}
	switch {
	case n.Kind == noteState && (s.fence == "" || s.fence == n.Session):
		s.ack(s.states...)
		s.ack(s.begins...)
		s.fence, s.runs, s.states, s.begins = n.Session, n.Runs, append(s.states[:0], d), s.begins[:0]
	case n.Kind == noteBegin:
		s.fence = n.Session
		s.ack(s.begins...)
		s.begins = append(s.begins[:0], d)
	default:
		s.ack(d)
	}
}

func (s *suspectSession) ack(ds ...Delivery) {
	for i := range ds {
		s.stream.Settle(&ds[i], Settlement{Action: Ack})
	}
}

// attach watches a lease: a session ends with it.
func (s *suspectSession) attach(l *Lease) {
	s.mu.Lock()
	known := s.seen[l]
	s.seen[l] = true
	s.mu.Unlock()
	if known {
		return
	}
	l.Attach(func(release func()) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.wanted, s.releases = true, append(s.releases, release)
		s.cancelWait()
	}, func(error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.lost = true
		s.cancelWait()
	})
}

func (s *suspectSession) cancelWait() {
	if s.cancel != nil {
		s.cancel()
	}
}

// over returns why the turn is over, or nil.
func (s *suspectSession) over() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.lost:
		return errNotesLost
	case s.wanted:
		return errNotesWanted
	}
	return nil
}

// close gives the turn to the next member. A state without runs need not be kept.
func (s *suspectSession) close() {
	if s.fence == s.id && len(s.runs) == 0 && s.over() == nil { // all notes were read
		s.ack(s.states...)
		s.ack(s.begins...)
	}
	s.mu.Lock()
	releases := s.releases
	s.releases = nil
	s.mu.Unlock()
	for _, release := range releases {
		release()
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	_ = s.stream.Close(ctx) // what it could not flush comes again, and the newest note counts
}

// ofEvent returns the runs of an event that have not come back.
func (s *suspectSession) ofEvent(id string) []string {
	var runs []string
	for _, r := range s.runs {
		if r.Event == id {
			runs = append(runs, r.Run)
		}
	}
	slices.Sort(runs)
	return runs
}
