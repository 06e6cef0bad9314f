package eventtest

import (
	"maps"
	"slices"
	"time"

	"github.com/leatgo/leat"
)

// settleCases are the cases about settlements at the raw level.
func settleCases() []Case {
	return []Case{
		{
			Name: "ack-ends", Level: Raw,
			Rule:  "T1: after Ack an event is not delivered to the group again",
			check: checkAckEnds,
		},
		{
			Name: "give-back-redelivers", Level: Raw,
			Rule:  "T2: after GiveBack an event is delivered again, until it is acked",
			check: checkGiveBackRedelivers,
		},
		{
			Name: "give-back-order", Level: Raw, Needs: []Need{NeedOrder},
			Rule:  "T2: given-back events of one key come back in publish order, before later ones of it",
			check: checkGiveBackOrder,
		},
		{
			Name: "give-back-awaits-older", Level: Raw, Needs: []Need{NeedOrder},
			Rule:  "T2: given-back events of a key, and later ones, do not come while the stream holds older ones of it unsettled",
			check: checkGiveBackAwaitsOlder,
		},
		{
			Name: "give-back-delay", Level: Raw, Needs: []Need{NeedDelay},
			Rule:  "T2: a given-back event is not delivered before Delay has passed",
			check: checkGiveBackDelay,
		},
		{
			Name: "close-ends-delays", Level: Raw, Needs: []Need{NeedDelay},
			Rule:  "T2: what waits for its delay when its stream closes comes to another stream, in order, once its time is over or at once",
			check: checkCloseEndsDelays,
		},
		{
			Name: "close-gives-back", Level: Raw,
			Rule:  "Stream.Close: what is unsettled goes to another stream of the group, in order; what is settled does not",
			check: checkCloseGivesBack,
		},
		{
			Name: "ack-above-unsettled", Level: Raw,
			Rule:  "T1: what was acked is not delivered again after Close, also where older deliveries are unsettled",
			check: checkAckAboveUnsettled,
		},
		{
			Name: "deliveries-counted", Level: Raw, Needs: []Need{NeedDeliveryCount},
			Rule:  "R8: Delivery.Deliveries is 1 at first, never falls, says no more than there were, and rises when another stream takes over",
			check: checkDeliveriesCounted,
		},
		{
			Name: "native-reject-undeclared", Level: Raw,
			Rule:  "T3: NativeReject has no effect where Capabilities does not offer it",
			check: checkNativeReject,
		},
		{
			Name: "settle-after-close", Level: Raw,
			Rule:  "T5: Settle after Close has no effect",
			check: checkSettleAfterClose,
		},
		{
			Name: "settle-after-loss", Level: Raw, Needs: []Need{NeedExpire},
			Rule:  "T4: a settlement of a delivery whose lease has ended has no effect, on that delivery or any other",
			check: checkSettleAfterLoss,
		},
	}
}

// remains returns what the group still delivers of the key k to a new stream, once no other stream
// of it is open.
func (r *run) remains(b leat.Broker, topic string) []leat.Delivery {
	last := r.event("last", "k")
	r.mustPublish(b, topic, last)
	return r.join(b, topic, groupA).until(last.ID())
}

func checkAckEnds(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	events := r.series("k", 24)
	r.mustPublish(b, topic, events...)
	for left := len(events); left > 0; {
		got := rd.take(min(left, r.ofKey(len(events))))
		slices.Reverse(got[:(len(got)+2)/3]) // settlements come in any order
		rd.settle(acked(), got...)
		left -= len(got)
	}
	rd.close()
	if again := r.remains(b, topic); len(again) > 0 {
		r.failf("acked, and delivered again: %s", ids(again))
	}
}

func checkGiveBackRedelivers(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	events := append(r.series("k", r.ofKey(3)), r.series("", 3)...)
	r.mustPublish(b, topic, events...)
	for range 2 {
		got := rd.take(len(events))
		r.expectSet("given back", got, events...)
		rd.settle(givenBack(), got...)
	}
	rd.settle(acked(), rd.take(len(events))...)
	rd.close()
	if again := r.remains(b, topic); len(again) > 0 {
		r.failf("given back, then acked, and delivered again: %s", ids(again))
	}
}

func checkGiveBackOrder(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	events := r.series("k", 9)
	r.mustPublish(b, topic, events[:6]...)
	got := rd.take(r.ofKey(4))
	r.mustPublish(b, topic, events[6:]...)
	for _, i := range []int{2, 0, 3, 1} {
		if i < len(got) {
			rd.settle(givenBack(), got[i])
		}
	}
	r.expect("four were given back in another order", rd.all(len(events)), events...)
}

func checkGiveBackAwaitsOlder(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	for _, end := range []struct {
		key  string
		how  leat.Settlement
		left int // the first event that comes again
	}{{"older-acked", acked(), 1}, {"older-given-back", givenBack(), 0}} {
		events := r.series(end.key, 6)
		r.mustPublish(b, topic, events...)
		got := rd.take(r.ofKey(4)) // what was not received yet is later than what goes back, and must not come first either
		for _, i := range []int{3, 1, 2} {
			if i >= len(got) {
				continue
			}
			rd.settle(givenBack(), got[i])
			if early := rd.poll(r.brief()); len(early) > 0 {
				r.failf("%q was given back while the older %q is unsettled, and %s came", nameOf(&got[i]), nameOf(&got[0]), ids(early))
			}
		}
		rd.settle(end.how, got[0])
		r.expect("the older one was settled", rd.finish(len(events)-end.left), events[end.left:]...)
	}
}

func checkGiveBackDelay(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	delay := min(r.opts.Quiet/2, rd.stream.Capabilities().LongestDelay)
	for _, key := range []string{"k", ""} {
		e := r.event("delayed-"+key, key)
		r.mustPublish(b, topic, e)
		got := rd.take(1)
		began := time.Now()
		rd.settle(leat.Settlement{Action: leat.GiveBack, Delay: delay}, got...)
		again := rd.take(1)
		took := time.Since(began)
		r.expect("given back with a delay", again, e)
		if took < delay {
			r.notef("the key %q: given back with a delay of %v, and delivered again after %v", key, delay, took)
		}
		rd.settle(acked(), again...)
	}
}

func checkCloseGivesBack(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	events := r.series("k", 8)
	r.mustPublish(b, topic, events...)
	got := rd.finish(2)
	rd.take(r.ofKey(4))
	rd.close()
	rd.expectByKey("two of eight were settled", r.remains(r.open(), topic), without(events, got)...)
}

func checkAckAboveUnsettled(r *run) {
	b, topic := r.start(groupA)
	events := r.spread("above", 12)
	r.mustPublish(b, topic, events...)
	left := map[string]leat.Event{}
	for _, e := range events {
		left[e.ID()] = e
	}
	for range 2 { // the second stream takes over from the first
		rd := r.join(b, topic, groupA)
		for i, d := range rd.take(len(left)) {
			if i%4 > 0 {
				rd.settle(acked(), d)
				delete(left, d.Event.ID())
			}
		}
		rd.close()
	}
	rd := r.join(r.open(), topic, groupA)
	got := rd.take(len(left))
	got = append(got, rd.poll(r.opts.Quiet/4)...)
	r.expectSet("three of four were acked, twice", got, slices.Collect(maps.Values(left))...)
}

func checkDeliveriesCounted(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	r.mustPublish(b, topic, r.event("e", "k"))
	last := 0
	for round := 1; round <= 4; round++ {
		got := rd.take(1)
		switch n := got[0].Deliveries; {
		case round == 1 && n != 1:
			r.notef("the first delivery says that it is number %d", n)
		case n < last:
			r.notef("the number fell from %d to %d", last, n)
		case n > round:
			r.notef("delivery %d says that it is number %d", round, n)
		default:
			last = n
		}
		rd.settle(givenBack(), got...)
	}
	rd.take(1)
	rd.close() // what it holds is delivered by the broker again, for certain
	got := r.join(r.open(), topic, groupA).take(1)
	if n := got[0].Deliveries; n <= last {
		r.notef("a stream that closed had delivery %d of an event, and then another one got delivery %d", last, n)
	}
}

func checkCloseEndsDelays(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	events := append(r.series("k", r.ofKey(4)), r.event("e", ""))
	r.mustPublish(b, topic, events...)
	delay := min(2*r.opts.Quiet, rd.stream.Capabilities().LongestDelay)
	for _, d := range rd.take(len(events)) {
		rd.settle(leat.Settlement{Action: leat.GiveBack, Delay: delay}, d)
	}
	rd.close()
	watch := r.stopwatch()
	got := r.join(r.open(), topic, groupA).take(len(events))
	if took := watch.took(); took > delay+grace+2*r.operation {
		r.notef("given back with a delay of %v before Close, and delivered again %v after it", delay, took)
	}
	rd.expectByKey("given back with a delay before Close", got, events...)
}

func checkNativeReject(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	if rd.stream.Capabilities().NativeReject {
		return // here it has an effect
	}
	events := r.series("k", r.ofKey(3))
	r.mustPublish(b, topic, events...)
	rd.settle(leat.Settlement{Action: leat.NativeReject}, rd.take(len(events))...)
	rd.close()
	r.expectSet("NativeReject is not offered", r.remains(b, topic), events...)
}

func checkSettleAfterClose(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	events := r.series("k", r.ofKey(3))
	r.mustPublish(b, topic, events...)
	got := rd.take(len(events))
	rd.close()
	for i, how := range []leat.Settlement{acked(), givenBack(), acked()}[:len(got)] {
		rd.settle(how, got[i])
	}
	r.expectSet("settled after Close", r.remains(b, topic), events...)
}

func checkSettleAfterLoss(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	events := r.series("k", r.ofKey(4))
	r.mustPublish(b, topic, events...)
	old := rd.take(len(events))
	r.expire(topic, old)
	rd.settle(acked(), old[0])
	again := rd.take(len(events))
	r.expectSet("the lease was lost, then one was acked", again, events...)
	rd.settle(acked(), old[min(1, len(old)):min(2, len(old))]...)
	rd.settle(givenBack(), old[min(2, len(old)):]...)
	if more := rd.poll(r.brief()); len(more) > 0 {
		r.failf("given back under a lost lease, and delivered again while a later delivery is unsettled: %s", ids(more))
	}
	rd.settle(acked(), again[0]) // the oldest, since a watermark stream stores nothing above an unsettled one
	rd.close()
	r.expectSet("only one was settled in time", r.remains(b, topic), without(events, again[:1])...)
}

// expire makes the leases of the deliveries end.
func (r *run) expire(topic string, ds []leat.Delivery) {
	expirer, ok := r.h.(Expirer)
	if !ok {
		return
	}
	r.must(expirer.Expire(r.ctx, topic, groupA), "expiring")
	r.eventually("the leases have ended", func() bool {
		return !slices.ContainsFunc(ds, func(d leat.Delivery) bool { return !d.Lease.Ended() })
	})
}
