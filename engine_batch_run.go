package leat

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
)

// runBatch runs a batch, on a goroutine of its own: so a runtime.Goexit in it ends no worker, and
// all of its events are alike.
func (e *engine) runBatch(b *runningBatch) {
	ctx, cancel := context.WithCancelCause(e.base)
	defer cancel(nil)
	ended := make([]error, len(b.members))
	for i, m := range b.members {
		if m.ctx.Err() != nil {
			ended[i] = endedInTheWait(context.Cause(m.ctx))
		} else if m.lease.lapsed() {
			ended[i] = ErrLeaseLost
		}
	}
	var o outcomes
	returned := false
	defer func() {
		if !returned {
			o = outcomes{all: &crashError{"the batch handler called runtime.Goexit\n" + string(debug.Stack())}}
		}
		e.finishBatch(b, o)
	}()
	events, values := e.beginBatch(b, cancel, ended)
	if len(events) > 0 {
		o = batchOutcomes(b.h.run(ctx, events, values), len(events))
	}
	returned = true
}

// beginBatch drops the events that have ended while they waited, and returns the others.
func (e *engine) beginBatch(b *runningBatch, cancel context.CancelCauseFunc, ended []error) (events []Event, values []any) {
	e.c.mu.Lock()
	members := b.members
	b.members = make([]*batchMember, 0, len(members))
	for i, m := range members {
		err := ended[i]
		if err == nil {
			err = m.it.lease.ctx.why()
		}
		if err == nil && m.ended != nil {
			err = endedInTheWait(m.ended)
		}
		switch p := m.it.ahead; {
		case err != nil:
		case p != nil && (p.member == nil || p.member.batch != b):
			err = e.notItsTurn(m.it.d.Event) // the one ahead of it was dropped
		default:
			b.members = append(b.members, m)
			continue
		}
		e.resumeMember(m, err)
	}
	b.cancel, b.told = cancel, false
	events = make([]Event, len(b.members))
	if b.h.decode != nil {
		values = make([]any, len(b.members))
	}
	for i, m := range b.members {
		if events[i] = m.event; values != nil {
			values[i] = m.value
		}
	}
	e.unlock(e.wake())
	return events, values
}

// finishBatch gives the events of a batch their outcomes and lets the next batch start.
func (e *engine) finishBatch(b *runningBatch, o outcomes) {
	var alive []bool // whether the contexts of the events are, where one of them may have failed
	if o.all != nil || o.each != nil {
		alive = make([]bool, len(b.members))
		for i, m := range b.members { // without the lock, because it may be a context of foreign code
			alive[i] = m.ctx.Err() == nil
		}
	}
	e.c.mu.Lock()
	s := &e.batches
	s.active = slices.DeleteFunc(s.active, func(other *runningBatch) bool { return other == b })
	for i, m := range b.members {
		m.state, m.err = memberRan, o.of(i)
		switch {
		case m.void:
			m.err = e.notItsTurn(m.it.d.Event)
		case m.err != nil && b.told && alive[i]:
			m.err = inTurn(&toldError{m.err})
		}
		if m.void || m.it.ahead == nil {
			e.resumeMember(m, m.err)
		}
	}
	e.startBatches()
	e.unlock(e.wake())
}

// toldError is the error of an event whose batch was told to stop because another of its events was
// lost or timed out.
type toldError struct{ err error }

func (t *toldError) Error() string {
	return "the batch was told to stop, because another of its events was lost or timed out: " + t.err.Error()
}

func (t *toldError) Unwrap() error { return t.err }

// endedInTheWait is the outcome of an event whose context a middleware has ended before its batch
// began, so that it is not to blame. The delay is for a middleware that does so each time.
func endedInTheWait(cause error) error {
	return Postpone(defaultBackoff.Initial, fmt.Errorf("the event was given up while it waited for its batch: %w", cause))
}

// With BatchOptions.SameKey, an event may start before the one ahead of it in its lane is done, so
// that both get into one batch. It is early then: it joins the batch in which the other one is
// gathered, or waits for its turn like any other. Its outcome counts only when all ahead of it have
// succeeded, one after the other, each with its middleware.

// exposeNext makes the event behind it ready, where that may join the batch in which it is
// gathered. The lock is held.
func (e *engine) exposeNext(it *item) {
	next, m := it.after, it.member
	if next == nil || m == nil || m.state != memberGathered || !m.group.h.o.SameKey {
		return
	}
	h := m.group.h
	if next.state != itemWaiting || next.poison != nil || next.suspect != nil || next.lease.draining || e.stopping ||
		len(m.group.members) >= h.o.MaxEvents || batchFor(e.c.root, next.d.Event) != h {
		return
	}
	next.early = true
	e.makeReady(next)
}

// unexposeNext takes back exposeNext, for an event that no worker has yet. The lock is held.
func (e *engine) unexposeNext(it *item) {
	if next := it.after; next != nil && next.early && next.state == itemReady {
		e.ready.remove(next)
		next.early = false
	}
}

// makeReadyInTurn makes an item ready, or lets it wait for those ahead of it, which it was started
// with. The lock is held.
func (e *engine) makeReadyInTurn(it *item) {
	if it.ahead != nil {
		it.state = itemWaiting
		return
	}
	e.makeReady(it)
}

// notItsTurn is the outcome of an event that was early, and is not done because of that.
func (e *engine) notItsTurn(ev Event) error {
	return inTurn(&Error{Op: "handle", Topic: e.c.sub.Topic, EventID: ev.ID(), Code: CodeHandler,
		Err: textError("an earlier event of its key is not done yet")})
}

// tooEarly reports whether an attempt that began before the event ahead is done has ended before
// that, too: a middleware has answered for the Batch, or the data could not be decoded. The event
// is tried again in its turn, whatever the answer, since it would be acked or poisoned out of
// order. Only the success of the event ahead takes back that it is early. The lock is free.
func (e *engine) tooEarly(it *item, a *attempt) bool {
	if !a.early() {
		return false
	}
	e.c.mu.Lock()
	defer e.c.mu.Unlock()
	return it.early
}

// finish does with an item that a worker had what its outcome says, and with an early one behind it
// what follows from that. The lock is held.
func (e *engine) finish(it *item, o outcome) {
	if a := it.ctx; a != nil { // a handler may keep it
		a.item, it.ctx = nil, nil
	}
	if it.member != nil {
		e.abandonMember(it.member)
	}
	it.early = false
	next := it.after
	if next == nil || !next.early {
		e.conclude(it, o)
		return
	}
	e.conclude(it, o)
	if next.state == itemGone {
		return // it was given back
	}
	if next.ahead == it || o.kind != outcomeHandled && o.kind != outcomePoisoned {
		e.recall(next)
		return
	}
	if m := next.member; next.ahead == nil {
		next.early = false
		if m != nil && m.state == memberRan {
			e.resumeMember(m, m.err)
		}
	}
}

// recall puts an early item back behind the one ahead of it, which is not done. The lock is held.
func (e *engine) recall(it *item) {
	m := it.member
	switch {
	case it.state == itemReady:
		if it.early = false; it.ahead != nil {
			e.ready.remove(it)
		}
	case m == nil: // joinBatch sees it, or a middleware answers for it
	case m.state == memberGathered:
		e.withdraw(m, e.notItsTurn(it.d.Event))
	case m.state == memberRuns:
		m.void = true
	case m.state == memberRan:
		e.resumeMember(m, e.notItsTurn(it.d.Event))
	}
}
