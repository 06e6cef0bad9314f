package eventtest

import (
	"fmt"

	"github.com/leatgo/leat"
)

// heldCases look at the limits of a stream from the broker's side, where what an adapter has
// fetched ahead counts as well.
func heldCases() []Case {
	return []Case{
		{
			Name: "held-within-limit", Level: Raw, Needs: []Need{NeedHeld},
			Rule:  "R5: the broker never waits for more than MaxInFlight events of a stream, prefetched ones included",
			check: checkHeldWithinLimit,
		},
		{
			Name: "held-after-reconnect", Level: Raw, Needs: []Need{NeedHeld, NeedCut},
			Rule:  "R5: the broker waits for no more than MaxInFlight events of a stream after lost connections either",
			check: checkHeldAfterReconnect,
		},
	}
}

// held asks the broker how much it waits for.
func (r *run) held(topic string) int {
	holder, _ := r.h.(Holder)
	n, err := holder.Held(r.ctx, topic, groupA)
	r.must(err, "asking the broker what is held")
	return n
}

// neverHeld looks several times whether the broker waits for more than it may.
func (r *run) neverHeld(topic string, most int, when string) {
	watch := r.stopwatch()
	for i := 0; i < 3 || watch.took() < r.brief(); i++ {
		if n := r.held(topic); n > most {
			r.failf("%s, the broker waits for %d events of a stream; MaxInFlight is %d", when, n, most)
		}
		pause(r.brief() / 4)
	}
}

// slowly receives as slowly as MaxInFlight allows, and looks at the broker meanwhile. It returns
// what it received and settled.
func (rd *reader) slowly(topic string, rounds int) (got []leat.Delivery) {
	limit := rd.sub.MaxInFlight
	var mine []leat.Delivery
	for range rounds {
		for len(mine) < limit {
			mine = append(mine, rd.take(1)...)
		}
		if rd.r.held(topic) == 0 {
			rd.r.failf("the harness says that the broker waits for nothing, and %d events are unsettled", limit)
		}
		rd.r.neverHeld(topic, limit, "while as many events are unsettled as allowed")
		rd.settle(acked(), mine[:2]...)
		got, mine = append(got, mine[:2]...), mine[2:]
		rd.r.neverHeld(topic, limit, "after some of them were settled")
	}
	rd.settle(acked(), mine...)
	return append(got, mine...)
}

func checkHeldWithinLimit(r *run) {
	b, topic := r.start(groupA)
	const limit, rounds = 5, 3
	sub := r.subscription(topic, groupA)
	sub.MaxInFlight = limit
	rd := r.subscribe(b, sub)
	events := r.spread("held", 8*limit)
	r.mustPublish(b, topic, events...)
	r.neverHeld(topic, limit, "before the first Receive")
	got := rd.slowly(topic, rounds)
	for left := len(events) - len(got); left > 0; left = len(events) - len(got) {
		some := rd.take(min(limit, left))
		rd.settle(acked(), some...)
		got = append(got, some...)
	}
	r.expectSet("received", got, events...)
}

func checkHeldAfterReconnect(r *run) {
	b, topic := r.start(groupA)
	const limit = 5
	sub := r.subscription(topic, groupA)
	sub.MaxInFlight = limit
	rd := r.subscribe(b, sub)
	for range 2 {
		rd.cutWhileReceiving()
		rd.reconnected(b)
		r.mustEventuallyPublish(b, topic, "held", 8*limit)
		pause(r.brief())
		// What the old connection held may count until the broker has noticed that it is gone.
		r.eventually("the broker waits for no more than MaxInFlight events", func() bool { return r.held(topic) <= limit })
		rd.slowly(topic, 1)
	}
}

// mustEventuallyPublish publishes n events of different keys that were not published before, again
// while connections come back. What had another outcome may be stored as well.
func (r *run) mustEventuallyPublish(b leat.Broker, topic, name string, n int) (sure []leat.Event) {
	r.eventually("events can be published", func() bool {
		r.published++
		events := r.spread(fmt.Sprint(name, "-", r.published), n-len(sure))
		failed := false
		for i, err := range r.publish(r.ctx, b, topic, events...) {
			if err == nil {
				sure = append(sure, events[i])
			} else if failed = true; !leat.Retryable(err) && leat.CodeOf(err) != leat.CodeUnknown {
				r.failf("publishing after a lost connection: %v", err)
			}
		}
		return !failed
	})
	return sure
}
