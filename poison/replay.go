package poison

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/aside"
	"github.com/leatgo/leat/middleware"
)

// Result counts what became of the events of a poison queue.
type Result struct {
	// Replayed counts events that the handler has handled. In a dry run, and in that of Drop, it
	// counts what would be replayed or dropped.
	Replayed int
	// Failed counts events that failed again and are back in the queue.
	Failed int
	// Skipped counts events that stay in the queue because Filter did not choose them, because
	// there were more than Limit, or because the handler is a Router that has no route for their
	// type.
	Skipped int
	// Left is how many of the events that were in the queue at the beginning are still in it: the
	// failed ones, the skipped ones, and those that were not reached.
	Left int
}

// Replay runs h for the events in the poison queue of sub: for each the original event, with the
// [leat.Info] of the Consumer that gave up on it, except for the attempts and the times, which are
// those of the replay. So h may be the very handler of that Consumer, with its middleware, by
// [leat.Chain]. An event that has no original, because the delivery was malformed or did not fit
// into the queue, is handed over as it is stored; a [leat.Router] without a route for its type
// rejects it. Events of one key are replayed in order. A nil o means the defaults.
//
// An event that h handled is out of the queue. An error of h that says neither when to try again
// nor to pause is final, as is a panic: the event is put back at the end of the same queue, its
// reason and what else it tells unchanged, and its Replays one higher; it leaves its place only
// when the broker has confirmed that. Where the queue refuses it, because of a permission or a
// limit, Replay ends with that error, and the event keeps its place. Of a Replay that is killed, an
// event that was replayed or put back last may be in the queue as well. The next one goes on where
// that ended.
//
// The broker has to be a [leat.Browser], unless UntilEmpty is set. Another Replay of the same queue
// may run at the same time; they share its events. What Replay has not done when ctx ends is in
// Result.Left, and the error is nil then, but for a DryRun, whose count would not be whole. When it
// ends while Replay still counts, Left is what was counted. Other errors are those of the broker,
// and [leat.CodeExhausted] where MaxHeld or MaxHeldBytes is used up.
//
// Left also counts what another Replay has taken meanwhile, and on NATS what was done before and
// cannot be told from the rest: see the adapter's Browse.
func Replay(ctx context.Context, broker leat.Broker, sub leat.Subscription, h leat.Handler, o *ReplayOptions) (Result, error) {
	r := &run{broker: broker, queue: queueOf(sub, ""), o: o.withDefaults()}
	if r.o.Topic != "" {
		r.queue.Topic = r.o.Topic
	}
	if err := r.o.check(broker, r.queue, h); err != nil {
		return Result{}, err
	}
	r.handler = original(h)
	return r.run(ctx)
}

// Drop takes events out of the poison queue of sub for good, malformed ones and what is not a
// CloudEvent included: those that were in it at the beginning and that the filter chooses. The rest
// stays in its place. Result.Replayed is how many were dropped. A nil o means the defaults. Errors
// are those of [Replay].
func Drop(ctx context.Context, broker leat.Broker, sub leat.Subscription, o *DropOptions) (Result, error) {
	if o == nil {
		o = &DropOptions{}
	}
	r := &run{broker: broker, drops: true}
	r.o = (&ReplayOptions{
		Topic: o.Topic, Filter: o.Filter, Limit: o.Limit, DryRun: o.DryRun, MaxHeld: o.MaxHeld, MaxHeldBytes: o.MaxHeldBytes, Idle: o.Idle,
		Logger: o.Logger,
	}).withDefaults()
	r.queue = queueOf(sub, o.Topic)
	r.handler = leat.HandlerFunc(func(context.Context, leat.Event) error { return nil })
	if err := r.o.check(broker, r.queue, r.handler); err != nil {
		return Result{}, err
	}
	return r.run(ctx)
}

// original hands h what a Consumer would have handed it.
func original(h leat.Handler) leat.Handler {
	return leat.Chain(h, func(next leat.Handler) leat.Handler {
		return leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
			p, err := leat.PoisonedFrom(e)
			if err != nil {
				return next.Handle(ctx, e)
			}
			now, _ := leat.InfoFrom(ctx)
			info := p.Info
			info.Replays = p.Replays + 1
			info.Attempt, info.FirstAttempt, info.Deliveries, info.Received = now.Attempt, now.FirstAttempt, now.Deliveries, now.Received
			return next.Handle(leat.ContextWithInfo(ctx, info), middleware.Original(e))
		})
	})
}

// run is one Replay or Drop.
type run struct {
	broker  leat.Broker
	queue   leat.Subscription
	handler leat.Handler
	o       ReplayOptions
	drops   bool
	pace    pace
	back    leat.PoisonQueue // puts events back into the queue
	stop    context.CancelCauseFunc
	stopped func() error    // not nil when nothing is begun any more
	ended   <-chan struct{} // closed then
	held    aside.Held      // what was held when nothing came any more
	largest int             // the size of the largest event that was due

	mu      sync.Mutex
	due     due
	failed  map[identity]bool // those that were put back
	begun   map[identity]bool // those that have a place in Limit, and are not done
	kept    map[identity]bool // those that UntilEmpty did not want
	failure error             // why the run ended before it was done
	result  Result
	shown   int // how many were in the queue
}

var errDone = errors.New("everything is replayed")

func (r *run) run(ctx context.Context) (Result, error) {
	r.failed, r.begun, r.kept = map[identity]bool{}, map[identity]bool{}, map[identity]bool{}
	r.due, r.pace = due{}, pace{rate: r.o.Rate}
	if err := r.look(ctx); err != nil {
		if ctx.Err() != nil && !r.o.DryRun {
			return Result{Left: r.shown}, nil
		}
		return Result{}, err
	}
	if r.o.DryRun {
		return Result{Replayed: r.due.n, Skipped: r.shown - r.due.n, Left: r.shown}, nil
	}
	if r.due.n == 0 && !r.o.UntilEmpty {
		return Result{Skipped: r.shown, Left: r.shown}, nil
	}
	err := r.consume(ctx)
	more := err == nil && ctx.Err() == nil && r.exhausted() && r.hasMore(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.o.UntilEmpty {
		r.result.Skipped = len(r.kept)
	} else {
		r.result.Skipped += r.shown - r.due.all
	}
	r.result.Left = max(r.shown-r.result.Replayed, r.result.Failed+r.result.Skipped)
	if more {
		err = &leat.Error{Op: "replay", Topic: r.queue.Topic, Code: leat.CodeExhausted, Err: fmt.Errorf(
			"events that are still to be done do not come while %d others are held that stay in the queue: "+
				"replay or drop those first, or raise MaxHeld (%d) and MaxHeldBytes (%d)",
			r.held.Events, r.o.MaxHeld, r.o.MaxHeldBytes)}
	}
	return r.result, err
}

// exhausted reports whether nothing came any more because too much was held. Otherwise somebody
// else has what is due, or has done it.
func (r *run) exhausted() bool {
	return r.held.Events >= r.o.MaxHeld || r.held.Events > 0 && r.held.Bytes+r.largest > r.o.MaxHeldBytes
}

// hasMore reports whether there is more to do than what came. Until the queue is empty, nobody has
// counted that: so it looks again, and a broker that cannot show a queue may have more.
func (r *run) hasMore(ctx context.Context) bool {
	if !r.o.UntilEmpty {
		return r.due.n > 0
	}
	if r.o.Limit > 0 && r.result.Replayed+r.result.Failed >= r.o.Limit {
		return false
	}
	more := false
	err := browse(ctx, r.broker, r.queue, func(e Entry) bool {
		id := identityOf(e)
		more = !r.failed[id] && !r.kept[id] && r.o.Filter.wants(e)
		return !more
	})
	return more || err != nil
}

// look finds out what is to be done.
func (r *run) look(ctx context.Context) error {
	err := browse(ctx, r.broker, r.queue, func(e Entry) bool {
		r.shown++
		if (r.o.Limit == 0 || r.due.n < r.o.Limit) && r.o.Filter.wants(e) {
			r.due.add(identityOf(e))
			r.largest = max(r.largest, sizeOf(e))
		}
		return true
	})
	if r.o.UntilEmpty && !r.o.DryRun && leat.CodeOf(err) == leat.CodeUnsupported {
		return nil
	}
	return err
}

// consume runs the handler until nothing is due.
func (r *run) consume(ctx context.Context) error {
	producer := leat.NewProducer(r.broker, nil)
	r.back = middleware.PoisonQueue(producer, &middleware.PoisonOptions{Topic: func(string, string) string { return r.queue.Topic }})
	ctx, r.stop = context.WithCancelCause(ctx)
	defer r.stop(nil)
	r.stopped, r.ended = ctx.Err, ctx.Done()
	c := leat.NewConsumer(r.broker, r.queue, r.handler, &leat.ConsumerOptions{
		Concurrency: r.o.Concurrency, MaxInFlight: r.o.MaxHeld + r.o.Concurrency, MaxInFlightBytes: r.o.MaxHeldBytes,
		Middleware: []leat.Middleware{r.gate}, PoisonQueue: putBack{r}, Logger: r.o.Logger,
	})
	err := leat.RunUntilIdle(context.WithValue(ctx, aside.HeldKey{}, &r.held), r.o.Idle, c)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.o.Idle)
	defer cancel()
	err = errors.Join(err, producer.Close(closing))
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failure != nil {
		return r.failure
	}
	return err
}

// gate lets through what is to be replayed now, and judges what comes of it.
func (r *run) gate(next leat.Handler) leat.Handler {
	return leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
		info, _ := leat.InfoFrom(ctx)
		entry := entryOf(e, nil, info.Position)
		id := identityOf(entry)
		if !r.wanted(id, entry) {
			return r.keep(id)
		}
		if !r.pace.wait(ctx, r.ended) {
			return r.keep(id) // it ends
		}
		skipped := false
		err := next.Handle(context.WithValue(ctx, aside.SkipKey{}, &skipped), e)
		switch {
		case err == nil && skipped:
			if r.finish(id, nil); !r.o.UntilEmpty {
				r.skip()
			}
			return r.keep(id)
		case err == nil && leat.CodeOf(context.Cause(ctx)) == leat.CodeLeaseLost:
			// It was handled, and comes again.
		case err == nil:
			r.finish(id, func(result *Result) { result.Replayed++ })
		case !leat.IsDecided(err):
			return leat.Reject(err)
		}
		return err
	})
}

// wanted reports whether an event is to be replayed, and gives it a place in Limit then.
func (r *run) wanted(id identity, e Entry) bool {
	if r.stopped() != nil || r.o.UntilEmpty && !r.o.Filter.wants(e) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !r.o.UntilEmpty:
		return r.due.has(id)
	case r.failed[id]:
		return false
	case r.o.Limit == 0 || r.begun[id]:
		return true
	case r.result.Replayed+r.result.Failed+len(r.begun) >= r.o.Limit:
		return false
	}
	r.begun[id] = true
	return true
}

// keep leaves an event in the queue.
func (r *run) keep(id identity) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.o.UntilEmpty && !r.failed[id] && r.stopped() == nil {
		r.kept[id] = true
	}
	return aside.Err
}

func (r *run) skip() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Skipped++
}

// finish counts an event that is done with, and ends the run after the last one.
func (r *run) finish(id identity, count func(*Result)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if count != nil {
		count(&r.result)
	}
	delete(r.begun, id)
	if count != nil {
		delete(r.kept, id)
	}
	if r.due.remove(id); r.due.n == 0 && !r.o.UntilEmpty {
		r.stop(errDone)
	}
}

// putBack is the poison queue of the consumer that replays one: the same queue.
type putBack struct{ r *run }

// PutsBack implements [aside.PutsBack].
func (putBack) PutsBack() {}

// Topic implements [leat.PoisonQueue]: there is nothing to declare.
func (putBack) Topic(leat.Subscription) string { return "" }

// Poison implements [leat.PoisonQueue]. What is malformed comes from the broker, past the gate:
// somebody else wrote it. Other events were begun.
func (q putBack) Poison(ctx context.Context, again leat.Poisoned) error {
	r := q.r
	entry := entryOf(again.Event, again.Malformed, again.Info.Position)
	id := identityOf(entry)
	back := entry.Poisoned
	if again.Malformed != nil {
		if !r.wanted(id, entry) {
			return r.keep(id)
		}
		if r.drops {
			r.finish(id, func(result *Result) { result.Replayed++ })
			return nil
		}
	}
	if entry.Err != nil { // from now on it has a reason
		back = again
	}
	back.Replays++
	r.putsBack(entry, back)
	if err := r.back.Poison(ctx, back); err != nil {
		r.refuse(again.Event, err)
		return err
	}
	r.finish(id, func(result *Result) { result.Failed++ })
	r.tellFailed(entry, again.Reason)
	return nil
}

// putsBack remembers what comes back, before it can.
func (r *run) putsBack(entry Entry, back leat.Poisoned) {
	put := entry
	put.Poisoned, put.Err = back, nil
	if e, err := back.AsEvent(); err == nil && entry.Err != nil {
		put = entryOf(e, nil, leat.Position{})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed[identityOf(put)] = true
}

// tellFailed calls Failed. The event is in the queue: neither a panic nor runtime.Goexit must put
// it there once more.
func (r *run) tellFailed(entry Entry, err error) {
	if r.o.Failed == nil {
		return
	}
	var call sync.WaitGroup
	call.Go(func() {
		defer func() {
			if v := recover(); v != nil && r.o.Logger != nil {
				r.o.Logger.Error("ReplayOptions.Failed panicked", "topic", r.queue.Topic, "event", entry.Event.ID(), "panic", fmt.Sprint(v))
			}
		}()
		r.o.Failed(entry, err)
	})
	call.Wait()
}
