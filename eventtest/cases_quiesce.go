package eventtest

import (
	"slices"
	"strconv"

	"github.com/leatgo/leat"
)

// quiesceCases are the cases about streams that will not be received from any more.
func quiesceCases() []Case {
	return []Case{
		{
			Name: "give-back-counts-once", Level: Raw, Needs: []Need{NeedDeliveryCount},
			Rule: "Q1: what is given back after Quiesce does not come to the closing stream again (leat.Quiescer): " +
				"with each restart Deliveries rises by one",
			check: checkGiveBackCountsOnce,
		},
		{
			Name: "quiesce-settles", Level: Raw, Needs: []Need{NeedOrder},
			Rule: "Q1, Q2: after Quiesce settlements and leases go on, nobody else gets what the stream holds, and the rest goes back with Close, " +
				"in order",
			check: checkQuiesceSettles,
		},
	}
}

// quiesce tells the stream that nobody receives from it any more, where it wants to know.
func (rd *reader) quiesce() {
	if q, ok := rd.stream.(leat.Quiescer); ok {
		q.Quiesce()
	}
}

// checkGiveBackCountsOnce restarts a consumer that handles nothing. Before each Close there is time
// for what was given back to come to the stream once more, as it does where the stream still
// fetches.
func checkGiveBackCountsOnce(r *run) {
	b, topic := r.start(groupA)
	events := append(r.spread("keyed", 6), r.series("", 6)...)
	r.mustPublish(b, topic, events...)
	for want := 1; want <= 4; want++ {
		rd := r.join(b, topic, groupA)
		got := rd.take(len(events))
		r.expectSet("given back by the stream before", got, events...)
		for i := range got {
			if n := got[i].Deliveries; n != want {
				r.notef("%q says that it is delivery %d, after %d streams that got it once each", nameOf(&got[i]), n, want-1)
			}
		}
		if want == 4 {
			rd.settle(acked(), got...)
			return
		}
		rd.quiesce()
		rd.settle(givenBack(), got...)
		pause(r.brief())
		rd.close()
	}
}

func checkQuiesceSettles(r *run) {
	b, topic := r.start(groupA)
	one := r.join(b, topic, groupA)
	events, held := r.series("k", 10), r.ofKey(6)
	r.mustPublish(b, topic, events[:8]...)
	got := one.take(held)
	lease := hold(got[0].Lease) // where the other stream makes the adapter move leases, this one waits
	one.quiesce()
	two := r.join(r.open(), topic, groupA)
	r.mustPublish(b, topic, events[8:]...) // which the quiesced stream need not fetch, and nobody else may have yet
	if early := two.poll(r.brief()); len(early) > 0 {
		r.failf("another stream got %s while the quiesced one held %s", ids(early), ids(got))
	}
	if times, cause := lease.ended(); times > 0 {
		r.failf("the lease ended with Quiesce: %v", cause)
	}
	done := held / 2
	one.settle(acked(), got[:done]...)
	back := got[done:]
	slices.Reverse(back)
	one.settle(givenBack(), back...)
	lease.release()
	one.close()
	last := r.event("last", "k")
	r.mustPublish(b, topic, last)
	for _, want := range append(events[done:], last) {
		next := two.take(1)
		r.expect("the first "+strconv.Itoa(done)+" of ten were acked", next, want)
		two.settle(acked(), next...)
	}
}
