package eventtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/leatgo/leat"
)

// publishCases are the cases about Publish at the raw level.
func publishCases() []Case {
	return []Case{
		{
			Name: "done-once", Level: Raw,
			Rule:  "P1: done is called exactly once for every event",
			check: checkDoneOnce,
		},
		{
			Name: "nil-means-stored", Level: Raw, Needs: []Need{NeedKill},
			Rule:  "P4: what was confirmed is delivered, also when the broker is killed right after",
			check: checkNilMeansStored,
		},
		{
			Name: "batch-outcomes", Level: Raw,
			Rule:  "P5, P7: each event of a call has its own outcome, and a refused one does not change that of its neighbours",
			check: checkBatchOutcomes,
		},
		{
			Name: "refused-never-delivered", Level: Raw,
			Rule:  "P5: an event with any error but CodeUnknown is not stored and never will be",
			check: checkRefusedNeverDelivered,
		},
		{
			Name: "largest-event", Level: Raw,
			Rule:  "Limits: an event of exactly MaxEventBytes is taken",
			check: checkLargestEvent,
		},
		{
			Name: "largest-event-any-bytes", Level: Raw,
			Rule: "Limits: an event of exactly MaxEventBytes is taken whatever its bytes are, also where the transport percent-encodes, " +
				"escapes or writes base64",
			check: checkLargestEventAnyBytes,
		},
		{
			Name: "publish-canceled", Level: Raw,
			Rule:  "P3: when ctx ended before the event was accepted, it is refused with CodeCanceled within 250 ms, and no other is",
			check: checkPublishCanceled,
		},
		{
			Name: "cancel-after-publish", Level: Raw,
			Rule:  "P3: an accepted event is not affected when ctx ends after Publish returned",
			check: checkCancelAfterPublish,
		},
		{
			Name: "nobody-listens", Level: Raw, Needs: []Need{NeedStray},
			Rule: "P5, P11, W1, W3, W4: what nobody was sent waits in the buffer, and is refused as unavailable when the ctx " +
				"of a waiting publish ends, " +
				"and it alone",
			check: checkNobodyListens,
		},
		{
			Name: "publish-after-close", Level: Raw,
			Rule:  "C2: Publish after Close reports CodeClosed for every event",
			check: checkPublishAfterClose,
		},
		{
			Name: "close-while-publishing", Level: Raw,
			Rule:  "C1: publishes that Close interrupts are all done once, with CodeUnknown or CodeClosed, and nil only where stored",
			check: checkCloseWhilePublishing,
		},
		{
			Name: "events-reused", Level: Raw,
			Rule:  "P9: events belongs to the caller again when Publish returns",
			check: checkEventsReused,
		},
		{
			Name: "order-of-a-key", Level: Raw, Needs: []Need{NeedOrder},
			Rule:  "P6, R3: events of one key are stored and delivered in the order of the call, and of the calls",
			check: checkOrderOfAKey,
		},
		{
			Name: "byte-for-byte", Level: Raw,
			Rule:  "what is delivered is what was published: every attribute and the data, byte for byte",
			check: checkByteForByte,
		},
		{
			Name: "limits-constant", Level: Raw,
			Rule:  "Limits does not change",
			check: checkLimitsConstant,
		},
	}
}

func checkDoneOnce(r *run) {
	b, topic := r.start(groupA)
	events := r.spread("e", 100)
	o := newOutcomes(len(events))
	b.Publish(r.ctx, topic, events, o.done)
	r.eventually("every event was reported", o.complete)
	for _, err := range o.errs {
		r.must(err, "publishing")
	}
	pause(r.opts.Quiet / 2)
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, n := range o.calls {
		if n != 1 {
			r.notef("done was called %d times for event %d", n, i)
		}
	}
}

func checkNilMeansStored(r *run) {
	b, topic := r.start(groupA)
	const calls, each = 25, 16
	var events []leat.Event
	for i := range calls {
		more := r.spread(fmt.Sprint("call-", i), each)
		r.mustPublish(b, topic, more...)
		events = append(events, more...)
	}
	r.restart()
	rd := r.rejoin(b, topic, groupA)
	r.expectSet("after the broker was killed", rd.finish(len(events)), events...)
}

func checkBatchOutcomes(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	good := r.series("k", 3)
	refused := map[int]leat.Code{1: leat.CodeTooLarge, 3: leat.CodeInvalid}
	errs := r.publish(r.ctx, b, topic, good[0], r.tooLarge(b, "large"), good[1], leat.Event{}, good[2])
	for i, err := range errs {
		if code, ok := refused[i]; ok {
			r.expectCode(fmt.Sprintf("event %d of 5, which no broker takes", i), err, code)
		} else if err != nil {
			r.notef("event %d of 5 is good, but a neighbour of a refused one: %v", i, err)
		}
	}
	last := r.event("last", "k")
	r.mustPublish(b, topic, last)
	r.expectSet("what was confirmed", rd.until(last.ID()), good...)
}

func checkRefusedNeverDelivered(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	ended, cancel := context.WithCancel(r.ctx)
	cancel()
	refusals := []struct {
		ctx context.Context
		e   leat.Event
	}{{ended, r.event("canceled", "k")}, {r.ctx, r.tooLarge(b, "large")}, {r.ctx, leat.Event{}}}
	for _, f := range refusals {
		for _, err := range r.publish(f.ctx, b, topic, f.e) {
			if err == nil || leat.CodeOf(err) == leat.CodeUnknown {
				r.failf("the event %q must be refused: %v", f.e.ID(), err)
			}
		}
	}
	last := r.event("last", "k")
	r.mustPublish(b, topic, last)
	if got := rd.until(last.ID()); len(got) > 0 {
		r.failf("delivered although refused: %s", ids(got))
	}
}

func checkLargestEvent(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	e := r.event("largest", "k").WithData("", []byte{})
	e = e.WithData("", make([]byte, maxEvent(b)-e.Size()))
	r.mustPublish(b, topic, e)
	if got := rd.take(1)[0]; !got.Event.Equal(e) {
		r.failf("an event of %d bytes came back with %d, or changed", e.Size(), got.Event.Size())
	}
}

// cancelBound is P3's, and R1's.
const cancelBound = 250 * time.Millisecond

func checkPublishCanceled(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	ctx, cancel := context.WithCancel(r.ctx)
	cancel()
	watch := r.stopwatch()
	errs := r.publish(ctx, b, topic, r.series("canceled", 5)...)
	if took := watch.took(); took > cancelBound {
		r.notef("the answer took %v", took)
	}
	for _, err := range errs {
		r.expectCode("published with a ctx that has ended", err, leat.CodeCanceled)
	}
	others := r.series("other", 5)
	r.mustPublish(b, topic, others...)
	r.expectSet("published with another ctx", rd.all(len(others)), others...)
}

func checkCancelAfterPublish(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	const calls, each = 10, 5
	var events []leat.Event
	all := make([]*outcomes, calls)
	for i := range all {
		more := r.series(fmt.Sprint("call-", i), each)
		events = append(events, more...)
		all[i] = newOutcomes(each)
		ctx, cancel := context.WithCancel(r.ctx)
		b.Publish(ctx, topic, more, all[i].done)
		cancel()
	}
	for _, o := range all {
		r.eventually("every publish was done", o.complete)
		for _, err := range o.errs {
			if err != nil {
				r.failf("ctx ended after Publish had returned, and then: %v", err)
			}
		}
	}
	r.expectSet("after ctx ended", rd.all(len(events)), events...)
}

// withSubject changes events on their way to the adapter, which has to know them again (W4).
func withSubject(next leat.PublishFunc) leat.PublishFunc {
	return func(ctx context.Context, topic string, events []leat.Event, done func(i int, err error)) {
		changed := make([]leat.Event, len(events))
		for i, e := range events {
			changed[i] = e.WithSubject("changed")
		}
		next(ctx, topic, changed, done)
	}
}

func checkNobodyListens(r *run) {
	b, err := r.h.(Stray).OpenNowhere(r.ctx) //nolint:forcetypeassert // the case needs it
	r.must(err, "opening the adapter where nobody listens")
	r.cleanup(func() { _ = b.Close() })
	topic, producer := r.h.Topic(), leat.NewProducer(b, &leat.ProducerOptions{Middleware: []leat.PublishMiddleware{withSubject}})
	async := newOutcomes(1)
	accepted, end := context.WithTimeout(r.ctx, r.opts.Patience/4)
	b.Publish(accepted, topic, r.series("async", 1), async.done)
	end()
	ctx, cancel := context.WithTimeout(r.ctx, r.opts.Quiet)
	defer cancel()
	watch := r.stopwatch()
	err = producer.Publish(ctx, topic, r.series("sync", 3)...)
	if took := watch.took(); took > r.opts.Quiet+cancelBound {
		r.notef("the answer took %v, with a ctx of %v", took, r.opts.Quiet)
	}
	var failed *leat.PublishError
	if !errors.As(err, &failed) || len(failed.Failures) != 3 {
		r.failf("3 events were published where nobody listens: %v", err)
	}
	for _, f := range failed.Failures {
		r.expectCode("published where nobody listens", f.Err, leat.CodeUnavailable)
		if !errors.Is(f.Err, context.DeadlineExceeded) {
			r.notef("the error of an event that is withdrawn has nothing of what ended ctx: %v", f.Err)
		}
	}
	if async.complete() {
		r.notef("an event was accepted, nobody listens, and long before any delivery timeout it is done: %v", async.errs[0])
	}
	r.must(b.Close(), "closing the broker")
	r.eventually("every event was reported", async.complete)
	if err := async.errs[0]; err == nil || leat.CodeOf(err) == leat.CodeUnknown {
		r.notef("nobody was there, and the outcome of an event is %v", err)
	}
}

func checkPublishAfterClose(r *run) {
	b, topic := r.openToClose(), r.h.Topic()
	r.declare(b, topic, groupA)
	r.mustPublish(b, topic, r.event("before", "k"))
	r.must(b.Close(), "closing the broker")
	for _, err := range r.publish(r.ctx, b, topic, r.series("after", 3)...) {
		r.expectCode("published after Close", err, leat.CodeClosed)
	}
	other := r.open()
	last := r.event("last", "k")
	r.mustPublish(other, topic, last)
	for _, d := range r.join(other, topic, groupA).until(last.ID()) {
		if d.Event.Key() == "after" {
			r.notef("%q was published after Close, and delivered", d.Event.ID())
		}
	}
}

func checkCloseWhilePublishing(r *run) {
	b, topic := r.openToClose(), r.h.Topic()
	r.declare(b, topic, groupA)
	const publishers, limit = 3, 300
	events := make([][]leat.Event, publishers)
	all := make([]*outcomes, publishers)
	begun := make(chan struct{}, publishers*limit)
	var wg sync.WaitGroup
	for p := range publishers {
		events[p], all[p] = r.series(fmt.Sprint("publisher-", p), limit), newOutcomes(limit)
		wg.Go(func() {
			for i := range limit {
				b.Publish(r.ctx, topic, events[p][i:i+1], func(_ int, err error) { all[p].done(i, err) })
				begun <- struct{}{}
			}
		})
	}
	r.eventually("publishing is under way", func() bool { return len(begun) > limit/2 })
	r.must(b.Close(), "closing the broker")
	var stored []leat.Event
	wg.Wait()
	for p, o := range all {
		r.eventually("every publish was done, Close or not", o.complete)
		o.mu.Lock()
		for i, err := range o.errs {
			if o.calls[i] != 1 {
				r.notef("done was called %d times for %q", o.calls[i], events[p][i].ID())
			}
			switch code := leat.CodeOf(err); {
			case err == nil:
				stored = append(stored, events[p][i])
			case code != leat.CodeUnknown && code != leat.CodeClosed:
				r.notef("%q was interrupted by Close: %v", events[p][i].ID(), err)
			}
		}
		o.mu.Unlock()
	}
	r.awaitAll(r.join(r.open(), topic, groupA), stored)
}

// awaitAll receives and acks until all events came. Others may come beside them.
func (r *run) awaitAll(rd *reader, events []leat.Event) {
	missing := map[string]bool{}
	for _, e := range events {
		missing[e.ID()] = true
	}
	ctx, cancel := context.WithTimeout(r.ctx, r.opts.Patience)
	defer cancel()
	for len(missing) > 0 {
		got, err := rd.receive(ctx, batch)
		if err != nil {
			r.failf("%d confirmed events did not come, then Receive: %v", len(missing), err)
		}
		for i := range got {
			delete(missing, nameOf(&got[i]))
		}
		rd.settle(acked(), got...)
	}
}

func checkEventsReused(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	events := r.series("k", 10)
	o := newOutcomes(len(events))
	mine := append([]leat.Event(nil), events...)
	b.Publish(r.ctx, topic, mine, o.done)
	for i := range mine {
		mine[i] = r.event("overwritten", "k")
	}
	r.eventually("every publish was done", o.complete)
	r.expectSet("after the slice was used again", rd.all(len(events)), events...)
}

func checkOrderOfAKey(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	keys := []string{"x", "y", "z"}
	const calls, each = 4, 10
	next := map[string]int{}
	for range calls {
		call := make([]leat.Event, 0, each*len(keys))
		for range each {
			for _, key := range keys {
				call = append(call, r.event(fmt.Sprintf("%s-%d", key, next[key]), key))
				next[key]++
			}
		}
		r.mustPublish(b, topic, call...)
	}
	seen := map[string]int{}
	for _, d := range rd.all(calls * each * len(keys)) {
		key := d.Event.Key()
		if want := fmt.Sprintf("%s-%d", key, seen[key]); d.Event.ID() != want {
			r.failf("the key %q: %q came where %q is next", key, d.Event.ID(), want)
		}
		seen[key]++
	}
}

func checkByteForByte(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	events := map[string]leat.Event{}
	for i, e := range oddEvents(r, b) {
		e = e.WithID(fmt.Sprintf("odd %d ü/🎉", i))
		r.must(e.Validate(), "making an event")
		events[e.ID()] = e
		r.mustPublish(b, topic, e)
	}
	for _, d := range rd.all(len(events)) {
		want, known := events[d.Event.ID()]
		switch {
		case d.Malformed != nil:
			r.notef("an event came as malformed: %v", d.Malformed.Reason)
		case !known:
			r.notef("nobody published %q", d.Event.ID())
		case !d.Event.Equal(want):
			r.notef("published %s\ndelivered %s", spellOut(want), spellOut(d.Event))
		}
		delete(events, d.Event.ID())
	}
}

// oddEvents returns events with everything that a transport may get wrong. Each has few attributes,
// except the last, which has all and is left out where the broker takes fewer.
func oddEvents(r *run, b leat.Broker) []leat.Event {
	plain := r.event("odd", "").WithData("", nil)
	text := "Grüße, \"100 %\" = 漢字 🎉 e\u0301 \u202e\u200d \\ ; , %41"
	extensions := map[string]any{
		"extbool": true, "extnumber": int32(-2147483648), "extstring": text, "extempty": "", "extbinary": []byte{0, 255, 10},
		"exturi": leat.URI("https://example.com/%7Ea?b=%2F"), "extref": leat.URIRef("../a%20b"),
		"exttime": time.Date(2024, 2, 29, 23, 59, 59, 120_000_000, time.FixedZone("", -3600)),
	}
	binary := make([]byte, min(256<<10, maxEvent(b)-1024))
	for i := range binary {
		binary[i] = byte(i * 131 >> 3)
	}
	events := []leat.Event{
		plain, plain.WithTime(time.Time{}), plain.WithTime(time.Date(1985, 4, 12, 23, 20, 50, 520, time.FixedZone("", 5*3600))),
		plain.WithSource("HTTP://Example.COM:80/%7eA/../b?q=%2f#f"), plain.WithSubject(text), plain.WithKey(text),
		plain.WithDataSchema("https://Example.com/schema?v=1"), plain.WithType("com.Example." + text),
		plain.WithText("text " + text + "\r\n\x00 end"), plain.WithText(""), plain.WithData("application/octet-stream", []byte{}),
		plain.WithData("", []byte{}), plain.WithData("application/json", []byte(" {\"b\":1, \"a\":1.50}\n")),
		plain.WithData("application/json", []byte("null")), plain.WithData("application/json; charset=\"UTF-8\"", []byte(`"x"`)),
		plain.WithData("text/plain", []byte{0xff, 0xfe, 0}), plain.WithData("application/octet-stream", binary),
	}
	full := plain.WithSubject(text).WithKey("k").WithDataSchema("https://example.com/schema").WithText(text)
	for name, value := range extensions {
		events = append(events, plain.WithExtension(name, value))
		full = full.WithExtension(name, value)
	}
	const all = 9 // context attributes and the key
	if n := b.Limits().MaxAttributes; n == 0 || n >= all+len(extensions) {
		events = append(events, full)
	}
	return events
}

// spellOut writes an event out, with the beginning of its data.
func spellOut(e leat.Event) string {
	var s strings.Builder
	for name, value := range e.Attributes() {
		fmt.Fprintf(&s, "%s=%q ", name, value)
	}
	data := e.DataString()
	fmt.Fprintf(&s, "data: there=%t, %d bytes %q", e.HasData(), len(data), data[:min(len(data), 64)])
	return s.String()
}

func checkLimitsConstant(r *run) {
	b, topic := r.openToClose(), r.h.Topic()
	want := b.Limits()
	r.declare(b, topic, groupA)
	look := func(when string) {
		if got := b.Limits(); got != want {
			r.notef("%s: %+v, at first %+v", when, got, want)
		}
	}
	look("after declaring")
	r.mustPublish(b, topic, r.event("e", "k"))
	r.publish(r.ctx, b, topic, r.tooLarge(b, "large"))
	look("after publishing")
	r.must(b.Close(), "closing the broker")
	look("after Close")
}
