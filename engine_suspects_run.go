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

// write makes runs the state, and returns when it has been read back: then it is stored, and the
// turn was not over.
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

// take reads one note. It is settled at once, since there are brokers that deliver the next one of
// a key only then. Only the newest state stays unsettled. So the state of another session is
// published again, as this one's, before it is acked: whenever the process ends, a state is in the
// topic.
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

// runSlice lets suspects run alone, one after the other, until the slice is over, and notes the end
// of the last.
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
		// Its lease was lost, or the engine stops, and its handler goes on: what that does to the
		// process from now on does not count.
		if err := e.noteEnds(session); err != nil {
			return err
		}
		if !e.gate.awaitAlone(e.suspects.stop, holdPatience) {
			break
		}
	}
	return e.noteEnds(session)
}

// suspectRef is a suspect as the goroutine may keep it while the lock is free: the item itself may
// be used for another delivery meanwhile.
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

// condemn poisons a suspect whose runs did not come back, unless a process that lives has not had
// the time to say that one did.
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
		it.poison = &Poisoned{Event: it.d.Event, Info: it.info(), At: now, cause: poisonCrashed, Reason: fmt.Errorf(
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

// startSolo lets a suspect start whose run is noted. It returns what is closed when the run came
// back, or nil when it is not to start any more.
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
	d := it.d
	e.noteLater(lineAlone, func() []any { return append(about(&d), deliveries, waiting) })
	e.unlock(w)
	return done, s.stop
}
