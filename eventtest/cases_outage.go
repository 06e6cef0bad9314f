package eventtest

import (
	"fmt"
	"time"

	"github.com/leatgo/leat"
)

// outageCases look at what an adapter says of itself while its client cannot reach the broker.
func outageCases() []Case {
	return []Case{
		{
			Name: "health-shows-outage", Level: Raw, Needs: []Need{NeedIsolate, NeedLeaseTime},
			Rule: "R2, H2: while a client is isolated, its stream says so when its leases are over, and its broker when a publish has waited " +
				"10 s for its answer; both are well again soon after",
			check: checkHealthShowsOutage,
		},
	}
}

// unansweredBound is how long a publish may wait for its answer until the broker's health has to
// say so.
const unansweredBound = 10 * time.Second

// patient is a part of an adapter, and what it says of its health.
type patient struct {
	name  string
	part  any
	bound time.Duration // how soon an outage has to show
	ill   time.Duration // how long it took to show, 0 while it does not
}

// says returns what is wrong with the part.
func (p *patient) says() error {
	h, ok := p.part.(leat.HealthReporter)
	if !ok {
		return nil
	}
	return h.Health()
}

func checkHealthShowsOutage(r *run) {
	if r.tooLong() {
		return
	}
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	r.mustPublish(b, topic, r.event("before", "k"))
	rd.take(1) // it stays unsettled, so that a lease is at stake
	patients := []*patient{
		{name: "the stream", part: rd.stream, bound: r.leasePeriod() + lossBound + r.operation},
		{name: "the broker", part: b, bound: min(unansweredBound+lossBound+r.operation, r.opts.Patience)},
	}
	well := func() bool { return patients[0].says() == nil && patients[1].says() == nil }
	r.eventually("the adapter says that it is well, before anything happens to it", well)
	r.isolate(b)
	o := newOutcomes(1)
	b.Publish(r.ctx, topic, []leat.Event{r.event("meanwhile", "k")}, o.done)
	rd.awaitIllness(patients)
	r.rejoined(b)
	watch := r.stopwatch()
	for n := 0; !well() || !o.complete(); n++ {
		if watch.took() > r.opts.Patience {
			r.failf("the client was isolated until %v (Options.Patience) ago, and its stream says %v, its broker %v, the publish meanwhile is "+
				"done: %v", r.opts.Patience, patients[0].says(), patients[1].says(), o.complete())
		}
		rd.settle(acked(), rd.poll(r.brief())...)
		r.publish(r.ctx, b, topic, r.event(fmt.Sprint("after-", n), "k")) // whatever comes of it
	}
}

// awaitIllness waits until each part says that something is wrong, at most for as long as it may
// take for that.
func (rd *reader) awaitIllness(patients []*patient) {
	r := rd.r
	watch := r.stopwatch()
	for waiting := len(patients); waiting > 0; {
		rd.poll(time.Millisecond) // as a Consumer does
		waiting = 0
		for _, p := range patients {
			switch {
			case p.ill > 0:
			case p.says() != nil:
				p.ill = watch.took()
			case watch.took() > p.bound:
				r.failf("%s does not say that anything is wrong, and its client was isolated %v ago; the broker's leases last %v",
					p.name, watch.took().Round(time.Millisecond), r.leasePeriod())
			default:
				waiting++
			}
		}
	}
}
