package leat

import (
	"context"
	"time"
)

// attempt is the context of one call of a handler: that of its lease, and what InfoFrom tells. It is used once, so that a handler may
// keep it.
type attempt struct {
	context.Context // the lease's

	batch      *batch
	first      time.Duration // when the first attempt began, on the engine's clock
	position   Position
	deliveries int32
	number     int32
	crash      error // what guard returns instead of calling the handler, which ended its goroutine
	fixed      *Info // instead of all that, for ContextWithInfo
	// skipped is set by the Router when no handler wants the event's type. Only the handler's own goroutine touches it.
	skipped bool
}

type attemptKey struct{}

// Value returns the attempt itself for its own key, else what the lease's context has.
func (a *attempt) Value(key any) any {
	if key == (attemptKey{}) {
		return a
	}
	return a.Context.Value(key)
}

func (a *attempt) info() Info {
	if a.fixed != nil {
		return *a.fixed
	}
	e := a.batch.engine
	return Info{
		Topic: e.c.sub.Topic, Group: e.c.sub.Group, Attempt: int(a.number), FirstAttempt: e.epoch.Add(a.first),
		Deliveries: int(a.deliveries), Received: a.batch.received, Position: a.position,
	}
}

// info tells about the delivery as its present attempt sees it, or, before the first, as nobody has yet.
func (it *item) info() Info {
	info := Info{
		Topic: it.batch.engine.c.sub.Topic, Group: it.batch.engine.c.sub.Group, Attempt: it.attempts,
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
		a.skipped = true
	}
}
