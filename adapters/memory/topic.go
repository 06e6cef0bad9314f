package memory

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"

	"github.com/leatgo/leat"
)

// topic is a sequence of events and the groups that get them. Its lock covers its groups, slots,
// queues and streams; what Settle and a blocked Receive do without the lock is said at the atomics
// of entry and Stream.
type topic struct {
	broker *Broker
	name   string

	mu      sync.Mutex
	closed  bool
	seq     uint64   // of the next event; it is the delivery's offset
	groups  []*group // named ones and those of broadcast streams
	named   map[string]*group
	history history
	waiters []*waiter // publishes that wait for room, in order; the first one is next
	pool    pool
}

// group finds a group, and creates it where create says so. The caller holds the lock.
func (t *topic) group(op string, sub leat.Subscription, create bool) (*group, error) {
	if t.closed {
		return nil, closedError(op, t.name)
	}
	g := t.named[sub.Group]
	switch {
	case g == nil && !create:
		return nil, &leat.Error{Op: op, Topic: t.name, Code: leat.CodeNotFound,
			Err: fmt.Errorf("the group %q does not exist; declare it first (leat.Declare, or leat.Run, which does)", sub.Group)}
	case g == nil:
		g = newGroup(t, sub)
		t.named[sub.Group] = g
		t.groups = append(t.groups, g)
		for i := range t.history.n {
			r := t.history.at(i)
			g.enqueue(t.newEntry(r), t.slotOf(r))
		}
	case g.ordered == sub.Unordered:
		return nil, &leat.Error{Op: op, Topic: t.name, Code: leat.CodeUnsupported,
			Err: fmt.Errorf("the group %q exists with Unordered: %t; subscribe like that, or use another group", sub.Group, !g.ordered)}
	}
	return g, nil
}

// publish admits events, which takes no time while all groups have room.
func (t *topic) publish(ctx context.Context, events []leat.Event, done func(i int, err error)) {
	if ctx.Err() != nil {
		err := canceled(ctx, "publish", t.name)
		if t.broker.closed.Load() {
			err = closedError("publish", t.name)
		}
		refuseAll(events, 0, err, done)
		return
	}
	next, trace := 0, leat.TraceFrom(ctx)
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		refuseAll(events, 0, closedError("publish", t.name), done)
		return
	}
	if len(t.waiters) == 0 {
		next = t.admit(events, 0, trace)
	}
	t.mu.Unlock()
	t.report(events, 0, next, done)
	if next < len(events) {
		t.waitForRoom(ctx, events, next, trace, done)
	}
}

// admit appends events from the index next until one finds no room, and returns that one's index.
// It passes over those that are refused. The caller holds the lock.
func (t *topic) admit(events []leat.Event, next int, trace *leat.TraceContext) int {
	for ; next < len(events); next++ {
		e := events[next]
		size := e.Size()
		if size > t.broker.o.MaxEventBytes || e.IsZero() {
			continue
		}
		if !t.hasRoom(size) {
			break
		}
		t.append(record{event: e, trace: trace})
	}
	return next
}

// report calls done for events[from:to], which admit has been through.
func (t *topic) report(events []leat.Event, from, to int, done func(i int, err error)) {
	for i := from; i < to; i++ {
		done(i, t.refusal(events[i]))
	}
}

// refusal returns why the event can never be stored, or nil.
func (t *topic) refusal(e leat.Event) error {
	if e.IsZero() {
		return &leat.Error{Op: "publish", Topic: t.name, Code: leat.CodeInvalid, Err: errors.New("the zero Event is not an event")}
	}
	if size, limit := e.Size(), t.broker.o.MaxEventBytes; size > limit {
		return &leat.Error{Op: "publish", Topic: t.name, EventID: e.ID(), Code: leat.CodeTooLarge,
			Err: fmt.Errorf("the event has %d bytes; at most %d are allowed", size, limit)}
	}
	return nil
}

// refuseAll calls done with err, and the event's id in it, for events[from:].
func refuseAll(events []leat.Event, from int, err error, done func(i int, err error)) {
	for i := from; i < len(events); i++ {
		refused := err
		if e, ok := errors.AsType[*leat.Error](err); ok {
			named := *e
			named.EventID = events[i].ID()
			refused = &named
		}
		done(i, refused)
	}
}

// append stores an event for every group. The caller holds the lock.
func (t *topic) append(r record) {
	r.seq = t.seq
	t.seq++
	t.history.add(r, &t.broker.o)
	slot := t.slotOf(&r)
	for _, g := range t.groups {
		g.enqueue(t.newEntry(&r), slot)
	}
}

// slotOf returns the slot of the record's key, which is the event's, else that of the raw message,
// or -1 where it has none.
func (t *topic) slotOf(r *record) int {
	key := r.event.Key()
	if key == "" && r.raw != nil {
		key = string(r.raw.Key)
	}
	if key == "" {
		return -1
	}
	return int(maphash.String(t.broker.seed, key) % slotCount)
}

func (t *topic) newEntry(r *record) *entry {
	e := t.pool.get()
	e.event, e.raw, e.trace, e.seq = r.event, r.raw, r.trace, r.seq
	// An atomic store costs more than a load, and events of one topic are often of one size.
	if size := int64(r.size()); e.size.Load() != size {
		e.size.Store(size)
	}
	return e
}

// subscribe opens a stream of a group that exists, or of a new one for a broadcast.
func (t *topic) subscribe(sub leat.Subscription) (leat.Stream, error) {
	t.mu.Lock()
	var g *group
	if sub.Broadcast && !t.closed {
		g = newGroup(t, sub)
		t.groups = append(t.groups, g)
	} else {
		var err error
		if g, err = t.group("subscribe", sub, false); err != nil {
			t.mu.Unlock()
			return nil, err
		}
	}
	s := newStream(g, sub)
	g.streams = append(g.streams, s)
	drains := g.rearrange()
	t.mu.Unlock()
	g.drain(drains)
	return s, nil
}

// removeGroup forgets the group of a broadcast stream. The caller holds the lock.
func (t *topic) removeGroup(g *group) {
	if i := slices.Index(t.groups, g); i >= 0 {
		t.groups = slices.Delete(t.groups, i, i+1)
	}
	t.offerRoom()
}

// close ends the topic's streams and refuses its waiting publishers.
func (t *topic) close() {
	t.mu.Lock()
	t.closed = true
	t.dismiss(closedError("publish", t.name))
	var streams []*Stream
	for _, g := range t.groups {
		streams = append(streams, g.streams...)
	}
	t.mu.Unlock()
	for _, s := range streams {
		_ = s.Close(context.Background()) // it has no error to return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, g := range t.groups {
		if g.timer != nil {
			g.timer.Stop()
		}
	}
	t.groups, t.history, t.pool = nil, history{}, pool{}
	clear(t.named)
}
