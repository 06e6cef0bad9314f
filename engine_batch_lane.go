package leat

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
