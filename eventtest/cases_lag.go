package eventtest

import (
	"fmt"
	"time"

	"github.com/leatgo/leat"
)

// lagCases are about how far a group is behind.
func lagCases() []Case {
	return []Case{{
		Name: "lag", Level: Raw, Needs: []Need{NeedLag, NeedGroups},
		Rule: "G1 to G3: the lag of a group counts what is published and not settled, falls to 0 when everything is acked, and says what it " +
			"does not know",
		check: checkLag,
	}}
}

func checkLag(r *run) {
	b, topic := r.start(groupA, groupB)
	reporter, _ := b.(leat.LagReporter)
	ask := func() leat.Lag {
		lag, err := reporter.Lag(r.ctx, topic, groupA)
		r.must(err, "asking for the lag")
		r.checkLagParts(lag, topic)
		return lag
	}
	const n = 20
	began := time.Now()
	events := r.spread("e", n)
	r.mustPublish(b, topic, events...)
	published := func() time.Duration { return time.Since(began) }
	var lag leat.Lag
	what := fmt.Sprintf("the lag is that of the %d events that are published, and the oldest has an age or an unknown one", n)
	r.eventually(what, func() bool {
		lag = ask()
		return lag.Events == n && lag.Oldest != 0 // a coarse clock gives it none at first
	})
	if lag.Oldest < 0 && lag.Oldest != leat.LagUnknown || lag.Oldest > published()+grace {
		r.notef("events were published %v ago, and the oldest is said to be %v old", published(), lag.Oldest)
	}
	other := r.join(b, topic, groupB)
	other.settle(acked(), other.take(n)...) // which is nothing to the group a
	rd := r.join(r.open(), topic, groupA)
	got := rd.take(n)
	if lag = ask(); lag.Events != n && !lag.AtLeast || lag.Events > n {
		r.notef("%d events are delivered and not settled, and the lag is %+v", n, lag)
	}
	rd.settle(acked(), got...)
	r.eventually("everything is acked, and the lag is 0", func() bool {
		lag = ask()
		return lag.Events == 0
	})
	rd.close()
	last := r.event("last", "k")
	r.mustPublish(b, topic, last)
	r.eventually("one more was published, and the lag is 1", func() bool { return ask().Events == 1 })
	if _, err := reporter.Lag(r.ctx, r.h.Topic(), groupA); err != nil {
		r.expectCode("asking for the lag on a topic that does not exist", err, leat.CodeNotFound)
	} else {
		r.notef("the lag on a topic that does not exist is no error")
	}
}

// checkLagParts notes what is wrong with a lag by itself.
func (r *run) checkLagParts(lag leat.Lag, topic string) {
	if lag.Topic != topic || lag.Group != groupA {
		r.notef("the lag of topic %q and group %q is said to be of %q and %q", topic, groupA, lag.Topic, lag.Group)
	}
	sum := int64(0)
	for _, p := range lag.Parts {
		sum += p.Events
		if p.Name == "" {
			r.notef("a part of the lag has no name: %+v", p)
		}
	}
	if len(lag.Parts) > 0 && sum != lag.Events {
		r.notef("the lag is %d, and that of its parts together %d", lag.Events, sum)
	}
}
