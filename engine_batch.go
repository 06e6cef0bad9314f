package leat

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Each event of a batch has a worker of its own, which runs its middleware and then waits in
// joinBatch. While it waits it does not count against Concurrency: what counts is the batches that
// run. So as many workers begin as a batch needs, and when it is done each of them finishes its
// event as it would without a batch: outcome, retry, settlement and statistics know of none.

// batchStage is the engine's state for its batches. The Consumer's lock guards it.
type batchStage struct {
	gathering []*gathering    // one for each Batch that an event came to
	active    []*runningBatch // those that run; as many as Concurrency at most
	gathered  int             // events whose batch does not run yet
}

// gathering is the next batch of a Batch. It holds more members than the Batch takes while that
// many wait for a batch that runs.
type gathering struct {
	h       *batchHandler
	members []*batchMember
	until   time.Duration // when it is due, on the engine's clock
	timer   *time.Timer
	due     bool // it starts however full it is
}

// runningBatch is a batch that runs.
type runningBatch struct {
	h       *batchHandler
	members []*batchMember
	cancel  context.CancelCauseFunc // nil until its context is made
	// told says that it was told to stop, because the context of one of its events ended: an error
	// of fn then says nothing about the others.
	told bool
}

// batchMember is an event in joinBatch.
type batchMember struct {
	ctx   context.Context //nolint:containedctx // it is the handler's
	event Event
	value any // decoded; nil where the Batch wants none

	it    *item  // the engine's lock guards it
	lease *Lease // of it
	state memberState
	group *gathering    // while it is gathered
	batch *runningBatch // once that runs
	void  bool          // the event ahead of it failed: what fn says of it does not count
	until time.Duration // its batch is due then, on the engine's clock; 0 where MaxWait decides
	ended error         // why the context that a middleware made has ended; nil while it has not
	err   error
	wake  chan struct{}
}

type memberState uint8

const (
	memberGathered memberState = iota
	memberRuns
	memberRan  // waits for the event ahead of it
	memberGone // its Handle returns
)

// joinBatch adds an event to the next batch of h and returns the outcome when that has run.
func (e *engine) joinBatch(ctx context.Context, h *batchHandler, a *attempt, ev Event, value any) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	m := h.member()
	m.ctx, m.event, m.value = ctx, ev, value
	watched := ctx != context.Context(a) && ctx.Done() != a.Done()
	wait := h.o.MaxWait
	if watched {
		wait = waitWithin(ctx, wait)
	}
	e.c.mu.Lock()
	it := a.item
	if err := e.refuseMember(h, it, m); err != nil {
		e.c.mu.Unlock()
		return err
	}
	g := e.gathering(h)
	m.it, m.lease, m.group, it.member = it, it.d.Lease, g, m
	if first := len(g.members) == 0; first || wait < h.o.MaxWait {
		m.until = e.now() + wait
		if first || m.until < g.until {
			e.armGathering(g, m.until)
		}
	}
	g.members = append(g.members, m)
	g.due = g.due || it.lease.draining
	e.joined++
	e.batches.gathered++
	e.exposeNext(it)
	e.startBatches()
	e.unlock(e.wake())
	if watched {
		defer context.AfterFunc(ctx, func() { e.memberEnded(m) })()
	}
	<-m.wake
	err := m.err
	if !watched { // else somebody may be about to look at it
		h.reuse(m)
	}
	return err
}

// refuseMember returns why an event cannot join a batch now, or nil. The lock is held.
func (e *engine) refuseMember(h *batchHandler, it *item, m *batchMember) error {
	refuse := func(code Code, text string) error {
		return &Error{Op: "handle", Topic: e.c.sub.Topic, EventID: m.event.ID(), Code: code, Err: textError(text)}
	}
	switch {
	case it == nil:
		return refuse(CodeInvalid, "the Batch was called for an attempt that is over; a middleware must call the next Handler before it returns")
	case it.member != nil:
		return refuse(CodeConflict, "the event is in a batch already; a middleware must call the next Handler once at a time")
	case it.lease.ended.Load():
		return it.lease.ctx.why()
	case it.orphan:
		return e.notItsTurn(it.d.Event)
	}
	if p := it.ahead; p != nil {
		if m := p.member; m == nil || m.state != memberGathered || m.group.h != h || len(m.group.members) >= h.o.MaxEvents {
			return e.notItsTurn(it.d.Event)
		}
	}
	return nil
}

// gathering returns the next batch of h. The lock is held.
func (e *engine) gathering(h *batchHandler) *gathering {
	for _, g := range e.batches.gathering {
		if g.h == h {
			return g
		}
	}
	g := &gathering{h: h}
	e.batches.gathering = append(e.batches.gathering, g)
	return g
}

// waitWithin returns how long an event may wait for others: at most half of the time that is left
// until the deadline of a middleware, so that the function has the other half.
func waitWithin(ctx context.Context, most time.Duration) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return min(most, time.Until(deadline)/2)
	}
	return most
}

// armGathering lets g start at until, on the engine's clock. The lock is held.
func (e *engine) armGathering(g *gathering, until time.Duration) {
	g.until = until
	if wait := until - e.now(); g.timer == nil {
		g.timer = time.AfterFunc(wait, func() { e.gatheringDue(g) })
	} else {
		g.timer.Reset(wait)
	}
}

// rearmGathering lets what is left in g wait for others. The lock is held.
func (e *engine) rearmGathering(g *gathering) {
	until := e.now() + g.h.o.MaxWait
	for _, m := range g.members {
		if m.until > 0 {
			until = min(until, m.until)
		}
	}
	e.armGathering(g, until)
}

// gatheringDue starts g if it has waited long enough: the timer may have fired for the one before.
func (e *engine) gatheringDue(g *gathering) {
	e.c.mu.Lock()
	defer e.c.mu.Unlock()
	if len(g.members) == 0 || e.now() < g.until {
		return
	}
	g.due = true
	e.startBatches()
}

// flushBatches starts what is gathered, or as soon as a batch that runs is over. The lock is held.
func (e *engine) flushBatches() {
	for _, g := range e.batches.gathering {
		g.due = len(g.members) > 0
	}
	e.startBatches()
}

// startBatches starts the batches that have gathered long enough, as far as Concurrency goes. The
// lock is held.
func (e *engine) startBatches() {
	s := &e.batches
	if s.gathered > 0 {
		final := e.gatheredAll()
		for _, g := range s.gathering {
			for len(g.members) > 0 && len(s.active) < e.c.o.Concurrency && (g.due || final || len(g.members) >= g.h.o.MaxEvents) {
				e.startBatch(g)
			}
		}
	}
	e.backlog = s.gathered > 0 && len(s.active) >= e.c.o.Concurrency &&
		slices.ContainsFunc(s.gathering, func(g *gathering) bool { return len(g.members) >= g.h.o.MaxEvents })
}

// gatheredAll reports whether no event can come to what is gathered: nothing is ready or on its
// way, and nothing can be received before something is done; or nothing starts any more.
func (e *engine) gatheredAll() bool {
	if e.stopping || e.suspects.held {
		return true
	}
	return e.running == e.batches.gathered && !e.waking && !e.startable() && (e.starved || e.pausedNow())
}

// startBatch starts what g has gathered, or as much of it as is allowed. The lock is held.
func (e *engine) startBatch(g *gathering) {
	n := min(len(g.members), g.h.o.MaxEvents)
	b := &runningBatch{h: g.h, members: slices.Clone(g.members[:n])}
	g.members = slices.Delete(g.members, 0, n)
	if g.due = false; len(g.members) > 0 {
		e.rearmGathering(g)
	} else {
		g.timer.Stop()
	}
	e.batches.gathered -= n
	e.batches.active = append(e.batches.active, b)
	for _, m := range b.members {
		m.state, m.group, m.batch = memberRuns, nil, b
		e.unexposeNext(m.it)
	}
	go e.runBatch(b)
}

// withdraw takes m out of what is gathered, with err as its outcome, and the later events of its
// key with it: they must not be handled before it. The lock is held.
func (e *engine) withdraw(m *batchMember, err error) {
	next := m.it.after
	g := m.group
	g.members = slices.DeleteFunc(g.members, func(other *batchMember) bool { return other == m })
	e.batches.gathered--
	e.unexposeNext(m.it)
	e.resumeMember(m, err)
	if next != nil && next.early && next.member != nil && next.member.state == memberGathered {
		e.withdraw(next.member, e.notItsTurn(next.d.Event))
	}
}

// resumeMember lets the worker of m go on with err. The lock is held.
func (e *engine) resumeMember(m *batchMember, err error) {
	m.state, m.err, m.group, m.batch = memberGone, err, nil, nil
	m.it.member = nil
	e.joined--
	m.wake <- struct{}{} // it has room, and is used once
}

// abandonMember is for an attempt that ended while the event is in a batch, because a middleware
// did not wait for the next Handler. The lock is held.
func (e *engine) abandonMember(m *batchMember) {
	it := m.it
	switch m.state {
	case memberGathered:
		e.withdraw(m, context.Canceled)
	case memberRan:
		e.resumeMember(m, m.err)
	default: // the item may be used for another delivery before the batch is over
		m.it, it.member = &item{lease: it.lease, d: Delivery{Event: m.event, Lease: it.d.Lease}}, nil
	}
}

// memberEnded does what follows from the end of a context that a middleware has made.
func (e *engine) memberEnded(m *batchMember) {
	cause := context.Cause(m.ctx)
	e.c.mu.Lock()
	m.ended = cause
	switch m.state {
	case memberGathered:
		e.withdraw(m, endedInTheWait(cause))
		e.startBatches()
	case memberRuns:
		m.batch.told = true
		if m.batch.cancel != nil {
			m.batch.cancel(cause)
		}
	}
	e.unlock(e.wake())
}

// endLeaseOfBatches is called when a lease has ended, or, with nil, when all handlers' contexts
// have. The lock is held.
func (e *engine) endLeaseOfBatches(w *leaseWork, cause error) {
	if w != nil && w.unsettled == 0 {
		return
	}
	for _, b := range e.batches.active {
		if slices.ContainsFunc(b.members, func(m *batchMember) bool { return m.state == memberRuns && (w == nil || m.it.lease == w) }) {
			b.told = true
			if b.cancel != nil {
				b.cancel(cause)
			}
		}
	}
	for _, g := range e.batches.gathering {
		for i := 0; i < len(g.members); {
			if m := g.members[i]; w == nil || m.it.lease == w {
				e.withdraw(m, cause)
			} else {
				i++
			}
		}
	}
	e.startBatches()
}

// overcommitted reports whether more workers are active than may be, because a batch is over. Those
// that are too many become idle when their event is done.
func (e *engine) overcommitted() bool { return e.activeWorkers() > e.c.o.Concurrency }

// activeWorkers is how many workers neither are idle nor wait for a batch.
func (e *engine) activeWorkers() int { return e.workers - len(e.idle) - e.joined }

// textError is an error of a text that is always the same.
type textError string

func (t textError) Error() string { return string(t) }

// describe says what an event that has not left its batch waits for, for the error of a drain: once
// for all events of a batch, else "".
func (m *batchMember) describe() string {
	if m.batch == nil || m.batch.members[0] != m {
		return ""
	}
	return fmt.Sprintf("the batch handler of %d events that begin with one", len(m.batch.members))
}
