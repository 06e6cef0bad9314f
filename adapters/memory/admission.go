package memory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/leatgo/leat"
)

// waiter is a publish that found no room. Only the first waiter of a topic admits, so that
// publishes are stored in the order in which they came.
type waiter struct {
	ready chan struct{} // holds a token when the waiter is first and may find room, or was dismissed
	need  int           // bytes of its next event
	err   error         // set when it was dismissed and is no waiter any more
}

func (w *waiter) signal() {
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

// hasRoom reports whether every group can take an event of that size.
func (t *topic) hasRoom(size int) bool { return t.fullGroup(size) == nil }

// fullGroup returns a group that cannot take an event of that size, or nil.
func (t *topic) fullGroup(size int) *group {
	for _, g := range t.groups {
		if !g.hasRoom(size) {
			return g
		}
	}
	return nil
}

// exhausted returns the error of a publish that lost its patience, and says who is slow. The caller
// holds the lock.
func (t *topic) exhausted(w *waiter) error {
	who := "other publishes wait for room"
	if g := t.fullGroup(w.need); g != nil && g.broadcast {
		who = "a broadcast stream has no room"
	} else if g != nil {
		who = fmt.Sprintf("the group %q has no room", g.name)
	}
	return &leat.Error{Op: "publish", Topic: t.name, Code: leat.CodeExhausted,
		Err: fmt.Errorf("%s, and none came in %v; receive faster, or raise Buffer and BufferBytes", who, t.broker.o.FullTimeout)}
}

// offerRoom lets the first waiter try, if it may succeed. The caller holds the lock.
func (t *topic) offerRoom() {
	if len(t.waiters) > 0 && t.hasRoom(t.waiters[0].need) {
		t.waiters[0].signal()
	}
}

// dismiss sends all waiters away with err. The caller holds the lock.
func (t *topic) dismiss(err error) {
	for _, w := range t.waiters {
		w.err = err
		w.signal()
	}
	t.waiters = nil
}

// leave takes w out of the line. The caller holds the lock.
func (t *topic) leave(w *waiter) {
	if i := slices.Index(t.waiters, w); i >= 0 {
		t.waiters = slices.Delete(t.waiters, i, i+1)
		t.offerRoom()
	}
}

// waitForRoom admits events from the index next as room comes, and refuses what is left when ctx
// ends, when nothing could be admitted for [Options].FullTimeout, or when the broker closes or
// crashes.
func (t *topic) waitForRoom(
	ctx context.Context, events []leat.Event, next int, trace *leat.TraceContext, done func(i int, err error),
) {
	w := &waiter{ready: make(chan struct{}, 1), need: events[next].Size()}
	t.mu.Lock()
	if t.closed {
		w.err = closedError("publish", t.name)
	} else {
		t.waiters = append(t.waiters, w)
	}
	t.mu.Unlock()

	patience := time.NewTimer(t.broker.o.FullTimeout)
	defer patience.Stop()
	for {
		from := next
		var err error
		next, err = t.tryWaiting(w, events, next, trace)
		t.report(events, from, next, done)
		if err != nil {
			refuseAll(events, next, err, done)
			return
		}
		if next == len(events) {
			return
		}
		if next > from {
			patience.Reset(t.broker.o.FullTimeout)
		}
		select {
		case <-w.ready:
			continue
		case <-ctx.Done():
			err = canceled(ctx, "publish", t.name)
		case <-patience.C:
		}
		t.mu.Lock()
		switch {
		case w.err != nil:
			err = w.err // dismissed at the same moment, and a crash makes the outcome unknown
		case err == nil:
			err = t.exhausted(w)
		}
		t.leave(w)
		t.mu.Unlock()
		refuseAll(events, next, err, done)
		return
	}
}

// tryWaiting admits what it can if w is first in line, and lets the next one try when w is through.
func (t *topic) tryWaiting(w *waiter, events []leat.Event, next int, trace *leat.TraceContext) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.err != nil {
		return next, w.err
	}
	if t.waiters[0] != w {
		return next, nil
	}
	next = t.admit(events, next, trace)
	if next == len(events) {
		t.leave(w)
	} else {
		w.need = events[next].Size()
	}
	return next, nil
}

var errCrashed = errors.New("the memory broker crashed")
