package eventtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/middleware"
)

// poisonLimitCases are about what does not fit into a poison queue, and what it refuses.
func poisonLimitCases() []Case {
	return []Case{
		{
			Name: "whole-poison-what-does-not-fit", Level: Whole, Needs: []Need{NeedInject},
			Rule:  "what is too large for the poison queue is there in the reduced form, which says what is missing, and holds up nothing",
			check: checkPoisonReduced,
		},
		{
			Name: "whole-poison-many-attributes", Level: Whole, Needs: []Need{NeedInjectKey},
			Rule:  "an event with more attributes than the poison queue has room for is there whole",
			check: checkPoisonManyAttributes,
		},
		{
			Name: "whole-poison-transport-key", Level: Whole, Needs: []Need{NeedInjectKey},
			Rule:  "an event that came with only a key of the transport is in the poison queue under that key",
			check: checkPoisonTransportKey,
		},
		{
			Name: "whole-poison-refusal-is-alone", Level: Whole,
			Rule: "an event that the poison queue refuses holds up its own key and nothing else, health names it, and it stays unsettled until " +
				"the queue takes it",
			check: checkPoisonRefusal,
		},
	}
}

// awaitPoison waits for n events in the poison queue and returns what is there.
func (p *poisonReader) awaitPoison(r *run, n int) []leat.Event {
	r.eventually(fmt.Sprintf("%d events are in the poison queue", n), func() bool { return len(p.all()) >= n })
	pause(r.opts.Quiet / 2)
	all := p.all()
	if len(all) != n {
		r.notef("%d events are in the poison queue, not %d", len(all), n)
	}
	return all
}

func checkPoisonReduced(r *run) {
	injector, _ := r.h.(Injector)
	b := r.open()
	l := r.newLedger(b)
	s := l.serve(b, succeed, &leat.ConsumerOptions{PoisonQueue: l.poisonQueue(b)})
	const others = 20
	size := maxEvent(b) * 85 / 100 // as base64, in which it would travel, too much
	large := r.largeMalformed(0, size, leat.Malformed{
		Headers: []leat.Header{{Name: "x-suite", Value: []byte("large")}}, Key: []byte("key-1"),
		Body: bytes.Repeat([]byte{'{', 0xff, 0}, size/3), Reason: errors.New("no CloudEvent"),
	})
	r.must(injector.Inject(r.ctx, l.topic, large), "injecting a large malformed message")
	for i := range others {
		small := r.malformed(i+1, leat.Malformed{Body: fmt.Appendf(nil, "no CloudEvent %d", i), Reason: large.Reason})
		r.must(injector.Inject(r.ctx, l.topic, small), "injecting a malformed message")
	}
	l.send(b, l.events(10, 3)...)
	l.await()
	reduced := 0
	for _, e := range l.readPoison(b).awaitPoison(r, others+1) {
		p, err := leat.PoisonedFrom(e)
		r.must(err, "reading what is in the poison queue")
		if p.Reduced == nil {
			continue
		}
		reduced++
		checkReduced(r, p, large)
	}
	if reduced != 1 {
		r.notef("%d messages are in the poison queue in the reduced form, not 1", reduced)
	}
	if n := s.consumer.Stats().PoisonReduced; n != 1 {
		r.notef("Stats count %d events in the reduced form, not 1", n)
	}
}

// checkReduced compares what is left of a malformed message with the whole.
func checkReduced(r *run, p leat.Poisoned, whole leat.Malformed) {
	sum := sha256.Sum256(whole.Body)
	switch {
	case p.Malformed == nil || !bytes.HasPrefix(whole.Body, p.Malformed.Body) || len(p.Malformed.Body) < 1000:
		r.notef("the reduced form does not have the first bytes of the body")
	case p.Reduced.DataSize != len(whole.Body) || p.Reduced.DataSHA256 != hex.EncodeToString(sum[:]):
		r.notef("the reduced form says that the body has %d bytes with the SHA-256 %s", p.Reduced.DataSize, p.Reduced.DataSHA256)
	default:
		r.expectHeaders(whole, p.Malformed)
	}
}

// injected is an event as another producer may have made it, with so many extensions.
func injected(r *run, id string, extensions int) leat.Event {
	headers := append(make([]leat.Header, 0, 4+extensions),
		leat.Header{Name: "specversion", Value: []byte("1.0")}, leat.Header{Name: "id", Value: []byte(id)},
		leat.Header{Name: "source", Value: []byte("/eventtest")}, leat.Header{Name: "type", Value: []byte("test.injected.v1")})
	for i := range extensions {
		headers = append(headers, leat.Header{Name: fmt.Sprintf("x%d", i), Value: fmt.Appendf(nil, "value %d", i)})
	}
	e, err := new(leat.Decoder).Decode(headers, []byte("data"))
	r.must(err, "making an event")
	return e
}

// rejectInjected injects e with a key of the transport, rejects it and returns what comes to the
// poison queue.
func rejectInjected(r *run, key string, e leat.Event) (leat.Event, leat.Poisoned) {
	b := r.open()
	topic := r.h.Topic()
	r.declare(b, topic, testGroup)
	l := newLedger(r, topic)
	queue := l.poisonQueue(b)
	s := r.launch(b, r.subscription(topic, testGroup), func(context.Context, leat.Event) error { return leat.Reject(errFailing) },
		&leat.ConsumerOptions{PoisonQueue: queue})
	s.await()
	r.injectKeyed(topic, key, e)
	all := l.readPoison(b).awaitPoison(r, 1)
	p, err := leat.PoisonedFrom(all[0])
	r.must(err, "reading what is in the poison queue")
	return all[0], p
}

func checkPoisonManyAttributes(r *run) {
	e := injected(r, "many", 72)
	_, p := rejectInjected(r, "", e)
	if p.Reduced != nil || !p.Event.Equal(e) {
		r.notef("an event with 72 extensions is not whole in the poison queue: %v", p.Event)
	}
}

func checkPoisonTransportKey(r *run) {
	e := injected(r, "keyed", 1)
	for _, key := range []string{"key-7", r.oddKey()} {
		poisoned, p := rejectInjected(r, key, e)
		switch {
		case p.Info.Key != key:
			r.notef("the transport's key %q came to the poison queue as %q", key, p.Info.Key)
		case !p.Event.Equal(e) || !middleware.Original(poisoned).Equal(e):
			r.notef("the event is in the poison queue with other attributes than it came with")
		case poisoned.Key() == "":
			r.notef("the event has no partitionkey in the poison queue, which cannot keep the order of %q", key)
		}
	}
}

func checkPoisonRefusal(r *run) {
	b := r.open()
	l := r.newLedger(b)
	bad := l.event("refused", 8)
	after := l.event("refused", 8)
	var mended atomic.Bool
	queue := fakeQueue{l, func(_ context.Context, p leat.Poisoned) error {
		if p.Event.ID() == bad.ID() && !mended.Load() {
			return &leat.Error{Op: "poison", Code: leat.CodePoisonQueue, Err: &leat.Error{Op: "publish", Code: leat.CodeTooLarge}}
		}
		return nil
	}}
	poisonous := l.events(10, 5)
	rejected := map[string]bool{bad.ID(): true}
	for _, e := range poisonous {
		rejected[e.ID()] = true
	}
	handler := func(_ context.Context, e leat.Event) error {
		if rejected[e.ID()] {
			return leat.Reject(errFailing)
		}
		return nil
	}
	s := l.serve(b, handler, &leat.ConsumerOptions{PoisonQueue: queue})
	l.send(b, bad, after)
	r.eventually("health names the event that the poison queue refuses", func() bool {
		h := s.consumer.Health()
		return h.State == leat.Degraded && hasProblem(h, leat.CodePoisonQueue) && s.consumer.Stats().PoisonRefused == 1
	})
	others := l.events(10, 5)
	l.send(b, append(poisonous, others...)...)
	r.eventually("all others are poisoned or handled meanwhile", func() bool { return len(l.missing()) <= 2 })
	if l.ordered && l.started(after) > 0 {
		r.notef("the successor of an event that is not in the poison queue yet was handled")
	}
	s.stopClean()
	mended.Store(true)
	l.serve(b, handler, &leat.ConsumerOptions{PoisonQueue: queue})
	l.await()
	pause(r.opts.Quiet / 4)
	l.checkPoisoned(append(poisonous, bad)...)
}
