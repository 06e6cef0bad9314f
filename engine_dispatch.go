package leat

import (
	"context"
	"fmt"
	"hash/maphash"
	"runtime/debug"
)

// worker is a goroutine that runs handlers. It waits on wake while there is nothing to do.
type worker struct{ wake chan struct{} }

// signal wakes w; nil is nobody.
func (w *worker) signal() {
	if w != nil {
		w.wake <- struct{}{}
	}
}

// wake returns a worker to signal when the lock is free, because an item is ready: an idle one, or
// a new one; nil when all are busy or one is on its way already. Each worker that starts an item
// wakes the next while more are ready, so a burst reaches all of them, while a handler that returns
// at once is served by few.
func (e *engine) wake() *worker {
	if e.waking || !e.startable() || e.activeWorkers() >= e.c.o.Concurrency {
		return nil
	}
	if n := len(e.idle); n > 0 {
		w := e.idle[n-1] // the last to fall idle has the warmest stack
		e.idle = e.idle[:n-1]
		e.waking = true
		return w
	}
	if !e.stopped {
		e.workers++
		e.waking = true
		w := &worker{wake: make(chan struct{}, 1)}
		go e.work(w)
		return w
	}
	return nil
}

// work runs items until the engine has stopped.
func (e *engine) work(w *worker) {
	var it *item // the one that runs
	defer func() {
		if it != nil {
			// Only runtime.Goexit leads here: this goroutine ends, and another takes its place.
			e.goexit(it)
		}
	}()
	<-w.wake
	e.c.mu.Lock()
	e.waking = false
	for {
		for it = e.next(); it == nil; it = e.next() {
			if e.stopped {
				e.workers--
				e.checkQuiet()
				e.unlock(nil)
				return
			}
			e.idle = append(e.idle, w)
			if e.batches.gathered > 0 {
				e.startBatches()
			}
			e.checkDrained()
			e.unlock(nil)
			<-w.wake
			e.c.mu.Lock()
			e.waking = false
		}
		e.unlock(e.wake())
		o := e.handle(it, nil)
		e.c.mu.Lock()
		e.running--
		e.finish(it, o)
		it = nil
		if len(e.later)+len(e.after) > 0 {
			e.unlock(nil)
			e.c.mu.Lock()
		}
	}
}

// next takes the next ready item and marks it running; nil when there is none to start. The lock is
// held.
func (e *engine) next() *item {
	if !e.startable() || e.overcommitted() {
		return nil
	}
	it := e.suspects.solo
	if e.suspects.held {
		e.ready.remove(it)
	} else {
		it = e.ready.pop()
	}
	for ; it != nil && it.poison != nil; it = e.ready.pop() {
		e.startPoison(it)
	}
	if e.ready.count == 0 {
		e.signalRoom()
	}
	if it == nil {
		return nil
	}
	it.state = itemRunning
	it.lease.started = max(it.lease.started, it.seq)
	now := e.now()
	if it.excused {
		it.first += now - it.started
	}
	it.started, it.excused, it.startedEarly = now, false, it.early
	e.c.attempts.restore(it) // now, because an earlier delivery of it may have run until a moment ago
	if it.attempts++; it.attempts == 1 {
		it.first = it.started
	}
	e.running++
	return it
}

// setAside keeps an item that its handler does not want now, out of the way of its successors,
// until the engine stops: see internal/aside. The lock is held.
func (e *engine) setAside(it *item) {
	e.troubleOver(it)
	it.attempts-- // the event is not to blame
	e.keepAside(it)
}

// keepAside is setAside for an item whose handler was not called. The lock is held.
func (e *engine) keepAside(it *item) {
	if e.mustGiveBack(it) {
		e.giveBackLane(it)
		return
	}
	e.stepAside(it)
	it.state, it.aside = itemParked, true
	e.park.aside++
	e.noteIdle()
}

// goexit ends the attempt of a handler that ended its goroutine, and this is the last that the
// goroutine does: another one takes its place. The chain runs once more, with the crash in place of
// the handler, so that it gets to see that. If it was the chain itself that ended the goroutine it
// does so again, and that is an error like another. Where a middleware puts the second pass off,
// the crash is the outcome.
func (e *engine) goexit(it *item) {
	crash := &crashError{"the handler called runtime.Goexit\n" + string(debug.Stack())}
	var o outcome
	defer func() {
		if o.kind == 0 {
			o, _ = e.judgeError(it, crash)
			e.observeFailure(it, o, crash)
		}
		e.c.mu.Lock()
		e.running--
		e.finish(it, o)
		e.workers--
		e.checkQuiet()
		e.checkDrained()
		e.unlock(e.wake())
	}()
	e.c.mu.Lock()
	if a := it.ctx; a != nil { // what the goroutine has left behind may still use it
		a.item, it.ctx = nil, nil
	}
	e.c.mu.Unlock()
	if !it.lease.ctx.canceled.Load() {
		o = e.handle(it, crash)
	}
}

// call runs the chain of middleware and handler, or, after a crash, of middleware and what has
// become of the handler.
func (e *engine) call(it *item, a *attempt) (err error) {
	it.skipped = false
	defer func() {
		if v := recover(); v != nil {
			err = panicked("a middleware", v)
		}
	}()
	err = e.c.handler.Handle(a, it.d.Event)
	it.skipped = a.skipped.Load()
	if crash := a.crash(); crash != nil && !a.rare.told.Load() && (IsPostponed(err) || IsPaused(err)) {
		return crash // a middleware decided without asking: the attempt was made, and counts
	}
	return err
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

// laneTable finds the lane of a key: a hash table with chains through the lanes themselves, so that
// a lane that ends leaves without its key being hashed again, and nothing is left behind.
type laneTable struct {
	seed    maphash.Seed
	buckets []*lane
	count   int
	spare   *lane // lanes to use again
}

func newLaneTable() laneTable {
	return laneTable{seed: maphash.MakeSeed(), buckets: make([]*lane, 64)}
}

func (t *laneTable) hash(key string) uint64 { return maphash.String(t.seed, key) }

// lane returns the lane of a key, a new one if there is none.
func (t *laneTable) lane(key string, hash uint64) *lane {
	for l := t.buckets[hash&uint64(len(t.buckets)-1)]; l != nil; l = l.next {
		if l.hash == hash && l.key == key {
			return l
		}
	}
	if t.count == len(t.buckets) {
		t.grow()
	}
	l := t.spare
	if l == nil {
		l = &lane{}
	} else {
		t.spare = l.next
	}
	t.count++
	b := &t.buckets[hash&uint64(len(t.buckets)-1)]
	l.key, l.hash, l.next = key, hash, *b
	*b = l
	return l
}

// remove takes out a lane that is empty.
func (t *laneTable) remove(l *lane) {
	at := &t.buckets[l.hash&uint64(len(t.buckets)-1)]
	for *at != l {
		at = &(*at).next
	}
	*at = l.next
	l.key, l.next = "", t.spare
	t.spare = l
	t.count--
}

func (t *laneTable) grow() {
	old := t.buckets
	t.buckets = make([]*lane, 4*len(old))
	for _, l := range old {
		for l != nil {
			next := l.next
			b := &t.buckets[l.hash&uint64(len(t.buckets)-1)]
			l.next = *b
			*b = l
			l = next
		}
	}
}
