package eventtest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat"
)

// limitCases are about bounds and deadlines.
func limitCases() []Case {
	return []Case{
		{
			Name: "whole-in-flight-events", Level: Whole,
			Rule:  "no more than MaxInFlight events are in flight, and no more than Concurrency handlers run",
			check: checkInFlightEvents,
		},
		{
			Name: "whole-in-flight-bytes", Level: Whole, alone: true,
			Rule:  "no more than MaxInFlightBytes are in flight, and the memory of a consumer that is behind is bounded",
			check: checkInFlightBytes,
		},
		{
			Name: "whole-oversized-event", Level: Whole,
			Rule:  "an event within the limits is taken; one beyond them is refused with CodeTooLarge, and its neighbours are stored",
			check: checkOversized,
		},
		{
			Name: "whole-unknown-topic", Level: Whole,
			Rule:  "a publish to a topic that nobody declared succeeds or is refused with CodeNotFound",
			check: checkUnknownTopic,
		},
		{
			Name: "whole-publish-deadline", Level: Whole, Needs: []Need{NeedPause},
			Rule:  "while the broker does not answer, Publish ends within 250 ms of its deadline and reports no success",
			check: checkPublishDeadline,
		},
		{
			Name: "whole-close-deadline", Level: Whole, Needs: []Need{NeedPause},
			Rule:  "while the broker does not answer, closing the Producer and the adapter end by their deadline",
			check: checkCloseDeadline,
		},
	}
}

// checkInFlightEvents looks at a consumer whose handlers are held: it must not take more than it
// may, and goes on when they finish.
func checkInFlightEvents(r *run) {
	const most, handlers = 8, 4
	b := r.open()
	l := r.newLedger(b)
	gate := newLatch()
	r.cleanup(gate.release)
	s := l.serve(b, func(ctx context.Context, _ leat.Event) error { return gate.hold(ctx) },
		&leat.ConsumerOptions{Concurrency: handlers, MaxInFlight: most})
	l.send(b, l.events(50, 0)...)
	check := func() {
		if st := s.consumer.Stats(); st.InFlight > most || st.Running > handlers {
			r.notef("%d events are in flight and %d handlers run; at most %d and %d may", st.InFlight, st.Running, most, handlers)
		}
	}
	r.eventually("all handlers are at work", func() bool { return s.consumer.Stats().Running == handlers })
	pause(r.opts.Quiet / 4)
	check()
	gate.release()
	for !l.done() && r.ctx.Err() == nil && len(l.r.seenSoFar()) == 0 {
		check()
		pause(100 * time.Microsecond)
	}
	l.await()
}

// seenSoFar returns what has failed the case until now.
func (r *run) seenSoFar() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen
}

func checkInFlightBytes(r *run) {
	const most, size, count = 64 << 10, 10 << 10, 200
	b := r.open()
	l := r.newLedger(b)
	gate := newLatch()
	r.cleanup(gate.release)
	s := l.serve(b, func(ctx context.Context, _ leat.Event) error { return gate.hold(ctx) }, &leat.ConsumerOptions{MaxInFlightBytes: most})
	before := heapInUse()
	events := make([]leat.Event, count)
	for i := range events {
		events[i] = l.event("", size)
	}
	l.send(b, events...)
	r.eventually("handlers are at work", func() bool { return s.consumer.Stats().Running > 1 })
	pause(r.opts.Quiet / 4)
	if st := s.consumer.Stats(); st.InFlightBytes > most {
		r.notef("%d bytes are in flight; at most %d may be", st.InFlightBytes, most)
	}
	if grown := heapInUse() - before; grown > 64<<20 {
		r.notef("the heap grew by %d MiB while %d MiB waited behind a bound of %d KiB", grown>>20, count*size>>20, most>>10)
	}
	gate.release()
	l.await()
}

func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// reserve is what a Producer keeps free below the broker's limit for the poison queue, with
// something for the event's attributes.
const reserve = 10 << 10

func checkOversized(r *run) {
	b := r.open()
	l := r.newLedger(b)
	l.serve(b, succeed, nil)
	limit := b.Limits().MaxEventBytes
	if limit == 0 || limit > 1<<20 {
		limit = 1 << 20 // Leat's own
	}
	large := l.event("large", limit-reserve)
	l.send(b, large)
	small := l.events(2, 1)
	p := leat.NewProducer(b, nil)
	beyond := small[0].WithID("beyond").WithData("application/octet-stream", make([]byte, limit+1))
	err := p.Publish(r.ctx, l.topic, small[0], beyond, small[1])
	failed, ok := errors.AsType[*leat.PublishError](err)
	switch {
	case !ok:
		r.notef("publishing an event of %d bytes over the limit returned %v, which is no *leat.PublishError", 1, err)
	case len(failed.Failures) != 1 || failed.Failures[0].Event.ID() != "beyond":
		r.notef("of three events, of which one is too large, others failed: %v", err)
	case leat.CodeOf(failed.Failures[0].Err) != leat.CodeTooLarge:
		r.notef("an event that is too large was refused with the code %q", leat.CodeOf(failed.Failures[0].Err))
	}
	l.confirm(small...)
	l.await()
}

func checkUnknownTopic(r *run) {
	b := r.open()
	l := newLedger(r, r.h.Topic())
	ctx, cancel := context.WithTimeout(r.ctx, r.opts.Patience)
	defer cancel()
	err := l.publish(ctx, leat.NewProducer(b, nil), l.event("k", 8))
	if code := leat.CodeOf(err); err != nil && code != leat.CodeNotFound {
		r.notef("a publish to an unknown topic failed with the code %q: %v", code, err)
	}
}

// paused pauses the broker until the case is over, or until the function that it returns is called.
func (r *run) paused() (resume func()) {
	p, _ := r.h.(Pauser)
	r.must(p.Pause(r.ctx), "pausing the broker")
	var once atomic.Bool
	resume = func() {
		if once.CompareAndSwap(false, true) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), r.opts.Patience)
			defer cancel()
			if err := p.Resume(ctx); err != nil {
				r.notef("letting the broker go on: %v", err)
			}
		}
	}
	r.cleanup(resume)
	return resume
}

// within fails the case when f takes longer than d and the grace that every deadline has.
func (r *run) within(d time.Duration, what string, f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	if !r.closedWithin(done, d+grace) {
		r.failf("%s had not ended %v after its deadline of %v", what, grace, d)
	}
}

func checkPublishDeadline(r *run) {
	b := r.open()
	l := r.newLedger(b)
	p := leat.NewProducer(b, nil)
	l.send(b, l.event("k", 8))
	resume := r.paused()
	deadline := r.opts.Quiet
	ctx, cancel := context.WithTimeout(r.ctx, deadline)
	defer cancel()
	var err error
	r.within(deadline, "a Publish", func() { err = l.publish(ctx, p, l.event("k", 8)) })
	if err == nil {
		r.notef("a Publish succeeded while the broker did not answer")
	} else if code := leat.CodeOf(err); !leat.Retryable(err) {
		r.notef("a Publish to a broker that does not answer failed with the code %q, which tells to give up", code)
	}
	resume()
	l.rejoin(b)
	l.serve(b, succeed, nil)
	again := l.event("after", 8)
	r.eventually("the broker takes events again", func() bool { return l.publish(r.ctx, p, again) == nil })
	l.await()
}

func checkCloseDeadline(r *run) {
	b, err := r.h.Open(r.ctx)
	r.must(err, "opening the adapter")
	l := r.newLedger(b)
	p := leat.NewProducer(b, nil)
	resume := r.paused()
	under := make(chan error, 1)
	go func() { under <- l.publish(r.ctx, p, l.event("k", 8)) }()
	// An adapter may give a publish up before the Producer is closed.
	r.eventually("a publish is under way, or was given up", func() bool {
		ctx, cancel := context.WithTimeout(r.ctx, time.Millisecond)
		defer cancel()
		return p.Flush(ctx) != nil || len(under) > 0
	})
	ctx, cancel := context.WithTimeout(r.ctx, r.opts.Quiet)
	defer cancel()
	told := false
	r.within(r.opts.Quiet, "closing the Producer", func() {
		told = leat.CodeOf(p.Close(ctx)) == leat.CodeUnknown
	})
	if !told && !r.comesWithin(grace, under) {
		r.notef("closing the Producer does not tell that an answer is missing")
	}
	r.within(min(r.opts.Patience, 10*time.Second), "closing the adapter", func() {
		if err := b.Close(); err != nil {
			r.notef("closing the adapter: %v", fmt.Errorf("%w", err))
		}
	})
	r.within(0, "the publish that was under way", func() {
		if err := <-under; err == nil {
			r.notef("a publish that the broker never answered succeeded")
		}
	})
	resume()
}

// comesWithin waits until there is an error in the channel, and leaves it there.
func (r *run) comesWithin(d time.Duration, errs chan error) bool {
	for w := r.stopwatch(); len(errs) == 0; pause(time.Millisecond) {
		if w.took() > d {
			return false
		}
	}
	return true
}
