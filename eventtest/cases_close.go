package eventtest

import (
	"context"
	"errors"
	"os"
	"runtime"
	"time"

	"github.com/leatgo/leat"
)

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
			Name: "health-apart", Level: Raw, Needs: []Need{NeedKill},
			Rule:  "H1: what is wrong with one stream is in its own health, and not in that of the broker or of another stream",
			check: checkHealthApart,
		},
		{
			Name: "nothing-leaks", Level: Raw, Needs: []Need{NeedGroups}, alone: true,
			Rule:  "C3: no goroutine and no descriptor is left when Close has returned",
			check: checkNothingLeaks,
		},
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
	sub := r.subscription(topic, groupA)
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
	sub := r.subscription(topic, groupA)
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
