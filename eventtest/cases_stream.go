package eventtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/leatgo/leat"
)

// streamCases are the cases about subscribing, receiving and closing at the raw level.
func streamCases() []Case {
	return []Case{
		{
			Name: "subscribe-before-receive", Level: Raw,
			Rule:  "S3: what is published after Subscribe returned is delivered, also what is published before the first Receive",
			check: checkSubscribeBeforeReceive,
		},
		{
			Name: "unknown-group", Level: Raw,
			Rule:  "S2: a topic or group that does not exist is CodeNotFound, unless the adapter creates it",
			check: checkUnknownGroup,
		},
		{
			Name: "unheld-subscription", Level: Raw,
			Rule:  "S1: a subscription that cannot be held as asked is CodeUnsupported, and nothing is silently downgraded",
			check: checkUnheldSubscription,
		},
		{
			Name: "group-shares", Level: Raw,
			Rule:  "S4: the streams of one group share its events: each goes to one of them",
			check: checkGroupShares,
		},
		{
			Name: "every-group", Level: Raw,
			Rule:  "S4: each group gets every event",
			check: checkEveryGroup,
		},
		{
			Name: "broadcast", Level: Raw, Needs: []Need{NeedBroadcast},
			Rule:  "S4: a Broadcast stream gets every event that is published while it is connected, whoever else gets it",
			check: checkBroadcast,
		},
		{
			Name: "history", Level: Raw, Needs: []Need{NeedHistory},
			Rule:  "Capabilities.History: a group that is declared later gets what was published before",
			check: checkHistory,
		},
		{
			Name: "declare-again", Level: Raw, Needs: []Need{NeedDeclare},
			Rule:  "Declare: declaring what exists is no error and changes nothing",
			check: checkDeclareAgain,
		},
		{
			Name: "receive-fills", Level: Raw,
			Rule:  "R1: Receive returns 1 <= n <= len(into) and no error, or 0 and an error, and fills into from its start",
			check: checkReceiveFills,
		},
		{
			Name: "receive-canceled", Level: Raw,
			Rule:  "R1: when ctx ends, Receive returns an error that is ctx.Err() by errors.Is, soon, and no event is lost",
			check: checkReceiveCanceled,
		},
		{
			Name: "into-reused", Level: Raw,
			Rule:  "R6: into belongs to the caller; a copy of a delivery settles it",
			check: checkIntoReused,
		},
		{
			Name: "max-in-flight", Level: Raw,
			Rule:  "R5: unsettled deliveries never exceed MaxInFlight, and a settled one makes room",
			check: checkMaxInFlight,
		},
		{
			Name: "max-in-flight-bytes", Level: Raw,
			Rule:  "R5: unsettled deliveries never exceed MaxInFlightBytes, unless there is only one",
			check: checkMaxInFlightBytes,
		},
		{
			Name: "malformed", Level: Raw, Needs: []Need{NeedInject},
			Rule:  "R4: what is no CloudEvent arrives as Malformed with its bytes, and the stream goes on",
			check: checkMalformed,
		},
	}
}

// closeCases are those about Close, and about what does not change before and after it.
func closeCases() []Case {
	return []Case{
		{
			Name: "capabilities-constant", Level: Raw,
			Rule:  "Capabilities does not change",
			check: checkCapabilitiesConstant,
		},
		{
			Name: "stream-close", Level: Raw,
			Rule:  "Stream.Close: a waiting Receive ends with CodeClosed, as does every later one, and closing twice returns nil",
			check: checkStreamClose,
		},
		{
			Name: "broker-close", Level: Raw,
			Rule:  "C1, C2: Close ends the streams as their own Close does, and closing twice returns nil",
			check: checkBrokerClose,
		},
		{
			Name: "use-after-close", Level: Raw,
			Rule:  "C2: every method that is called after Close returns CodeClosed",
			check: checkUseAfterClose,
		},
		{
			Name: "errors-have-codes", Level: Raw,
			Rule:  "every error is an *Error with the code that the contract says, none with CodeInternal",
			check: checkErrorsHaveCodes,
		},
		{
			Name: "nothing-leaks", Level: Raw, alone: true,
			Rule:  "C3: no goroutine and no descriptor is left when Close has returned",
			check: checkNothingLeaks,
		},
	}
}

func checkSubscribeBeforeReceive(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	events := r.spread("early", 20)
	r.mustPublish(r.open(), topic, events...)
	r.expectSet("published before the first Receive", rd.take(len(events)), events...)
}

func checkUnknownGroup(r *run) {
	b, topic := r.start(groupA)
	for _, sub := range []leat.Subscription{{Topic: topic, Group: "unknown"}, {Topic: r.h.Topic(), Group: groupA}} {
		s, err := b.Subscribe(r.ctx, sub.WithDefaults())
		if err != nil {
			r.expectCode("subscribing to what does not exist", err, leat.CodeNotFound)
			continue
		}
		rd := &reader{r: r, stream: s, sub: sub}
		e := r.event("e", "k")
		r.mustPublish(b, sub.Topic, e)
		r.expect("in a group that Subscribe created", rd.take(1), e)
		rd.close()
	}
}

func checkUnheldSubscription(r *run) {
	b, topic := r.start(groupA)
	subs := []leat.Subscription{
		{Topic: topic, Group: groupA},
		{Topic: topic, Group: groupA, Unordered: true}, // the group was declared with order
		{Topic: topic, Broadcast: true},
	}
	for _, sub := range subs {
		s, err := b.Subscribe(r.ctx, sub.WithDefaults())
		if err != nil {
			r.expectCode(fmt.Sprintf("subscribing to %+v", sub), err, leat.CodeUnsupported)
			continue
		}
		c := s.Capabilities()
		if !sub.Unordered && c.Order == leat.OrderNone {
			r.notef("order by key was asked for, and the stream has none: %+v", sub)
		}
		if sub.Broadcast != c.Broadcast {
			r.notef("asked for %+v, got a stream with Broadcast: %t", sub, c.Broadcast)
		}
		(&reader{r: r, stream: s, sub: sub}).close()
	}
}

func checkGroupShares(r *run) {
	b, topic := r.start(groupA)
	one, two := r.join(b, topic, groupA), r.join(r.open(), topic, groupA)
	events := append(r.spread("e", 100), r.series("", 20)...)
	r.mustPublish(b, topic, events...)
	missing := len(events)
	seen := map[string]bool{}
	leases := map[*leat.Lease]*holder{}
	for deadline := time.Now().Add(r.opts.Patience); missing > 0; {
		for _, rd := range []*reader{one, two} {
			for _, d := range rd.poll(time.Millisecond) {
				if leases[d.Lease] == nil {
					leases[d.Lease] = hold(d.Lease)
				}
				if d.Lease.Ended() {
					continue // it moved while the streams joined, and comes again
				}
				if seen[d.Event.ID()] {
					r.notef("%q came twice", d.Event.ID())
				} else {
					seen[d.Event.ID()] = true
					missing--
				}
				rd.settle(acked(), d)
			}
			for _, h := range leases {
				h.release() // keys move only now, when what came is settled
			}
		}
		if time.Now().After(deadline) {
			r.failf("%d of %d events came to neither stream", missing, len(events))
		}
	}
	for _, rd := range []*reader{one, two} {
		if more := rd.poll(r.brief()); len(more) > 0 {
			r.failf("came twice: %s", ids(more))
		}
	}
}

func checkEveryGroup(r *run) {
	b, topic := r.start(groupA, groupB)
	events := r.spread("both", 30)
	r.mustPublish(b, topic, events...)
	for _, group := range []string{groupA, groupB} {
		rd := r.join(b, topic, group)
		got := rd.take(len(events))
		rd.settle(acked(), got...)
		r.expectSet("the group "+group, got, events...)
	}
}

func checkBroadcast(r *run) {
	b, topic := r.start(groupA)
	all := leat.Subscription{Topic: topic, Broadcast: true}
	readers := []*reader{r.subscribe(b, all), r.subscribe(b, all), r.subscribe(r.open(), all), r.join(b, topic, groupA)}
	events := r.spread("e", 20)
	r.mustPublish(b, topic, events...)
	for i, rd := range readers {
		r.expectSet(fmt.Sprintf("stream %d (broadcast: %t)", i, rd.sub.Broadcast), rd.take(len(events)), events...)
	}
}

func checkHistory(r *run) {
	b, topic := r.start(groupA)
	events := r.series("k", 20)
	r.mustPublish(b, topic, events...)
	r.declare(b, topic, "later")
	last := r.event("last", "k")
	r.mustPublish(b, topic, last)
	r.expect("a group that was declared later", r.join(b, topic, "later").until(last.ID()), events...)
}

func checkDeclareAgain(r *run) {
	b, topic := r.start(groupA)
	events := r.series("k", 10)
	r.declare(b, topic, groupA, groupA)
	r.mustPublish(b, topic, events[:4]...)
	r.declare(r.open(), topic, groupA)
	rd := r.join(b, topic, groupA)
	r.mustPublish(b, topic, events[4:]...)
	got := rd.take(2)
	r.declare(b, topic, groupA, groupB, groupA)
	last := r.event("last", "k")
	r.mustPublish(b, topic, last)
	r.expectSet("the group was declared again and again", append(got, rd.until(last.ID())...), events...)
}

func checkReceiveFills(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	events := r.spread("e", 60)
	r.mustPublish(b, topic, events...)
	ctx, cancel := context.WithTimeout(r.ctx, r.opts.Patience)
	defer cancel()
	var got []leat.Delivery
	for i := 0; len(got) < len(events); i++ {
		into := make([]leat.Delivery, []int{1, 7, 100}[i%3])
		n, err := rd.stream.Receive(ctx, into)
		if err != nil || n < 1 || n > len(into) {
			r.failf("Receive into %d: n is %d, the error %v", len(into), n, err)
		}
		for k := range n {
			if d := &into[k]; d.Lease == nil || d.Event.IsZero() == (d.Malformed == nil) {
				r.failf("delivery %d of %d: lease %p, event %v, malformed %v", k, n, d.Lease, d.Event, d.Malformed)
			}
		}
		got = append(got, into[:n]...)
	}
	r.expectSet("received", got, events...)
	ended, end := context.WithCancel(r.ctx)
	end()
	if n, err := rd.stream.Receive(ended, make([]leat.Delivery, 1)); n != 0 || err == nil {
		r.notef("Receive with nothing to deliver and a ctx that has ended: n is %d, the error %v", n, err)
	}
}

func checkReceiveCanceled(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	ended, end := context.WithCancel(r.ctx)
	end()
	const rounds, each = 15, 4
	var events []leat.Event
	var got []leat.Delivery
	canceled := func(ctx context.Context) {
		ds, err := rd.receive(ctx, batch)
		if err != nil && (ctx.Err() == nil || !errors.Is(err, ctx.Err()) || leat.CodeOf(err) != leat.CodeCanceled) {
			r.failf("ctx ended during Receive with %v, and Receive with the error %v", ctx.Err(), err)
		}
		got = append(got, ds...)
	}
	for i := range rounds {
		more := r.spread(fmt.Sprint("canceled-", i), each)
		events = append(events, more...)
		short, cancel := context.WithTimeout(r.ctx, time.Duration(r.rand.IntN(int(time.Millisecond))))
		if i%2 == 0 {
			canceled(ended)
		}
		r.mustPublish(b, topic, more...)
		canceled(ended)
		canceled(short)
		cancel()
	}
	const wait = 5 * time.Millisecond
	watch := r.stopwatch()
	waiting, cancel := context.WithTimeout(r.ctx, wait)
	defer cancel()
	for waiting.Err() == nil {
		canceled(waiting)
	}
	if took := watch.took() - wait; took > cancelBound {
		r.notef("Receive returned %v after its ctx had ended", took)
	}
	r.expectSet("after cancelled Receives", append(got, rd.take(len(events)-len(got))...), events...)
}

func checkIntoReused(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	events := r.series("k", 12)
	r.mustPublish(b, topic, events...)
	into := make([]leat.Delivery, 3)
	for got := 0; got < len(events); {
		ctx, cancel := context.WithTimeout(r.ctx, r.opts.Patience)
		n, err := rd.stream.Receive(ctx, into)
		cancel()
		r.must(err, "receiving")
		copies := slices.Clone(into[:n])
		clear(into)
		rd.settle(acked(), copies...)
		got += n
	}
	rd.close()
	last := r.event("last", "k")
	r.mustPublish(b, topic, last)
	if again := r.join(b, topic, groupA).until(last.ID()); len(again) > 0 {
		r.failf("acked by a copy, and delivered again: %s", ids(again))
	}
}

func checkMaxInFlight(r *run) {
	b, topic := r.start(groupA)
	const limit = 5
	rd := r.subscribe(b, leat.Subscription{Topic: topic, Group: groupA, MaxInFlight: limit})
	events := r.spread("e", 4*limit)
	r.mustPublish(b, topic, events...)
	held := rd.take(limit)
	got := slices.Clone(held)
	for _, settled := range []int{0, 2, limit} {
		rd.settle(acked(), held[:settled]...)
		held = append(held[settled:], rd.take(settled)...)
		got = append(got, held[limit-settled:]...)
		if more := rd.poll(r.brief()); len(more) > 0 {
			r.failf("%d deliveries were unsettled, as many as allowed, and %d more came", limit, len(more))
		}
	}
	for len(got) < len(events) {
		rd.settle(acked(), held...)
		held = rd.take(min(limit, len(events)-len(got)))
		got = append(got, held...)
	}
	r.expectSet("received", got, events...)
}

func checkMaxInFlightBytes(r *run) {
	b, topic := r.start(groupA)
	const size, limit = 4 << 10, 10 << 10
	rd := r.subscribe(b, leat.Subscription{Topic: topic, Group: groupA, MaxInFlight: 100, MaxInFlightBytes: limit})
	events := []leat.Event{
		r.sized("small-0", size), r.sized("small-1", size), r.sized("small-2", size),
		r.sized("large", 2*limit), r.sized("small-3", size),
	}
	r.mustPublish(b, topic, events...)
	var got []leat.Delivery
	for len(got) < len(events) {
		held := rd.take(1)
		held = append(held, rd.poll(r.brief()/2)...)
		total := 0
		for i := range held {
			total += held[i].Event.Size()
		}
		if len(held) > 1 && total > limit {
			r.failf("%s have %d bytes and are unsettled; %d are allowed", ids(held), total, limit)
		}
		rd.settle(acked(), held...)
		got = append(got, held...)
	}
	r.expectSet("received", got, events...)
}

func checkMalformed(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	injector, ok := r.h.(Injector)
	if !ok {
		return
	}
	raw := leat.Malformed{
		Headers: []leat.Header{{Name: "some-header", Value: []byte("v\x01")}, {Name: "other", Value: []byte("2")}},
		Key:     []byte("k"), Body: []byte("{\"no\": cloud event\xff\x00}"),
	}
	events := r.series("k", 2)
	r.mustPublish(b, topic, events[0])
	r.must(injector.Inject(r.ctx, topic, raw), "injecting")
	r.mustPublish(b, topic, events[1])
	bad := 0
	for _, d := range rd.take(3) {
		m := d.Malformed
		if m == nil {
			continue
		}
		bad++
		if !bytes.Equal(m.Body, raw.Body) || !bytes.Equal(m.Key, raw.Key) {
			r.notef("the bytes changed: key %q body %q, injected key %q body %q", m.Key, m.Body, raw.Key, raw.Body)
		}
		for _, h := range raw.Headers {
			same := func(o leat.Header) bool { return o.Name == h.Name && bytes.Equal(o.Value, h.Value) }
			if !slices.ContainsFunc(m.Headers, same) {
				r.notef("the header %s: %q is not among %q", h.Name, h.Value, m.Headers)
			}
		}
		if m.Reason == nil || !d.Event.IsZero() || d.Lease == nil {
			r.notef("a malformed delivery with reason %v, lease %p and event %v", m.Reason, d.Lease, d.Event)
		}
		rd.settle(acked(), d)
	}
	if bad != 1 {
		r.notef("%d malformed deliveries came, want 1", bad)
	}
}

func checkCapabilitiesConstant(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	want := rd.stream.Capabilities()
	look := func(when string) {
		if got := rd.stream.Capabilities(); got != want {
			r.notef("%s: %+v, at first %+v", when, got, want)
		}
	}
	r.mustPublish(b, topic, r.event("e", "k"))
	got := rd.take(1)
	look("after a delivery")
	rd.settle(acked(), got...)
	look("after a settlement")
	rd.close()
	look("after Close")
}

// waiting starts a Receive that has nothing to deliver, and returns its error when it ends.
func (rd *reader) waiting() <-chan error {
	ended := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(rd.r.ctx, rd.r.opts.Patience)
		defer cancel()
		_, err := rd.receive(ctx, 1)
		ended <- err
	}()
	pause(2 * time.Millisecond) // most likely it waits by now; the rule holds in any case
	return ended
}

func checkStreamClose(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	ended := rd.waiting()
	rd.close()
	r.expectCode("a Receive that waited when the stream was closed", <-ended, leat.CodeClosed)
	rd.close()
	_, err := rd.receive(r.ctx, 1)
	r.expectCode("Receive after Close", err, leat.CodeClosed)
}

func checkBrokerClose(r *run) {
	b, topic := r.openToClose(), r.h.Topic()
	r.declare(b, topic, groupA)
	rd := r.join(b, topic, groupA)
	e := r.event("e", "k")
	r.mustPublish(b, topic, e)
	lease := rd.take(1)[0].Lease
	ended := rd.waiting()
	r.must(b.Close(), "closing the broker")
	r.expectCode("a Receive that waited when the broker was closed", <-ended, leat.CodeClosed)
	if !lease.Ended() {
		r.notef("the broker is closed, and a lease of its stream has not ended")
	}
	r.must(b.Close(), "closing the broker twice")
	r.expect("unsettled when the broker was closed", r.join(r.open(), topic, groupA).take(1), e)
}

func checkUseAfterClose(r *run) {
	b, topic := r.openToClose(), r.h.Topic()
	r.declare(b, topic, groupA)
	rd := r.join(b, topic, groupA)
	r.must(b.Close(), "closing the broker")
	ctx, cancel := context.WithTimeout(r.ctx, r.opts.Patience)
	defer cancel()
	sub := leat.Subscription{Topic: topic, Group: groupA}
	_, err := b.Subscribe(ctx, sub.WithDefaults())
	r.expectCode("Subscribe after Close", err, leat.CodeClosed)
	if d, ok := b.(leat.Declarer); ok {
		r.expectCode("Declare after Close", d.Declare(ctx, sub), leat.CodeClosed)
	}
	if h, ok := b.(leat.HealthReporter); ok {
		r.expectCode("Health after Close", h.Health(), leat.CodeClosed)
	}
	_, err = rd.receive(ctx, 1)
	r.expectCode("Receive after the broker's Close", err, leat.CodeClosed)
	rd.close()
	for _, err := range r.publish(ctx, b, topic, r.series("after", 2)...) {
		r.expectCode("Publish after Close", err, leat.CodeClosed)
	}
}

func checkErrorsHaveCodes(r *run) {
	b, topic := r.openToClose(), r.h.Topic()
	r.declare(b, topic, groupA)
	rd := r.join(b, topic, groupA)
	ended, end := context.WithCancel(r.ctx)
	end()
	subscribe := func(ctx context.Context, sub leat.Subscription) error {
		s, err := b.Subscribe(ctx, sub)
		if err == nil {
			err = errors.Join(errors.New("no error"), s.Close(ctx))
		}
		return err
	}
	sub := leat.Subscription{Topic: topic, Group: groupA}
	r.expectCode("publishing the zero Event", r.publish(r.ctx, b, topic, leat.Event{})[0], leat.CodeInvalid)
	r.expectCode("publishing too large an event", r.publish(r.ctx, b, topic, r.tooLarge(b, "e"))[0], leat.CodeTooLarge)
	r.expectCode("publishing with an ended ctx", r.publish(ended, b, topic, r.event("e", "k"))[0], leat.CodeCanceled)
	r.expectCode("subscribing without a topic", subscribe(r.ctx, leat.Subscription{Group: groupA}), leat.CodeInvalid)
	r.expectCode("subscribing without a group", subscribe(r.ctx, leat.Subscription{Topic: topic}), leat.CodeInvalid)
	r.expectCode("subscribing with an ended ctx", subscribe(ended, sub.WithDefaults()), leat.CodeCanceled)
	rd.close()
	_, err := rd.receive(r.ctx, 1)
	r.expectCode("Receive after Close", err, leat.CodeClosed)
	r.must(b.Close(), "closing the broker")
	r.expectCode("publishing after Close", r.publish(r.ctx, b, topic, r.event("e", "k"))[0], leat.CodeClosed)
	r.expectCode("subscribing after Close", subscribe(r.ctx, sub.WithDefaults()), leat.CodeClosed)
}

func checkNothingLeaks(r *run) {
	topic := r.h.Topic()
	round := func() {
		b := r.openToClose()
		r.declare(b, topic, groupA, groupB)
		one, two, other := r.join(b, topic, groupA), r.join(b, topic, groupA), r.join(b, topic, groupB)
		r.mustPublish(b, topic, r.spread("e", 20)...)
		got := other.take(20)
		other.settle(acked(), got[:10]...)
		other.settle(givenBack(), got[10:15]...)
		one.poll(time.Millisecond)
		two.close()
		r.must(b.Close(), "closing the broker")
	}
	round() // what is made once and kept for good shows here
	goroutines, files := runtime.NumGoroutine(), openFiles()
	for range 3 {
		round()
	}
	settled := func() bool { return runtime.NumGoroutine() <= goroutines && openFiles() <= files }
	for deadline := time.Now().Add(r.opts.Patience / 4); !settled() && time.Now().Before(deadline); {
		pause(time.Millisecond)
	}
	if !settled() {
		stacks := make([]byte, 8<<10)
		r.failf("3 rounds of opening and closing: goroutines %d, then %d; descriptors %d, then %d\n%s", goroutines,
			runtime.NumGoroutine(), files, openFiles(), stacks[:runtime.Stack(stacks, true)])
	}
}

// openFiles counts the process's descriptors, where the system tells.
func openFiles() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}
