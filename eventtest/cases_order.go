package eventtest

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/middleware"
)

// orderCases are about loss, ghosts, order and what one key may do to the others.
func orderCases() []Case {
	return []Case{
		{
			Name: "whole-no-loss-no-ghosts", Level: Whole,
			Rule:  "every confirmed event is handled, with the bytes and attributes that were published, and nothing else is",
			check: checkNoLoss,
		},
		{
			Name: "whole-once-in-peace", Level: Whole,
			Rule:  "without errors and faults every event is handled exactly once",
			check: checkOnceInPeace,
		},
		{
			Name: "whole-order-64-handlers", Level: Whole,
			Rule:  "events of one key are handled in publish order, one at a time, with 64 handlers",
			check: checkOrder,
		},
		{
			Name: "whole-order-failing-handlers", Level: Whole,
			Rule:  "handlers that fail, panic and ask for delays change neither the order of a key nor lose events",
			check: checkOrderFailing,
		},
		{
			Name: "whole-order-group-changes", Level: Whole, Needs: []Need{NeedOrder},
			Rule:  "order per key holds, and nothing is lost, while consumers of the group join, leave and are killed",
			check: checkOrderGroupChanges,
		},
		{
			Name: "whole-no-overlap", Level: Whole, Needs: []Need{NeedOrder},
			Rule:  "two handlers of one key never run at once while the lease is held, also while consumers join and leave",
			check: checkNoOverlap,
		},
		{
			Name: "whole-slow-key", Level: Whole, Needs: []Need{NeedOrder},
			Rule:  "a slow event delays only the later ones of its key",
			check: checkSlowKey,
		},
		{
			Name: "whole-poisonous-key", Level: Whole, Needs: []Need{NeedOrder},
			Rule:  "an event that always fails delays only the later ones of its key",
			check: checkPoisonousKey,
		},
	}
}

func checkNoLoss(r *run) {
	b := r.open()
	l := r.newLedger(b)
	l.serve(b, succeed, &leat.ConsumerOptions{Concurrency: 64})
	l.send(b, l.shapes()...)
	l.send(b, append(l.events(150, 0), l.events(150, 20)...)...)
	l.await()
}

func checkOnceInPeace(r *run) {
	b := r.open()
	l := r.newLedger(b)
	s := l.serve(b, succeed, &leat.ConsumerOptions{Concurrency: 64})
	l.send(b, append(l.events(100, 0), l.events(100, 20)...)...)
	l.await()
	pause(r.opts.Quiet / 2)
	s.stopClean()
	l.checkOnce()
}

func checkOrder(r *run) {
	b := r.open()
	l := r.newLedger(b)
	l.serve(b, dawdle(time.Millisecond), &leat.ConsumerOptions{Concurrency: 64})
	l.send(b, l.events(300, 20)...)
	l.await()
}

// dawdle returns a handler that takes up to longest, and stops when its context ends.
func dawdle(longest time.Duration) leat.HandlerFunc {
	return func(ctx context.Context, _ leat.Event) error {
		timer := time.NewTimer(time.Duration(rand.Int64N(int64(longest))))
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

var errFailing = errors.New("the handler fails on purpose")

// quickRetry retries without end, so soon that a case does not take long.
func quickRetry() leat.Middleware {
	return middleware.Retry(&middleware.RetryOptions{NoLimit: true, InitialDelay: time.Millisecond, MaxDelay: 4 * time.Millisecond})
}

func checkOrderFailing(r *run) {
	b := r.open()
	l := r.newLedger(b)
	l.serve(b, func(context.Context, leat.Event) error {
		switch rand.IntN(6) {
		case 0:
			return errFailing
		case 1:
			return leat.RetryAfter(time.Millisecond, errFailing)
		case 2:
			panic(errFailing) //nolint:forbidigo // the Consumer makes an error of it
		}
		return nil
	}, &leat.ConsumerOptions{Concurrency: 64, Middleware: []leat.Middleware{quickRetry()}})
	l.send(b, l.events(150, 10)...)
	l.await()
}

func checkOrderGroupChanges(r *run) {
	b := r.open()
	l := r.newLedger(b)
	work := dawdle(8 * time.Millisecond) // so long that more waits than can run
	start := func(b leat.Broker, shutdown time.Duration) *program {
		return l.serve(b, work, &leat.ConsumerOptions{Concurrency: groupWorkers, ShutdownTimeout: shutdown})
	}
	first := start(b, 0)
	l.putToWork(b, first)
	second := start(b, 0)
	l.putToWork(b, second)
	other := r.openToClose()
	third := start(other, time.Millisecond)
	l.putToWork(b, third)
	l.putToWork(b, second)
	second.stopClean() // what it has not begun goes back, to either of two
	l.putToWork(b, third)
	r.kill(other, third)
	l.putToWork(b, first)
	if e, ok := r.h.(Expirer); ok {
		r.must(e.Expire(r.ctx, l.topic, testGroup), "expiring leases")
	}
	fourth := start(b, 0)
	l.putToWork(b, fourth)
	first.stopClean()
	l.await()
	fourth.stopClean()
}

// kill ends a consumer at work: its process vanishes, where the harness can bring that about, else
// its handlers are cut short.
func (r *run) kill(b leat.Broker, s *program) {
	if d, ok := r.h.(Dropper); ok {
		r.must(d.Drop(r.ctx, b), "making a consumer's process vanish")
	}
	_ = s.stop()
}

// groupWorkers is the concurrency of each consumer that joins and leaves.
const groupWorkers = 8

// putToWork publishes until handlers of s run, so that the next change of the group meets it at
// work. At first it also wants more to wait than can run, so that there is something to give back,
// which a slow broker does not bring about. A consumer that stands by, or that is still waiting for
// the group to settle, gets nothing, and is given up soon.
func (l *ledger) putToWork(b leat.Broker, s *program) {
	const tries = 6
	for try := range tries {
		l.send(b, l.events(160, 80)...) // so many keys that some of those at work must move
		for deadline := time.Now().Add(l.r.opts.Quiet / tries); time.Now().Before(deadline); pause(50 * time.Microsecond) {
			if now := s.consumer.Stats(); now.Running > 0 && (try > 0 || now.InFlight > groupWorkers) {
				return
			}
		}
	}
}

// checkNoOverlap keeps every key at work, so that each that moves meets a handler, which takes
// longer than a broker needs to hand a key on.
func checkNoOverlap(r *run) {
	const keys = 80 // so many that some of those at work must move
	b := r.open()
	l := r.newLedger(b)
	long := 20*time.Millisecond + r.operation/20
	work := func(context.Context, leat.Event) error {
		pause(long)
		return nil
	}
	first := l.serve(b, work, &leat.ConsumerOptions{Concurrency: keys})
	l.send(b, l.events(4*keys, keys)...)
	r.eventually("the first consumer is at work", func() bool { return l.begun() > keys/2 })
	second := l.serve(b, work, &leat.ConsumerOptions{Concurrency: keys})
	// A slow broker moves keys later, and none moves them to a stream that stands by. Meanwhile the
	// first consumer has something to do, and no more than it can finish soon.
	most := 2*r.operation + r.opts.Quiet
	for moved := r.stopwatch(); !r.standby() && second.consumer.Stats().Received == 0 && moved.took() < most; pause(time.Millisecond) {
		if l.waiting() < 2*keys {
			l.send(b, l.events(keys, keys)...)
		}
	}
	begun := l.begun()
	l.send(b, l.events(2*keys, keys)...)
	r.eventually("both are at work", func() bool { return l.begun() >= begun+keys })
	first.stopClean()
	l.await()
}

func checkSlowKey(r *run) {
	b := r.open()
	l := r.newLedger(b)
	gate := newLatch()
	r.cleanup(gate.release)
	slow := []leat.Event{l.event("slow", 8), l.event("slow", 8)}
	l.serve(b, func(ctx context.Context, e leat.Event) error {
		if e.Key() == "slow" {
			return gate.hold(ctx)
		}
		return nil
	}, &leat.ConsumerOptions{Concurrency: 4})
	l.send(b, slow[0])
	r.eventually("the slow event is at work", func() bool { return l.started(slow[0]) > 0 })
	l.send(b, slow[1])
	l.pass(b, "all others are handled while the slow one still runs")
	pause(r.brief())
	if l.started(slow[1]) > 0 {
		r.notef("the second event of the slow key began before the first had finished")
	}
	gate.release()
	l.await()
}

// pass sends events of other keys in several rounds, each when the one before is handled.
func (l *ledger) pass(b leat.Broker, what string) {
	const rounds, size = 4, 15
	for i := range rounds {
		l.send(b, l.events(size, 5)...)
		l.r.eventually(what, func() bool { return l.handledCount() == (i+1)*size })
	}
}

func checkPoisonousKey(r *run) {
	b := r.open()
	l := r.newLedger(b)
	bad := []leat.Event{l.event("bad", 8), l.event("bad", 8)}
	l.serve(b, func(_ context.Context, e leat.Event) error {
		if e.ID() == bad[0].ID() {
			return errFailing
		}
		return nil
	}, &leat.ConsumerOptions{Concurrency: 1})
	l.send(b, bad[0])
	r.eventually("the bad event has failed", func() bool { return l.started(bad[0]) > 0 })
	p := leat.NewProducer(b, nil)
	r.must(p.Publish(r.ctx, l.topic, bad[1]), "publishing")
	l.pass(b, "all others are handled while the bad one keeps failing")
	pause(r.brief())
	if l.started(bad[1]) > 0 {
		r.notef("the event behind the failing one of its key was handled first")
	}
}
