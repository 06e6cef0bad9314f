package eventtest

import (
	"cmp"
	"context"

	"github.com/leatgo/leat"
)

// publishBegins takes note of events before the broker gets them, since it may deliver them before
// it has confirmed them.
func (r *Recorder) publishBegins(ctx context.Context, topic string, events []leat.Event) []*publication {
	info, fromHandler := leat.InfoFrom(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.topic(topic)
	pubs := make([]*publication, len(events))
	for i, e := range events {
		p := &publication{topic: t, event: e, at: r.now()}
		pubs[i] = p
		r.add(p)
		for _, g := range t.groups {
			if !g.closed {
				p.visit(g)
			}
		}
		if fromHandler {
			r.caused(p, r.visitAt(info), info.Attempt)
		} else {
			p.verdictOn = r.visitOfPoisoned(e)
			r.caused(p, p.verdictOn, 0)
		}
	}
	r.publishing += len(events)
	return pubs
}

// publishEnds takes the outcome of a publish.
func (r *Recorder) publishEnds(p *publication, err error) {
	refused := err != nil && leat.CodeOf(err) != leat.CodeUnknown // which looks into foreign code, so without the lock
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.state != pubPending {
		return
	}
	r.publishing--
	p.state, p.err, p.refused = pubStored, err, refused
	kind := RecordPublished
	if err != nil {
		p.state, kind = pubFailed, RecordPublishFailed
	}
	r.records = append(r.records, Record{
		Kind: kind, At: r.now(), Topic: p.topic.name, Event: p.event, Attempt: p.cause.Attempt, Err: err, Cause: p.cause,
	})
	for _, v := range p.visits {
		r.recount(v)
	}
	if err == nil && p.verdictOn != nil {
		p.verdictOn.poisoned = true
	}
	r.tell()
}

// visitAt finds what the handler with this Info handles; nil where nobody knows.
func (r *Recorder) visitAt(info leat.Info) *visit {
	var found *visit
	if t := r.topics[info.Topic]; t != nil {
		for _, g := range t.groups {
			same := g.name == info.Group && !g.broadcast || g.broadcast && info.Group == ""
			if v := g.byPosition[info.Position]; same && v != nil {
				found = v
			}
		}
	}
	return found
}

// visitOfPoisoned finds what was given up, for an event on its way to a poison queue; nil for any
// other. The engine publishes these, so there is no handler's context; but they tell where they
// come from.
func (r *Recorder) visitOfPoisoned(e leat.Event) *visit {
	if _, ok := e.Extension("leatreason"); !ok {
		return nil
	}
	p, err := leat.PoisonedFrom(e)
	t := r.topics[p.Info.Topic]
	if err != nil || t == nil {
		return nil
	}
	original := p.Event
	if p.Reduced != nil {
		original = p.Reduced.Event
	}
	var found *visit
	for _, g := range t.groups {
		if g.name != p.Info.Group && (!g.broadcast || p.Info.Group != "") {
			continue
		}
		for position, v := range g.byPosition {
			if position.String() == p.Info.Position.String() && idOf(v.pub.event) == idOf(original) {
				found = v
			}
		}
	}
	return found
}

// caused hangs p under what published it: the attempt of v with this number, or the last one for 0.
func (r *Recorder) caused(p *publication, v *visit, attempt int) {
	if v == nil || len(v.steps) == 0 {
		return
	}
	at := v.steps[len(v.steps)-1]
	for _, s := range v.steps {
		if s.kind == RecordAttempted && (attempt == 0 || s.attempt == attempt) {
			at = s
		}
	}
	at.published = append(at.published, p)
	p.root = false
	p.cause = Cause{Topic: v.pub.topic.name, Group: v.group.name, Event: v.pub.event, Attempt: cmp.Or(at.attempt, attempt)}
}

// declared takes note of groups.
func (r *Recorder) declared(subs []leat.Subscription) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, sub := range subs {
		if sub.Group == "" {
			continue // a topic alone, or a broadcast, of which each stream is a group of its own
		}
		if g := r.group(r.topic(sub.Topic), sub); r.history {
			r.owe(g)
		}
	}
}

// subscribed takes note of a new stream. history says whether its group gets what was published
// before it.
func (r *Recorder) subscribed(sub leat.Subscription, history bool) *groupLog {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.group(r.topic(sub.Topic), sub)
	g.streams++
	if !g.subscribed {
		g.subscribed = true
		for _, p := range g.topic.pubs { // those of a poison queue count from now on
			if v := p.visitOf(g); v != nil {
				r.recount(v)
			}
		}
	}
	if history || r.history {
		r.owe(g)
	}
	r.wake()
	return g
}

// unsubscribed takes note that a stream closes: what it holds goes back to its group, or is gone
// with a broadcast.
func (r *Recorder) unsubscribed(s *recorderStream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	g := s.group
	g.streams--
	g.closed = g.broadcast
	for f := range s.held {
		r.happened(f, RecordGivenBack, leat.Observation{Attempt: attemptOf(f)})
		r.release(f)
	}
	if g.closed {
		for _, p := range g.topic.pubs {
			if v := p.visitOf(g); v != nil {
				r.recount(v)
			}
		}
	}
	r.tell()
}

// delivered takes note of deliveries and gives them the Handle that leads back here.
func (r *Recorder) delivered(s *recorderStream, deliveries []leat.Delivery) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range deliveries {
		d := &deliveries[i]
		v := r.match(s.group, d).visit(s.group)
		v.position, v.seen, v.done, v.poisoned = d.Position, true, false, false
		v.held++
		s.group.byPosition[d.Position] = v
		f := &flight{visit: v, stream: s, handle: d.Handle}
		s.held[f] = true
		d.Handle = f
		v.steps = append(v.steps, &step{kind: RecordDelivered, at: r.now()})
		r.note(v, RecordDelivered, leat.Observation{})
		r.recount(v)
	}
}

// settled takes note of a settlement, which has no effect when the lease had ended.
func (r *Recorder) settled(f *flight, s leat.Settlement, ended bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !f.stream.held[f] {
		return // its stream was closed, or its lease lost
	}
	if !f.observed { // nobody tells more
		kind, o := kindOfAction[s.Action], leat.Observation{Delay: s.Delay}
		if kind == RecordHandled && f.visit.poisoned {
			kind = RecordPoisoned // its poison queue is behind this Recorder, too
		}
		r.happened(f, kind, o)
	}
	f.visit.done = s.Action != leat.GiveBack && !ended
	r.release(f)
	r.tell()
}

// release ends a delivery.
func (r *Recorder) release(f *flight) {
	delete(f.stream.held, f)
	f.visit.held--
	r.recount(f.visit)
}

var kindOfAction = map[leat.Action]RecordKind{
	leat.Ack: RecordHandled, leat.GiveBack: RecordGivenBack, leat.NativeReject: RecordPoisoned,
}

var kindOfObservation = map[leat.ObservationKind]RecordKind{
	leat.ObservedAttempt: RecordAttempted, leat.ObservedPoisoned: RecordPoisoned, leat.ObservedPoisonFailed: RecordPoisonFailed,
	leat.ObservedStuck: RecordStuck, leat.ObservedGivenBack: RecordGivenBack, leat.ObservedLost: RecordLost,
}

// recordKindOf says what an observation is a record of.
func recordKindOf(o *leat.Observation) RecordKind {
	switch {
	case o.Kind != leat.ObservedOutcome:
		return kindOfObservation[o.Kind]
	case o.Skipped:
		return RecordSkipped
	case o.Err == nil:
		return RecordHandled
	case leat.IsRejected(o.Err):
		return RecordRejected
	case leat.IsPostponed(o.Err):
		return RecordPostponed
	case leat.IsPaused(o.Err):
		return RecordPaused
	}
	return RecordRetried
}

// observed takes note of what a Consumer tells.
func (r *Recorder) observed(f *flight, o leat.Observation) {
	kind := recordKindOf(&o) // which looks into an error of the application, so without the lock
	r.mu.Lock()
	defer r.mu.Unlock()
	f.observed, f.visit.group.observed = true, true
	if !f.stream.held[f] {
		return // its stream was closed while a handler did not return
	}
	r.happened(f, kind, o)
	switch o.Kind {
	case leat.ObservedStuck:
		f.visit.stuck = true
		r.stuck++
	case leat.ObservedLost:
		f.visit.done = f.visit.group.broadcast // which may not get it again
		r.release(f)
	default:
		return
	}
	r.tell()
}

// happened adds what happened to the timeline and to the records.
func (r *Recorder) happened(f *flight, kind RecordKind, o leat.Observation) {
	v := f.visit
	r.note(v, kind, o)
	s := &step{kind: kind, at: r.now(), attempt: o.Attempt, err: o.Err, delay: o.Delay}
	switch {
	case kind == RecordAttempted:
		f.attempt = s
	case f.attempt != nil && f.attempt.outcome == "": // the outcome of the attempt that runs
		f.attempt.outcome, f.attempt.end, f.attempt.err, f.attempt.delay = kind, s.at, o.Err, o.Delay
		return
	}
	v.steps = append(v.steps, s)
}

func attemptOf(f *flight) int {
	if f.attempt == nil {
		return 0
	}
	return f.attempt.attempt
}
