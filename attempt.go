package leat

import "context"

// attempt is the context of one call of a handler: that of its lease, and what InfoFrom tells. It is used once, so that a handler may
// keep it.
type attempt struct {
	context.Context // the lease's
	engine          *engine
	item            *item
	number          int
	fixed           *Info // instead of item, for ContextWithInfo
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
	return a.item.info(a.engine.c.sub, a.number)
}

// info tells about the delivery as attempt number n sees it. It reads only what does not change once that attempt has begun.
func (it *item) info(sub Subscription, n int) Info {
	return Info{
		Topic: sub.Topic, Group: sub.Group, Attempt: n, FirstAttempt: it.first, Deliveries: it.d.Deliveries,
		Received: it.received, Position: it.d.Position,
	}
}

// markSkipped notes for the Consumer's statistics that no handler wanted the event.
func markSkipped(ctx context.Context) {
	if a, ok := ctx.Value(attemptKey{}).(*attempt); ok {
		a.skipped = true
	}
}
