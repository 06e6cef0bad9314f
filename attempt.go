package leat

import "context"

// attempt is the context of one call of a handler: that of its lease, and what InfoFrom tells. It is allocated with the delivery and
// used once, so that a handler may keep it.
type attempt struct {
	context.Context
	fixed *Info
	// skipped is set by the Router when no handler wants the event's type. Only the handler's own goroutine touches it.
	skipped bool
}

type attemptKey struct{}

func (a *attempt) info() Info { return *a.fixed }

// markSkipped notes for the Consumer's statistics that no handler wanted the event.
func markSkipped(ctx context.Context) {
	if a, ok := ctx.Value(attemptKey{}).(*attempt); ok {
		a.skipped = true
	}
}
