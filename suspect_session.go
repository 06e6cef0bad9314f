package leat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/leatgo/leat/internal/uuid"
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
	last   string       // the id of the note that was read last
	runs   []suspectRun // the state
	newest string       // the id of the state that this session published last
	held   []Delivery   // that state, once it came back: not settled, so that it stays

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
	s := &suspectSession{broker: b, sub: sub, stream: stream, id: string(uuid.Append(nil, time.Now())), seen: map[*Lease]bool{}}
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
			break
		}
		if ctx.Err() != nil || !errors.Is(err, errNoTurn) {
			return err
		}
	}
	if err := s.note(ctx, suspectTimeout, suspectNote{Kind: noteBegin, Session: s.id}); err != nil || s.newest == "" {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, suspectTimeout)
	defer cancel()
	return s.readUntil(ctx, cancel, func() bool { return len(s.held) > 0 })
}

// write makes runs the state, and returns when it has been read back: then it is stored, and the turn was not over.
func (s *suspectSession) write(ctx context.Context, runs []suspectRun) error {
	if len(runs) > maxSuspectRuns {
		runs = runs[len(runs)-maxSuspectRuns:]
	}
	return s.note(ctx, suspectTimeout, suspectNote{Kind: noteState, Session: s.id, Runs: runs})
}

// publish stores a note and returns its id. Admission may take as long as ctx lasts.
func (s *suspectSession) publish(ctx context.Context, n suspectNote) (string, error) {
	data, err := json.Marshal(n)
	if err != nil {
		return "", err
	}
	e, err := NewEvent(suspectType, &EventOptions{Source: "/leat", Key: "suspects", DataContentType: "application/json", Data: data})
	if err != nil {
		return "", err
	}
	answer, cancel := context.WithTimeout(context.WithoutCancel(ctx), suspectTimeout)
	defer cancel()
	if err := publishOne(answer, ctx, s.broker, s.sub.Topic, e); err != nil {
		return "", err
	}
	if n.Kind == noteState { // it is stored behind the one that is held, which may go
		s.newest = e.ID()
		s.settle(Ack, s.held...)
		s.held = s.held[:0]
	}
	return e.ID(), nil
}

// errNoTurn says that a note did not come back in time.
var errNoTurn = errors.New("a note did not come back in time")

// note publishes a note and reads until it comes back, for at most d.
func (s *suspectSession) note(ctx context.Context, d time.Duration, n suspectNote) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	id, err := s.publish(ctx, n)
	if err != nil {
		return err
	}
	return s.readUntil(ctx, cancel, func() bool { return s.last == id })
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

// readUntil reads notes, one by one, until done.
func (s *suspectSession) readUntil(ctx context.Context, cancel context.CancelFunc, done func() bool) error {
	s.mu.Lock()
	s.cancel = cancel
	s.mu.Unlock()
	var into [1]Delivery // another one may be a run's state, which has to be copied first
	for !done() {
		if err := s.over(); err != nil {
			return err
		}
		n, err := s.stream.Receive(ctx, into[:])
		if n > 0 {
			s.attach(into[0].Lease)
		}
		switch over := s.over(); {
		case over != nil:
			return over
		case n > 0:
			err = s.take(ctx, into[0])
		case err != nil && ctx.Err() != nil:
			err = fmt.Errorf("%w: %w", errNoTurn, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// take reads one note. It is settled at once, since there are brokers that deliver the next one of a key only then. Only the newest state
// stays unsettled. So the state of another session is published again, as this one's, before it is acked: whenever the process ends, a
// state is in the topic.
func (s *suspectSession) take(ctx context.Context, d Delivery) error {
	var n suspectNote
	if d.Malformed != nil || d.Event.Type() != suspectType || json.Unmarshal(d.Event.Data(), &n) != nil {
		n.Kind = ""
	}
	s.last = d.Event.ID()
	switch {
	case n.Kind == noteState && d.Event.ID() == s.newest && s.fence == s.id:
		s.runs, s.held = n.Runs, append(s.held[:0], d)
		return nil
	case n.Kind == noteState && (n.Session == s.id && d.Event.ID() == s.newest ||
		n.Session != s.id && (s.fence == "" || s.fence == n.Session)): // before this session's begin, which comes behind it
		s.runs = n.Runs
		if n.Session != s.id {
			s.fence = n.Session
		}
		if len(n.Runs) > 0 || s.newest != "" {
			if _, err := s.publish(ctx, suspectNote{Kind: noteState, Session: s.id, Runs: n.Runs}); err != nil {
				return err
			}
		}
	case n.Kind == noteBegin:
		s.fence = n.Session
	}
	s.settle(Ack, d)
	return nil
}

// settle is how notes leave. They are no deliveries of the Consumer, and no observer is told.
func (s *suspectSession) settle(how Action, ds ...Delivery) {
	for i := range ds {
		s.stream.Settle(&ds[i], Settlement{Action: how})
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
	quiesce(s.stream)
	switch over := s.over(); {
	case over == nil && len(s.runs) == 0:
		s.settle(Ack, s.held...)
	case over != nil:
		s.settle(GiveBack, s.held...)
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
