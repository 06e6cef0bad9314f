package eventtest

import (
	"context"
	"errors"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/middleware"
)

// drainCases are about stopping.
func drainCases() []Case {
	return []Case{
		{
			Name: "whole-drain-finishes-work", Level: Whole,
			Rule:  "when a consumer stops, running handlers finish with a live context and count; nothing else begins, nothing is lost",
			check: checkDrainWork,
		},
		{
			Name: "whole-drain-during-retry", Level: Whole, Needs: []Need{NeedOrder},
			Rule:  "parked events do not hold up a shutdown, and go back to the group",
			check: checkDrainRetry,
		},
		{
			Name: "whole-drain-ends-handlers", Level: Whole,
			Rule:  "handlers that outlast the ShutdownTimeout are ended, and that poisons nothing",
			check: checkDrainEnds,
		},
		{
			Name: "whole-drain-names-stuck", Level: Whole,
			Rule:  "Run returns in time although a handler does not, and its error says which",
			check: checkDrainStuck,
		},
		{
			Name: "whole-drain-in-outage", Level: Whole, Needs: []Need{NeedPause},
			Rule:  "while the broker does not answer, Run returns within 250 ms of the ShutdownTimeout, and nothing is lost",
			check: checkDrainOutage,
		},
	}
}

func checkDrainWork(r *run) {
	b := r.open()
	l := r.newLedger(b)
	gate := newLatch()
	r.cleanup(gate.release)
	s := l.serve(b, func(ctx context.Context, _ leat.Event) error { return gate.hold(ctx) }, &leat.ConsumerOptions{Concurrency: 4})
	l.send(b, l.events(20, 0)...)
	r.eventually("four handlers are at work", func() bool { return s.consumer.Stats().Running == 4 })
	s.cancel()
	r.eventually("what waits went back", func() bool { return s.consumer.Stats().InFlight <= 4 })
	gate.release()
	s.stopClean()
	if n := l.handledCount(); n < 4 {
		r.notef("only %d of the 4 handlers that ran could finish", n)
	}
	second := l.serve(b, succeed, nil)
	l.await()
	pause(r.opts.Quiet / 4)
	second.stopClean()
	l.checkOnce()
}

func checkDrainRetry(r *run) {
	b := r.open()
	l := r.newLedger(b)
	retry := middleware.Retry(&middleware.RetryOptions{InitialDelay: time.Hour, MaxDelay: time.Hour})
	s := l.serve(b, func(context.Context, leat.Event) error { return errFailing }, &leat.ConsumerOptions{
		Middleware: []leat.Middleware{retry}, PoisonQueue: fakeQueue{l: l}, ShutdownTimeout: r.opts.Quiet + r.operation,
	})
	l.send(b, l.events(20, 5)...)
	r.eventually("an event of every key is parked", func() bool { return s.consumer.Stats().Parked == 5 })
	watch := r.stopwatch()
	s.stopClean()
	if took := watch.took(); took > grace+r.operation {
		r.notef("a shutdown with nothing but parked events took %v", took)
	}
	l.checkPoisoned()
	l.serve(b, succeed, nil)
	l.await()
}

func checkDrainEnds(r *run) {
	b := r.open()
	l := r.newLedger(b)
	s := l.serve(b, func(ctx context.Context, _ leat.Event) error {
		<-ctx.Done()
		return ctx.Err()
	}, &leat.ConsumerOptions{
		Middleware:  []leat.Middleware{middleware.Retry(&middleware.RetryOptions{MaxAttempts: 1})},
		PoisonQueue: fakeQueue{l: l}, ShutdownTimeout: r.opts.Quiet / 4,
	})
	l.send(b, l.events(12, 6)...)
	r.eventually("handlers are at work", func() bool { return s.consumer.Stats().Running == l.heads(12, 6) })
	// At the end of the ShutdownTimeout there are 200 ms for the rest, in which a slow broker need
	// not have closed the stream.
	if err := s.stop(); err != nil && (r.operation == 0 || leat.CodeOf(err) == leat.CodeHandler) {
		r.failf("stopping the consumer: %v", err)
	}
	l.checkPoisoned()
	l.serve(b, succeed, nil)
	l.await()
	l.checkPoisoned()
}

func checkDrainStuck(r *run) {
	b := r.open()
	l := r.newLedger(b)
	gate := newLatch()
	r.cleanup(gate.release)
	e := l.event("stuck", 8)
	s := r.launch(b, r.subscription(l.topic, testGroup), l.record(func(context.Context, leat.Event) error {
		<-gate.open // it does not listen to its context
		return nil
	}), &leat.ConsumerOptions{ShutdownTimeout: r.opts.Quiet / 4})
	s.await()
	l.send(b, e)
	r.eventually("the handler is at work", func() bool { return l.started(e) > 0 })
	err := s.stop()
	named, ok := errors.AsType[*leat.Error](err)
	if !ok || named.Code != leat.CodeHandler || named.EventID != e.ID() {
		r.notef("Run returned %v, which does not name the handler that still runs", err)
	}
	gate.release()
	r.eventually("the handler has returned", func() bool { return s.active.Load() == 0 })
	l.serve(b, succeed, nil)
	r.eventually("what its handler finished too late is handled again", func() bool { return l.started(e) > 1 })
}

func checkDrainOutage(r *run) {
	b := r.open()
	l := r.newLedger(b)
	gate := newLatch()
	r.cleanup(gate.release)
	s := l.serve(b, func(ctx context.Context, _ leat.Event) error { return gate.hold(ctx) },
		&leat.ConsumerOptions{ShutdownTimeout: r.opts.Quiet, PoisonQueue: fakeQueue{l: l}})
	l.send(b, l.events(12, 6)...)
	r.eventually("handlers are at work", func() bool { return s.consumer.Stats().Running == l.heads(12, 6) })
	resume := r.paused()
	gate.release()
	_ = s.stop() // in time; it may say that settlements were not stored
	l.checkPoisoned()
	resume()
	l.rejoin(b)
	l.serve(b, succeed, nil)
	l.await()
}
