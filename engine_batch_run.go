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
