package leat

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat/internal/aside"
	"github.com/leatgo/leat/internal/attempts"
)

// attempt is the context of one call of a handler: that of its lease, and what InfoFrom tells. It
// is used once, so that a handler may keep it, and small, because every event costs one.
type attempt struct {
	lease      *leaseWork
	batch      *batch
	first      time.Duration // when the first attempt began, on the engine's clock
	offset     int64
	partition  int32
	deliveries int32
	number     int32
	// skipped is set by the Router when no handler wants the event's type.
	skipped atomic.Bool
	rare    *attemptRare // nil for most
	item    *item        // the engine's lock guards it; nil once the attempt is over
}

// attemptRare is what few attempts have.
type attemptRare struct {
	crash      error       // what guard returns instead of calling the handler, which ended its goroutine
	told       atomic.Bool // guard has returned crash
	early      bool        // it began before the event ahead of it is done
	positionID string      // Position.ID
	key        string      // Info.Key
	trace      *TraceContext
	fixed      *Info // instead of all the rest, for ContextWithInfo
}

type attemptKey struct{}

// Deadline is the lease's context's, which has none.
func (a *attempt) Deadline() (time.Time, bool) { return a.lease.ctx.Deadline() }

// Done is closed when the handler should stop.
func (a *attempt) Done() <-chan struct{} { return a.lease.ctx.Done() }

// Err tells why; context.Cause tells more.
func (a *attempt) Err() error { return a.lease.ctx.Err() }

// Value returns the attempt itself for its own key, what Leat's own middleware asks for, else what
// the lease's context has.
func (a *attempt) Value(key any) any {
	switch key {
	case attemptKey{}:
		return a
	case aside.CrashKey{}:
		if crash := a.crash(); crash != nil {
			return crash
		}
		return nil
	case aside.LeaseKey{}:
		if a.lease == nil { // of ContextWithInfo
			return nil
		}
		return &a.lease.ctx
	}
	return a.lease.ctx.Value(key)
}

// newAttempt fills in the context of it's present attempt.
func newAttempt(it *item, crash error) *attempt {
	a := it.ctx // of the first attempt, allocated with the batch
	if a == nil {
		a = &attempt{}
	}
	it.ctx, a.item = a, it
	a.lease, a.batch, a.first, a.number = it.lease, it.batch, it.first, int32(it.attempts)
	a.offset, a.partition, a.deliveries = it.d.Position.Offset, it.d.Position.Partition, int32(it.d.Deliveries)
	if crash != nil || it.d.Position.ID != "" || it.d.Key != "" || it.d.Trace != nil || it.startedEarly {
		a.rare = &attemptRare{crash: crash, early: it.startedEarly, positionID: it.d.Position.ID, key: it.d.Key, trace: it.d.Trace}
	}
	return a
}

// early reports whether the attempt began before the event ahead of it is done.
func (a *attempt) early() bool { return a.rare != nil && a.rare.early }

func (a *attempt) crash() error {
	if a.rare == nil {
		return nil
	}
	return a.rare.crash
}

func (a *attempt) info() Info {
	info := Info{Position: Position{Partition: a.partition, Offset: a.offset}}
	if r := a.rare; r != nil {
		if r.fixed != nil {
			info = *r.fixed
			info.Skipped = a.skipped.Load()
			return info
		}
		info.Position.ID, info.Key, info.Trace = r.positionID, r.key, r.trace
	}
	e := a.batch.engine
	info.Topic, info.Group = e.c.sub.Topic, e.c.sub.Group
	info.Attempt, info.FirstAttempt = int(a.number), e.epoch.Add(a.first)
	info.Deliveries, info.Received, info.Skipped = int(a.deliveries), a.batch.received, a.skipped.Load()
	return info
}

// info tells about the delivery as its present attempt sees it, or, before the first, as nobody has
// yet.
func (it *item) info() Info {
	info := Info{
		Topic: it.batch.engine.c.sub.Topic, Group: it.batch.engine.c.sub.Group, Key: it.d.Key, Trace: it.d.Trace, Attempt: it.attempts,
		Deliveries: it.d.Deliveries, Received: it.batch.received, Position: it.d.Position,
	}
	if it.attempts > 0 {
		info.FirstAttempt = it.batch.engine.epoch.Add(it.first)
	}
	return info
}

// markSkipped notes for the Consumer's statistics that no handler wanted the event.
func markSkipped(ctx context.Context) {
	if a, ok := ctx.Value(attemptKey{}).(*attempt); ok {
		a.skipped.Store(true)
	}
	if skipped, ok := ctx.Value(aside.SkipKey{}).(*bool); ok {
		*skipped = true
	}
}

// attemptTable remembers the attempts of events that left the process unsettled, so that a
// redelivery to it goes on counting. The group is that of the Consumer.
type attemptTable struct{ table attempts.Table }

// keep remembers the attempts of it, if there were any. It comes again after delay, which does not
// count where the attempt does not.
func (t *attemptTable) keep(it *item, delay time.Duration) {
	if it.attempts == 0 || it.d.Malformed != nil {
		return
	}
	e, first := it.batch.engine, it.first
	if it.excused {
		first += e.now() - it.started + delay
	}
	t.table.Keep(it.d.Event.Source(), it.d.Event.ID(), attempts.Entry{Attempts: it.attempts, First: e.epoch.Add(first)})
}

// restore gives it the attempts that an earlier delivery had, before its own first.
func (t *attemptTable) restore(it *item) {
	if t.table.Len() == 0 || it.attempts > 0 || it.d.Deliveries == 1 {
		return
	}
	if entry, ok := t.table.Find(it.d.Event.Source(), it.d.Event.ID()); ok {
		it.attempts, it.first = entry.Attempts, entry.First.Sub(it.batch.engine.epoch)
	}
}

// forget drops what is known about it, because it is settled.
func (t *attemptTable) forget(it *item) {
	if t.table.Len() > 0 && it.d.Malformed == nil {
		t.table.Forget(it.d.Event.Source(), it.d.Event.ID())
	}
}

// crashError is a panic or runtime.Goexit of a handler as an error, with the stack.
type crashError struct{ text string }

func (c *crashError) Error() string { return c.text }

func panicked(who string, v any) error {
	return &crashError{fmt.Sprintf("%s panicked: %v\n%s", who, v, debug.Stack())}
}

// guard makes an error of a panic of h. It stands directly around the user's handler, inside all
// middleware, so that Retry and Logging see a panic as they see any error. A runtime.Goexit cannot
// be stopped: it ends the whole chain. The goroutine's last act then is to call the chain once more
// for the same attempt, and guard answers for the handler with what happened to it.
func guard(h Handler) Handler {
	return HandlerFunc(func(ctx context.Context, e Event) (err error) {
		a, ok := ctx.(*attempt)
		if !ok {
			a, _ = ctx.Value(attemptKey{}).(*attempt)
		}
		if a != nil {
			if crash := a.crash(); crash != nil {
				a.rare.told.Store(true)
				return crash
			}
			if a.early() && batchFor(h, e) == nil { // a middleware has changed what decides where it goes
				return a.batch.engine.notItsTurn(e)
			}
		}
		defer func() {
			if v := recover(); v != nil {
				err = panicked("the handler", v)
			}
		}()
		return h.Handle(ctx, e)
	})
}
