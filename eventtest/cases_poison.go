package eventtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/middleware"
)

// poisonCases are about what cannot be handled.
func poisonCases() []Case {
	return []Case{
		{
			Name: "whole-malformed-poisoned-once", Level: Whole, Needs: []Need{NeedInject},
			Rule:  "what is not a CloudEvent goes to the poison queue once, with its bytes, and the stream goes on",
			check: checkMalformedPoisoned,
		},
		{
			Name: "whole-poisoned-keeps-bytes", Level: Whole,
			Rule:  "a rejected event is in the poison queue once, with its bytes and attributes, and the reason",
			check: checkPoisonedBytes,
		},
		{
			Name: "whole-poison-before-ack", Level: Whole,
			Rule:  "a rejected event is acked only after the poison queue confirmed it",
			check: checkPoisonBeforeAck,
		},
		{
			Name: "whole-poison-queue-down", Level: Whole,
			Rule:  "while the poison queue is down, a rejected event stays unsettled, its handler does not run again, and health says so",
			check: checkPoisonDown,
		},
		{
			Name: "whole-rejected-leaves-order", Level: Whole,
			Rule:  "a rejected event leaves the order of its key, and its successors go on in order",
			check: checkRejectedLeavesOrder,
		},
	}
}

// poisonReader collects what comes to the poison topic of a group.
type poisonReader struct {
	mu     sync.Mutex
	events []leat.Event
}

// poisonQueue returns the poison queue of the ledger's topic. Run declares it, where the adapter is
// a leat.Declarer.
func (l *ledger) poisonQueue(b leat.Broker) leat.PoisonQueue {
	if _, declares := b.(leat.Declarer); !declares {
		l.r.declare(b, leat.PoisonTopic(l.topic, testGroup), leat.ReplayGroup)
	}
	return middleware.PoisonQueue(leat.NewProducer(b, nil), nil)
}

func (l *ledger) readPoison(b leat.Broker) *poisonReader {
	var p poisonReader
	s := l.r.launch(b, leat.ReplayOf(l.r.subscription(l.topic, testGroup)),
		func(_ context.Context, e leat.Event) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.events = append(p.events, e)
			return nil
		}, nil)
	s.await()
	return &p
}

func (p *poisonReader) all() []leat.Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.events)
}

func checkMalformedPoisoned(r *run) {
	injector, _ := r.h.(Injector)
	b := r.open()
	l := r.newLedger(b)
	queue := l.poisonQueue(b)
	l.serve(b, succeed, &leat.ConsumerOptions{PoisonQueue: queue})
	raw := r.malformed(0, leat.Malformed{
		Headers: []leat.Header{{Name: "x-suite", Value: []byte("whole")}},
		Key:     []byte("key-1"), Body: []byte{0, 1, 2, 0xff, '{', '"', 0xfe}, Reason: errors.New("no CloudEvent"),
	})
	l.send(b, l.events(10, 3)...)
	r.must(injector.Inject(r.ctx, l.topic, raw), "injecting")
	l.send(b, l.events(10, 3)...)
	l.await()
	reader := l.readPoison(b)
	r.eventually("the malformed message is in the poison queue", func() bool { return len(reader.all()) > 0 })
	pause(r.opts.Quiet / 2)
	all := reader.all()
	if len(all) != 1 {
		r.notef("one malformed message is in the poison queue %d times", len(all))
	}
	p, err := leat.PoisonedFrom(all[0])
	r.must(err, "reading what is in the poison queue")
	switch {
	case p.Malformed == nil:
		r.notef("the poison queue does not tell that the message was malformed")
	case !bytes.Equal(p.Malformed.Body, raw.Body):
		r.notef("the malformed body %q came to the poison queue as %q", raw.Body, p.Malformed.Body)
	default:
		r.expectHeaders(raw, p.Malformed)
	}
}

func checkPoisonedBytes(r *run) {
	b := r.open()
	l := r.newLedger(b)
	queue := l.poisonQueue(b)
	l.serve(b, func(context.Context, leat.Event) error { return leat.Reject(errFailing) }, &leat.ConsumerOptions{PoisonQueue: queue})
	events := append(l.events(5, 2), l.events(5, 0)...)
	p := leat.NewProducer(b, nil)
	r.must(p.Publish(r.ctx, l.topic, events...), "publishing")
	reader := l.readPoison(b)
	r.eventually("every rejected event is in the poison queue", func() bool { return len(reader.all()) >= len(events) })
	pause(r.opts.Quiet / 2)
	seen := map[string]int{}
	for _, e := range reader.all() {
		seen[e.ID()]++
		checkOnePoisoned(r, l, e)
	}
	for _, e := range events {
		if n := seen[e.ID()]; n != 1 {
			r.notef("%s is in the poison queue %d times, not once", e.ID(), n)
		}
	}
}

// checkOnePoisoned compares an event of the poison queue with the original.
func checkOnePoisoned(r *run, l *ledger, e leat.Event) {
	l.mu.Lock()
	original := l.sent[e.ID()]
	l.mu.Unlock()
	p, err := leat.PoisonedFrom(e)
	switch {
	case err != nil:
		r.notef("an event of the poison queue cannot be read: %v", err)
	case original == nil:
		r.notef("an event that was not published is in the poison queue: %v", e)
	case !p.Event.Equal(original.event) || !middleware.Original(e).Equal(original.event):
		r.notef("%v is in the poison queue with other attributes or bytes than it was published with", e)
	case p.Reason == nil || p.Reason.Error() != errFailing.Error():
		r.notef("the reason %q came to the poison queue as %v", errFailing, p.Reason)
	case p.Info.Topic != l.topic || p.Info.Group != testGroup || p.Info.Attempt != 1:
		r.notef("the poison queue tells of topic %q, group %q and attempt %d", p.Info.Topic, p.Info.Group, p.Info.Attempt)
	}
}

// checkPoisonBeforeAck stops a consumer whose poison queue has not confirmed: the event must come
// again.
func checkPoisonBeforeAck(r *run) {
	b := r.open()
	l := r.newLedger(b)
	reject := func(context.Context, leat.Event) error { return leat.Reject(errFailing) }
	var asked atomic.Int64
	hangs := fakeQueue{l, func(ctx context.Context, _ leat.Poisoned) error {
		asked.Add(1)
		<-ctx.Done()
		return ctx.Err()
	}}
	events := l.events(3, 3)
	s := l.serve(b, reject, &leat.ConsumerOptions{PoisonQueue: hangs, ShutdownTimeout: r.opts.Quiet / 4})
	l.send(b, events...)
	r.eventually("the poison queue is asked for all", func() bool { return asked.Load() == int64(len(events)) })
	_ = s.stop()
	l.checkPoisoned()
	l.serve(b, reject, &leat.ConsumerOptions{PoisonQueue: fakeQueue{l: l}})
	l.await()
	pause(r.opts.Quiet / 4)
	l.checkPoisoned(events...)
}

func checkPoisonDown(r *run) {
	b := r.open()
	l := r.newLedger(b)
	var down atomic.Bool
	down.Store(true)
	queue := fakeQueue{l, func(context.Context, leat.Poisoned) error {
		if down.Load() {
			return &leat.Error{Op: "poison", Code: leat.CodePoisonQueue, Err: errFailing}
		}
		return nil
	}}
	bad := l.event("bad", 8)
	s := l.serve(b, func(_ context.Context, e leat.Event) error {
		if e.ID() == bad.ID() {
			return leat.Reject(errFailing)
		}
		return nil
	}, &leat.ConsumerOptions{PoisonQueue: queue})
	l.send(b, bad)
	r.eventually("health says that the poison queue is down", func() bool {
		return s.consumer.Health().State >= leat.Degraded && hasProblem(s.consumer.Health(), leat.CodePoisonQueue)
	})
	others := l.events(10, 5)
	l.send(b, others...)
	r.eventually("other keys are handled meanwhile", func() bool { return l.handledCount() == len(others) })
	pause(r.opts.Quiet / 2)
	if st := s.consumer.Stats(); st.InFlight != 1 || st.Poisoned != 0 {
		r.notef("while the poison queue is down, %d events are in flight and %d poisoned, not 1 and 0", st.InFlight, st.Poisoned)
	}
	down.Store(false)
	l.await()
	if n := l.started(bad); n != 1 {
		r.notef("the handler ran %d times for a rejected event", n)
	}
	l.checkPoisoned(bad)
}

func checkRejectedLeavesOrder(r *run) {
	b := r.open()
	l := r.newLedger(b)
	var bad []leat.Event
	rejected := map[string]bool{}
	events := l.events(60, 4)
	for i, e := range events {
		if i%7 == 3 {
			bad = append(bad, e)
			rejected[e.ID()] = true
		}
	}
	l.serve(b, func(_ context.Context, e leat.Event) error {
		if rejected[e.ID()] {
			return leat.Reject(fmt.Errorf("%w: %s", errFailing, e.ID()))
		}
		return nil
	}, &leat.ConsumerOptions{PoisonQueue: fakeQueue{l, func(context.Context, leat.Poisoned) error {
		pause(time.Millisecond)
		return nil
	}}})
	l.send(b, events...)
	l.await()
	pause(r.opts.Quiet / 4)
	l.checkPoisoned(bad...)
}
