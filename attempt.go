package leat

import (
	"context"
	"time"
)

// attempt is the context of one call of a handler: that of its lease, and what InfoFrom tells. It is used once, so that a handler may
// keep it, and small, because every event costs one.
type attempt struct {
	lease      *leaseWork
	batch      *batch
	first      time.Duration // when the first attempt began, on the engine's clock
	offset     int64
	partition  int32
	deliveries int32
	number     int32
	// skipped is set by the Router when no handler wants the event's type. Only the handler's own goroutine touches it.
	skipped bool
	rare    *attemptRare // nil for most
}

// attemptRare is what few attempts have.
type attemptRare struct {
	crash      error  // what guard returns instead of calling the handler, which ended its goroutine
	positionID string // Position.ID
	key        string // Info.Key
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

// Value returns the attempt itself for its own key, else what the lease's context has.
func (a *attempt) Value(key any) any {
	if key == (attemptKey{}) {
		return a
	}
	return a.lease.ctx.Value(key)
}

// newAttempt fills in the context of it's present attempt.
func newAttempt(it *item, crash error) *attempt {
	a := it.ctx // of the first attempt, allocated with the batch
	it.ctx = nil
	if a == nil {
		a = &attempt{}
	}
	a.lease, a.batch, a.first, a.number = it.lease, it.batch, it.first, int32(it.attempts)
	a.offset, a.partition, a.deliveries = it.d.Position.Offset, it.d.Position.Partition, int32(it.d.Deliveries)
	if crash != nil || it.d.Position.ID != "" || it.d.Key != "" || it.d.Trace != nil {
		a.rare = &attemptRare{crash: crash, positionID: it.d.Position.ID, key: it.d.Key, trace: it.d.Trace}
	}
	return a
}

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
			return *r.fixed
		}
		info.Position.ID, info.Key, info.Trace = r.positionID, r.key, r.trace
	}
	e := a.batch.engine
	info.Topic, info.Group = e.c.sub.Topic, e.c.sub.Group
	info.Attempt, info.FirstAttempt = int(a.number), e.epoch.Add(a.first)
	info.Deliveries, info.Received = int(a.deliveries), a.batch.received
	return info
}

// info tells about the delivery as its present attempt sees it, or, before the first, as nobody has yet.
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
		a.skipped = true
	}
}
