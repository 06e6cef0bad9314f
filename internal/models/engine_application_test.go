package models

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/leatgo/leat"
)

// The application's side of a world: its handler, and its poison queue.

// handle is the handler.
func (w *world) handle(ctx context.Context, e leat.Event) error {
	info, _ := leat.InfoFrom(ctx)
	w.begin(ctx, e, info)
	return w.run(w.start(ctx, e))
}

// batch returns handle for batches of one event. The middleware sees the beginning of an attempt,
// and the function its batch, which may have to wait for one that runs.
func (w *world) batch() leat.Handler {
	note := func(next leat.Handler) leat.Handler {
		return leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
			info, _ := leat.InfoFrom(ctx)
			w.begin(ctx, e, info)
			return next.Handle(ctx, e)
		})
	}
	return leat.Chain(leat.Batch(&leat.BatchOptions{MaxEvents: 1, MaxWait: time.Hour}, func(ctx context.Context, events []leat.Event) error {
		return w.run(w.start(ctx, events[0]))
	}), note)
}

// run waits until the sequence says how a handler ends.
func (w *world) run(outcomes chan handlerOutcome) error {
	if outcomes == nil {
		return nil
	}
	o := <-outcomes
	w.mu.Lock()
	w.active--
	w.mu.Unlock()
	switch o.kind {
	case "error":
		return errHandler
	case "panic":
		panic("the handler panics")
	case "retry":
		return leat.RetryAfter(o.delay, errHandler)
	case "pause":
		return leat.Pause(o.delay, errHandler)
	case "reject":
		return leat.Reject(errHandler)
	}
	return nil
}

// begin checks that an attempt may begin, and notes it.
func (w *world) begin(ctx context.Context, e leat.Event, info leat.Info) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken {
		return
	}
	w.refresh()
	d := w.all[info.Position.Offset-1]
	now := time.Now()
	switch {
	case !e.Equal(d.event.event):
		w.breaks("%v has another event: %v", d, e)
	case d.state == parked && now.Before(d.lo):
		w.breaks("%v is started %v before it is due", d, d.lo.Sub(now))
	case d.state != waiting && d.state != parked:
		w.breaks("%v is started in state %d", d, d.state)
	case !w.isFirst(d):
		w.breaks("%v is started before an earlier one of its key", d)
	case w.pausedNow() && !w.stopping:
		w.breaks("%v is started during a pause", d)
	}
	d.event.attempts++
	if info.Attempt != d.event.attempts && d.event.key != "" {
		w.breaks("%v is in attempt %d, not %d", d, info.Attempt, d.event.attempts)
	}
	d.state, d.ctx = begun, ctx
	d.lease.started = max(d.lease.started, d.order)
	d.event.begun = d
}

// start notes that a handler runs whose attempt has begun.
func (w *world) start(ctx context.Context, e leat.Event) chan handlerOutcome {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken {
		return nil
	}
	n, err := strconv.Atoi(e.ID())
	if err != nil {
		w.breaks("%w", err)
	}
	d := w.events[n].begun
	if d.state != begun {
		w.breaks("%v is handled in state %d", d, d.state)
	}
	if w.active++; w.active > w.concurrency {
		w.breaks("%d handlers run; Concurrency is %d", w.active, w.concurrency)
	}
	d.state, d.ctx, d.outcomes = running, ctx, make(chan handlerOutcome, 1)
	return d.outcomes
}

// Poison is the poison queue.
func (w *world) Poison(_ context.Context, p leat.Poisoned) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken {
		return nil
	}
	d := w.all[p.Info.Position.Offset-1]
	now := time.Now()
	together := now.Equal(w.failedAt) && !now.Equal(d.tried) // it began before the publish that failed had returned
	if d.state != poisoning || w.failed > 0 && now.Before(w.poisonLo) && !together {
		w.breaks("%v is put into the poison queue in state %d, %v before it may", d, d.state, w.poisonLo.Sub(now))
	}
	if !p.Event.Equal(d.event.event) {
		w.breaks("%v has another event in the poison queue: %v", d, p.Event)
	}
	d.lease.started = max(d.lease.started, d.order)
	if !w.down {
		w.failed = 0
		w.leave(d, leat.Ack, 0)
		return nil
	}
	if w.failed == 0 || !together {
		w.failed++
		w.failedAt = now
		w.poisonLo, _ = backoffRange(now, w.failed)
	}
	if d.tried = now; w.stopping || d.lease.draining {
		w.giveBackLane(d)
	}
	return errors.New("the poison queue is down")
}

// Topic has nothing to declare.
func (w *world) Topic(leat.Subscription) string { return "" }
