package eventtest

import (
	"context"
	"errors"
	"testing/synctest"

	"github.com/leatgo/leat"
)

// perform does an action, and what is to go wrong with it.
func (c *chaos) perform(a *action) {
	c.odd = a.d.fault != faultNone || a.d.steps > 0 || a.kind == doRestart
	defer func() { c.odd = false }()
	switch a.kind {
	case doRestart:
		c.start(a.life)
	case doDeliver:
		c.deliver(a)
	default:
		c.performOp(a)
	}
}

// performOp carries out what a service asked for.
func (c *chaos) performOp(a *action) {
	o := a.op
	if a.d.fault == faultLeaseLost {
		c.notef(o.h.service, o.out.line, "lease of %s lost", o.out.name)
		a.d.fault = faultNone
		c.lose(o.out, errTaken)
		c.mu.Lock()
		if o.kind == opSettle { // the settlement of a lost delivery has no effect, but a handler goes on
			c.settled(o.out.stream)
		} else {
			c.actions = append([]*action{a}, c.actions...)
		}
		c.mu.Unlock()
		return
	}
	if a.d.fault == faultCrashBefore {
		c.crash(o.h, "before "+c.describe(o), causeOf(o))
		return
	}
	c.mu.Lock()
	if o.canceled {
		c.mu.Unlock()
		return
	}
	o.decided = true
	if o.out != nil {
		o.out.acts--
	}
	ans := answer{last: a.d.fault == faultCrashAfter}
	switch o.kind {
	case opPublish:
		ans = c.doPublish(a)
	case opEffect:
		ans.skipped = !c.doEffect(o)
	case opSettle:
		c.doSettle(a)
	}
	c.mu.Unlock()
	if o.answer != nil && (!ans.last || o.kind != opPublish) {
		o.answer <- ans
	}
	if a.d.fault == faultCrashAfter {
		if o.kind == opEffect {
			synctest.Wait() // what belongs to the effect takes place with it
		}
		c.crash(o.h, "after "+c.describe(o), causeOf(o))
	}
}

func causeOf(o *op) int {
	if o.out == nil {
		return 0
	}
	return o.out.line
}

// describe says what an op is, for the timeline.
func (c *chaos) describe(o *op) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch name := c.names[idOf(o.event)]; o.kind {
	case opPublish:
		return "publish " + name
	case opEffect:
		return "effect " + o.effect + " of " + name
	default:
		return settleVerb(o.action) + " of " + o.out.name
	}
}

// doPublish stores an event, or fails to. The lock is held.
func (c *chaos) doPublish(a *action) answer {
	o, name := a.op, c.names[idOf(a.op.event)]
	outcome := "stored"
	var ans answer
	switch a.d.fault {
	case faultRefused:
		outcome, ans = "REFUSED", answer{code: leat.CodeUnavailable, err: errors.New("refused by the schedule")}
	case faultUnknownLost:
		outcome, ans = "UNKNOWN OUTCOME, not stored", answer{code: leat.CodeUnknown, err: errors.New("no answer, by the schedule")}
	case faultUnknownStored:
		outcome, ans = "UNKNOWN OUTCOME, stored", answer{code: leat.CodeUnknown, err: errors.New("no answer, by the schedule")}
	case faultCrashAfter:
		ans.last = true
	}
	key := ""
	if o.event.Key() != "" {
		key = " key " + o.event.Key()
	}
	at := c.noteLockedf(o.h.service, causeOf(o), "publish %s (%s%s) to %s: %s", name, o.event.Type(), key, o.topic, outcome)
	if a.d.fault != faultRefused && a.d.fault != faultUnknownLost {
		c.store(o.topic, o.event, name, at)
	}
	return ans
}

// doEffect counts an effect; false when it has taken place before and shall not again. The lock is
// held.
func (c *chaos) doEffect(o *op) bool {
	id, name := effectID{idOf(o.event), o.effect}, c.names[idOf(o.event)]
	switch {
	case len(c.effects[id]) == 0:
		c.firsts = append(c.firsts, id)
		c.effects[id] = []int{c.noteLockedf(o.h.service, causeOf(o), "effect %s of %s", o.effect, name)}
	case o.once:
		c.noteLockedf(o.h.service, causeOf(o), "effect %s of %s has taken place already", o.effect, name)
		return false
	default:
		c.odd = true
		c.effects[id] = append(c.effects[id], c.noteLockedf(o.h.service, causeOf(o), "effect %s of %s AGAIN", o.effect, name))
	}
	return true
}

// doSettle stores a settlement. The lock is held.
func (c *chaos) doSettle(a *action) {
	o := a.op
	s := o.out.stream
	c.settled(s)
	if o.out.over {
		return
	}
	c.odd = c.odd || o.action != leat.Ack
	at := c.noteLockedf(o.h.service, o.out.line, "%s of %s", settleVerb(o.action), o.out.name)
	if o.action == leat.NativeReject {
		c.poisoned[poisonKey(o.out.topic, o.out.lane.group.name, idOf(o.event))] = true
	}
	g := o.out.lane.group
	c.end(o.out, o.action != leat.GiveBack)
	if a.d.fault == faultRedeliver {
		c.noteLockedf(nil, at, "%s comes again, behind its key", o.out.name)
		c.enqueue(g, &entry{stored: o.out.stored, deliveries: o.out.deliveries})
	}
}

// settled counts a settlement that is stored, or has no effect. The lock is held.
func (c *chaos) settled(s *stream) {
	if s.settles--; s.settles == 0 {
		c.flushed(s)
	}
}

// whenFlushed closes done once all settlements of s are stored.
func (c *chaos) whenFlushed(s *stream, done chan struct{}) {
	if s.settles == 0 {
		close(done)
		return
	}
	c.flushing[s] = done
}

// deliver hands the head of a lane to a stream.
func (c *chaos) deliver(a *action) {
	c.mu.Lock()
	g := a.lane.group
	s := g.receiver()
	g.turn++
	out := a.lane.take(s)
	s.waiting = false
	again := ""
	if out.number > 1 {
		again, c.odd = ", AGAIN", true
	}
	out.line = c.noteLockedf(s.h.service, out.stored.line, "deliver %s (delivery %d%s)", out.name, out.number, again)
	s.feed <- leat.Delivery{
		Event: out.event, Lease: out.lease, Deliveries: out.number, Position: leat.Position{Offset: out.offset}, Handle: out,
	}
	c.mu.Unlock()
	switch a.d.fault {
	case faultCrashBefore:
		synctest.Wait()
		c.crash(s.h, "while it handles "+out.name, out.line)
	case faultLeaseLost:
		synctest.Wait()
		c.notef(s.h.service, out.line, "lease of %s lost", out.name)
		c.lose(out, errTaken)
	}
}

// lose ends the lease of a delivery, which goes back to its group. The handler goes on.
func (c *chaos) lose(out *handout, cause error) {
	c.mu.Lock()
	if out.over {
		c.mu.Unlock()
		return
	}
	c.end(out, false)
	c.mu.Unlock()
	out.lease.End(cause)
}

// crash ends a life of a service: nothing that it does counts any more, its calls do not return,
// its context ends.
func (c *chaos) crash(h *handle, when string, cause int) {
	c.mu.Lock()
	c.noteLockedf(h.service, cause, "CRASH %s", when)
	c.mu.Unlock()
	h.fence()
}

// fence makes a handle dead. The leases end before its calls do, so that the engine takes a handler
// whose goroutine ends there for lost, not for failed.
func (h *handle) fence() {
	h.c.mu.Lock()
	h.dead = true
	var leases []*leat.Lease
	var over []chan struct{}
	for _, s := range h.streams {
		if !s.closed {
			s.closed = true
			over = append(over, s.over)
			leases = append(leases, s.leave()...)
		}
		h.c.flushed(s)
	}
	h.c.mu.Unlock()
	for _, l := range leases {
		l.End(errFenced)
	}
	close(h.gone)
	synctest.Wait() // handlers end before the Consumer stops: which of the two comes first must not be left to chance
	for _, o := range over {
		close(o)
	}
	h.service.cancel(errFenced)
}

// flushed tells a Close that it need not wait for settlements any more. The lock is held.
func (c *chaos) flushed(s *stream) {
	if done := c.flushing[s]; done != nil {
		close(done)
		delete(c.flushing, s)
	}
}

// notePoisoned remembers which delivery an event of a poison queue stands for. The lock is held.
func (c *chaos) notePoisoned(e leat.Event) {
	if p, err := leat.PoisonedFrom(e); err == nil {
		c.poisoned[poisonKey(p.Info.Topic, p.Info.Group, idOf(e))] = true
	}
}

func poisonKey(topic, group string, id eventID) string {
	return topic + "\x00" + group + "\x00" + id.source + "\x00" + id.id
}

// start begins a life of a service.
func (c *chaos) start(s *service) {
	c.mu.Lock()
	s.lives++
	h := &handle{c: c, service: s, gone: make(chan struct{})}
	s.life, s.running = h, true
	ctx, cancel := context.WithCancelCause(context.WithValue(context.Background(), handleKey{}, h))
	s.cancel = cancel
	if s.lives > 1 {
		c.noteLockedf(s, 0, "restart")
	}
	c.mu.Unlock()
	go s.live(ctx, h)
}
