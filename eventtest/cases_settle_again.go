package eventtest

import "github.com/leatgo/leat"

// settleAgainCases settle a delivery for a second time, when its event has come again.
func settleAgainCases() []Case {
	return []Case{
		{
			Name: "settle-again", Level: Raw,
			Rule: "T6, L6: a second settlement of a delivery has no effect: an event that was given back and came again stays unsettled, " +
				"whatever else is said of its first delivery",
			check: checkSettleAgain,
		},
	}
}

func checkSettleAgain(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	events := append(r.series("twice", r.ofKey(4)), r.event("twice-loose", ""), r.event("twice-free", ""))
	r.mustPublish(b, topic, events...)
	old := rd.take(len(events))
	rd.settle(givenBack(), old...)
	again := rd.take(len(events))
	r.expectSet("given back", again, events...)
	for i := range old { // an ack for some of each kind, and another way back for the others
		how := acked()
		if i%2 == 1 {
			how = givenBack()
		}
		rd.settle(how, old[i])
	}
	if more := rd.poll(r.brief()); len(more) > 0 {
		r.failf("%s came again while the stream holds it, because its first delivery was given back twice", ids(more))
	}
	done := again[:1] // the newer delivery has a settlement of its own, which counts
	rd.settle(acked(), done...)
	rd.close()
	left := without(events, done)
	got := r.join(b, topic, groupA).leftovers(len(left))
	if lost := without(left, got); len(lost) > 0 {
		r.failf("%s did not come again after Close: it was unsettled, and only its first delivery, which had been given back, was acked",
			eventIDs(lost))
	}
	r.expectSet("unsettled when the stream closed", got, left...)
}

// leftovers receives until n events have come or nothing more comes, and then what else comes soon.
// It settles each at once.
func (rd *reader) leftovers(n int) []leat.Delivery {
	seen := map[string]bool{}
	var got []leat.Delivery
	for watch := rd.r.stopwatch(); len(seen) < n && watch.took() < rd.r.opts.Patience; {
		for _, d := range rd.poll(rd.r.brief()) {
			rd.settle(acked(), d)
			seen[nameOf(&d)] = true
			got = append(got, d)
		}
	}
	return append(got, rd.poll(rd.r.brief())...)
}
