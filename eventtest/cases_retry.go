package eventtest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/middleware"
)

// retryCases are about errors, redelivery, leases and their counts.
func retryCases() []Case {
	return []Case{
		{
			Name: "whole-error-is-retried", Level: Whole,
			Rule:  "an event whose handler fails is handled again, until it succeeds, each attempt with its number",
			check: checkErrorRetried,
		},
		{
			Name: "whole-given-back-comes-again", Level: Whole, Needs: []Need{NeedOrder},
			Rule:  "what a consumer gives back when it stops is delivered again, in order",
			check: checkGivenBack,
		},
		{
			Name: "whole-crash-redelivers", Level: Whole, Needs: []Need{NeedKill, NeedDurable},
			Rule:  "after a crash of the broker, what was confirmed and not acked is delivered again",
			check: checkCrash,
		},
		{
			Name: "whole-cut-redelivers", Level: Whole, Needs: []Need{NeedCut},
			Rule:  "after lost connections the consumer goes on by itself, and nothing is lost",
			check: checkCut,
		},
		{
			Name: "whole-lost-lease-ends-context", Level: Whole, Needs: []Need{NeedExpire},
			Rule:  "when a lease is lost, the handler's context ends within 1 s, with the cause leat.ErrLeaseLost",
			check: checkLostLeaseContext,
		},
		{
			Name: "whole-lost-lease-redelivers", Level: Whole, Needs: []Need{NeedExpire},
			Rule:  "an event whose lease was lost is delivered again, whatever the old handler returned",
			check: checkLostLeaseRedelivers,
		},
		{
			Name: "whole-slow-handler-keeps-lease", Level: Whole,
			Rule:  "a handler that is slower than a lease period keeps its lease",
			check: checkSlowHandler,
		},
		{
			Name: "whole-restarts-in-peace", Level: Whole,
			Rule:  "ten rolling restarts poison nothing, and handle nothing twice",
			check: checkRestarts,
		},
		{
			Name: "whole-attempts-are-not-deliveries", Level: Whole, Needs: []Need{NeedDeliveryCount, NeedOrder},
			Rule:  "deliveries count on over restarts and attempts do not, so that restarts exhaust no retry",
			check: checkAttemptsNotDeliveries,
		},
		{
			Name: "whole-calm-default", Level: Whole,
			Rule:  "the Consumer's own retries of an event that always fails back off",
			check: func(r *run) { checkCalm(r, nil, 100*time.Millisecond) },
		},
		{
			Name: "whole-calm-retry", Level: Whole,
			Rule: "the retries of middleware.Retry for an event that always fails back off, also by a delay that the broker keeps",
			check: func(r *run) {
				checkCalm(r, []leat.Middleware{middleware.Retry(&middleware.RetryOptions{NoLimit: true})}, 100*time.Millisecond)
				// So long a delay is left to the broker where that can delay an event without a
				// key.
				long := middleware.RetryOptions{NoLimit: true, InitialDelay: 10 * time.Minute, MaxDelay: 10 * time.Minute}
				checkCalm(r, []leat.Middleware{middleware.Retry(&long)}, long.InitialDelay)
			},
		},
	}
}

func checkErrorRetried(r *run) {
	b := r.open()
	l := r.newLedger(b)
	var mu sync.Mutex
	var attempts []int
	l.serve(b, func(ctx context.Context, _ leat.Event) error {
		info, _ := leat.InfoFrom(ctx)
		mu.Lock()
		defer mu.Unlock()
		attempts = append(attempts, info.Attempt)
		if info.Attempt < 3 {
			return errFailing
		}
		return nil
	}, &leat.ConsumerOptions{Middleware: []leat.Middleware{quickRetry()}})
	l.send(b, l.event("k", 8))
	l.await()
	pause(r.opts.Quiet / 2)
	mu.Lock()
	defer mu.Unlock()
	if len(attempts) != 3 || attempts[0] != 1 || attempts[1] != 2 || attempts[2] != 3 {
		r.notef("an event that succeeds at its third attempt had the attempts %v", attempts)
	}
}

func checkGivenBack(r *run) {
	b := r.open()
	l := r.newLedger(b)
	events := l.events(30, 3)
	var late atomic.Bool
	first := l.serve(b, func(context.Context, leat.Event) error {
		if late.Load() {
			r.notef("a parked event was tried again before its delay had passed")
		}
		return leat.RetryAfter(time.Hour, errFailing)
	}, nil)
	l.send(b, events...)
	r.eventually("an event of every key is parked", func() bool { return first.consumer.Stats().Parked == 3 })
	late.Store(true)
	first.stopClean()
	l.serve(b, succeed, nil)
	l.await()
}

// holdingHandler is a handler that holds the first call for each event until its context ends or
// gate opens, and lets later calls succeed.
type holdingHandler struct {
	gate  *latch
	mu    sync.Mutex
	seen  map[string]bool
	ended []context.Context // of the calls that were held
}

func (h *holdingHandler) handle(ctx context.Context, e leat.Event) error {
	h.mu.Lock()
	if h.seen == nil {
		h.seen = map[string]bool{}
	}
	first := !h.seen[e.ID()]
	h.seen[e.ID()] = true
	h.mu.Unlock()
	if !first {
		return nil
	}
	if h.gate.hold(ctx) != nil {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.ended = append(h.ended, ctx)
	}
	return nil // which does not count any more if the lease was lost
}

func (h *holdingHandler) holding(l *ledger, events []leat.Event) func() bool {
	return func() bool {
		for _, e := range events {
			if l.started(e) == 0 {
				return false
			}
		}
		return true
	}
}

func checkCrash(r *run) {
	checkFault(r, func(_ *ledger, release func()) {
		r.restart()
		release()
	})
}

func checkCut(r *run) {
	cutter, _ := r.h.(Cutter)
	checkFault(r, func(_ *ledger, release func()) {
		r.must(cutter.Cut(r.ctx), "cutting connections")
		release()
	})
}

func checkLostLeaseRedelivers(r *run) {
	expirer, _ := r.h.(Expirer)
	checkFault(r, func(l *ledger, _ func()) { r.must(expirer.Expire(r.ctx, l.topic, testGroup), "expiring leases") })
}

// checkFault brings a fault about while handlers hold events. All are delivered again, and the
// stream goes on. A fault that need not end leases, on brokers without connections, lets the
// handlers succeed by release.
func checkFault(r *run, fault func(l *ledger, release func())) {
	b := r.open()
	l := r.newLedger(b)
	h := holdingHandler{gate: newLatch()}
	l.serve(b, h.handle, &leat.ConsumerOptions{Concurrency: 8})
	held := l.events(6, 6)
	l.send(b, held...)
	r.eventually("the handlers hold their events", h.holding(l, held))
	fault(l, h.gate.release)
	l.await()
	// The stream goes on: what comes now is held at first like all others, so it is handled by
	// those that succeed at once.
	after := l.events(10, 0)
	h.mu.Lock()
	for _, e := range after {
		h.seen[e.ID()] = true
	}
	h.mu.Unlock()
	p := leat.NewProducer(b, nil)
	r.eventually("events are published again", func() bool { return l.publish(r.ctx, p, after...) == nil })
	l.await()
}

func checkLostLeaseContext(r *run) {
	expirer, _ := r.h.(Expirer)
	b := r.open()
	l := r.newLedger(b)
	h := holdingHandler{gate: newLatch()}
	s := l.serve(b, h.handle, nil)
	held := l.events(2, 2)
	l.send(b, held...)
	r.eventually("the handlers hold their events", h.holding(l, held))
	r.must(expirer.Expire(r.ctx, l.topic, testGroup), "expiring leases")
	watch := r.stopwatch()
	ended := func() int {
		h.mu.Lock()
		defer h.mu.Unlock()
		return len(h.ended)
	}
	for ended() < len(held) && watch.took() < lossBound+r.operation {
		pause(time.Millisecond)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := len(h.ended); n < len(held) {
		s.cancel()
		r.failf("the contexts of %d of %d handlers had not ended %v after their leases were lost", len(held)-n, len(held), watch.took())
	}
	for _, ctx := range h.ended {
		if cause := context.Cause(ctx); !errors.Is(cause, leat.ErrLeaseLost) {
			r.notef("the handler's context ended with the cause %v, which is no leat.ErrLeaseLost", cause)
		}
	}
}

func checkSlowHandler(r *run) {
	slow := r.opts.Quiet
	if t, ok := r.h.(LeaseTimer); ok {
		slow = 2*t.LeasePeriod() + r.opts.Quiet
		if slow > r.opts.CaseTimeout/2 {
			r.skipped = "a lease lasts longer than a case may take"
			return
		}
	}
	b := r.open()
	l := r.newLedger(b)
	s := l.serve(b, func(ctx context.Context, _ leat.Event) error {
		timer := time.NewTimer(slow)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			r.notef("the lease of a handler that worked for less than %v ended: %v", slow, context.Cause(ctx))
		}
		return nil
	}, nil)
	l.send(b, l.event("k", 8), l.event("", 8))
	r.eventually("both are at work", func() bool { return l.begun() >= 2 })
	pause(slow)
	l.await()
	s.stopClean()
	l.checkOnce()
}

func checkRestarts(r *run) {
	b := r.open()
	l := r.newLedger(b)
	work := dawdle(time.Millisecond)
	start := func() *program {
		return l.serve(b, work, &leat.ConsumerOptions{
			Concurrency: 8, Middleware: []leat.Middleware{middleware.Retry(&middleware.RetryOptions{MaxAttempts: 3})},
			PoisonQueue: fakeQueue{l: l},
		})
	}
	s := start()
	for range 10 {
		l.putToWork(b, s)
		next := start() // a rolling deploy starts the new one first
		s.stopClean()
		s = next
	}
	l.await()
	pause(r.opts.Quiet / 4)
	s.stopClean()
	l.checkOnce()
	l.checkPoisoned()
}

func checkAttemptsNotDeliveries(r *run) {
	b := r.open()
	l := r.newLedger(b)
	var mu sync.Mutex
	var infos []leat.Info
	e := l.event("k", 8)
	const restarts = 5
	for i := range restarts {
		s := l.serve(b, func(ctx context.Context, _ leat.Event) error {
			info, _ := leat.InfoFrom(ctx)
			mu.Lock()
			defer mu.Unlock()
			infos = append(infos, info)
			return leat.RetryAfter(time.Hour, errFailing)
		}, &leat.ConsumerOptions{
			Middleware:  []leat.Middleware{middleware.Retry(&middleware.RetryOptions{MaxAttempts: 3})},
			PoisonQueue: fakeQueue{l: l},
		})
		if i == 0 {
			l.send(b, e)
		}
		r.eventually("the event is parked", func() bool { return l.started(e) > i && s.consumer.Stats().Parked == 1 })
		s.stopClean()
	}
	mu.Lock()
	defer mu.Unlock()
	for i, info := range infos {
		if info.Attempt != 1 {
			r.notef("attempt %d at the first call of a new process", info.Attempt)
		}
		if info.Deliveries != i+1 {
			r.notef("delivery %d of the event was counted as %d", i+1, info.Deliveries)
		}
	}
	l.checkPoisoned()
}

// checkCalm counts the calls for an event that always fails, whose first retry comes after first
// or, with the most jitter, half of that, and each further one after twice as long.
func checkCalm(r *run, m []leat.Middleware, first time.Duration) {
	b := r.open()
	l := r.newLedger(b)
	l.serve(b, func(context.Context, leat.Event) error { return errFailing }, &leat.ConsumerOptions{Middleware: m})
	e := l.event("", 8)
	began := time.Now() // a machine that stalls has time for more
	l.send(b, e)
	r.eventually("the event has failed", func() bool { return l.started(e) > 0 })
	pause(200 * time.Millisecond)
	n, took := l.started(e), time.Since(began)
	allowed := 1
	for delay, next := first/2, first/2; next <= took; next += delay {
		allowed++
		delay *= 2
	}
	if n > allowed {
		r.notef("an event that always fails was handled %d times in %v, not %d times at most", n, took, allowed)
	}
}
