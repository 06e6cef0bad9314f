package eventtest

import (
	"fmt"
	"time"

	"github.com/leatgo/leat"
)

// subscribeCases are the cases about subscribing and declaring at the raw level.
func subscribeCases() []Case {
	return []Case{
		{
			Name: "subscribe-before-receive", Level: Raw,
			Rule:  "S3: what is published after Subscribe returned is delivered, also what is published before the first Receive",
			check: checkSubscribeBeforeReceive,
		},
		{
			Name: "unknown-group", Level: Raw, Needs: []Need{NeedGroups},
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
			Name: "every-group", Level: Raw, Needs: []Need{NeedGroups},
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
			Name: "declare-again", Level: Raw, Needs: []Need{NeedDeclare, NeedGroups},
			Rule:  "D1: declaring what exists is no error and changes nothing",
			check: checkDeclareAgain,
		},
		{
			Name: "declare-broadcast", Level: Raw, Needs: []Need{NeedDeclare, NeedBroadcast},
			Rule:  "D2: a broadcast is declared again and again, and its stream gets what is published then",
			check: checkDeclareBroadcast,
		},
		{
			Name: "declare-unheld", Level: Raw, Needs: []Need{NeedDeclare},
			Rule:  "D3: Declare refuses with CodeUnsupported what Subscribe refuses so, and nothing else so",
			check: checkDeclareUnheld,
		},
		{
			Name: "declare-topic", Level: Raw, Needs: []Need{NeedDeclare},
			Rule:  "D4: a topic alone is declared, again and again, before and after its groups, and takes nothing from them",
			check: checkDeclareTopic,
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
	for _, sub := range []leat.Subscription{r.subscription(topic, "unknown"), r.subscription(r.h.Topic(), groupA)} {
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
	rd := r.join(b, topic, "later")
	rd.expectByKey("a group that was declared later", rd.all(len(events)+1), append(events, last)...)
}

func checkDeclareAgain(r *run) {
	b, topic := r.start(groupA)
	events := r.series("k", 10)
	r.declare(b, topic, groupA, groupA)
	r.mustPublish(b, topic, events[:4]...)
	r.declare(r.open(), topic, groupA)
	rd := r.join(b, topic, groupA)
	r.mustPublish(b, topic, events[4:]...)
	got := rd.all(2)
	r.declare(b, topic, groupA, groupB, groupA)
	last := r.event("last", "k")
	r.mustPublish(b, topic, last)
	r.expectSet("the group was declared again and again", append(got, rd.until(last.ID())...), events...)
}

func checkDeclareBroadcast(r *run) {
	b, topic := r.open(), r.h.Topic()
	all := leat.Subscription{Topic: topic, Broadcast: true}
	for range 2 {
		r.must(leat.Declare(r.ctx, b, all), "declaring a broadcast")
	}
	rd := r.subscribe(b, all)
	r.must(leat.Declare(r.ctx, r.open(), all, all), "declaring a broadcast that has a stream")
	events := r.spread("e", 5)
	r.mustPublish(b, topic, events...)
	r.expectSet("a broadcast that was declared", rd.take(len(events)), events...)
}

func checkDeclareUnheld(r *run) {
	b, topic := r.start(groupA)
	for _, sub := range []leat.Subscription{
		{Topic: topic, Group: groupA},
		{Topic: topic, Group: groupA, Unordered: true}, // the group may have been declared with order
		{Topic: topic, Group: groupB, Unordered: true},
		{Topic: topic, Group: groupB}, // and this one without
		{Topic: topic, Broadcast: true},
		{Topic: r.h.Topic(), Group: groupA},
	} {
		declared := leat.Declare(r.ctx, b, sub)
		if declared != nil {
			r.expectCode(fmt.Sprintf("declaring %+v", sub), declared, leat.CodeUnsupported)
		}
		s, err := b.Subscribe(r.ctx, sub.WithDefaults())
		if err == nil {
			(&reader{r: r, stream: s, sub: sub}).close()
		}
		if refused := leat.CodeOf(err) == leat.CodeUnsupported; refused != (declared != nil) {
			r.notef("%+v: Declare returned %v, and Subscribe %v", sub, declared, err)
		}
	}
}

func checkDeclareTopic(r *run) {
	b, topic := r.open(), r.h.Topic()
	alone := leat.Subscription{Topic: topic}
	r.must(leat.Declare(r.ctx, b, alone, alone), "declaring a topic alone")
	r.declare(b, topic, groupA)
	events := r.series("k", 5)
	r.mustPublish(b, topic, events[:2]...)
	r.must(leat.Declare(r.ctx, r.open(), alone), "declaring a topic alone that has a group")
	r.mustPublish(b, topic, events[2:]...)
	last := r.event("last", "k")
	r.mustPublish(b, topic, last)
	events = append(events, last)
	r.expectSet("a group of a topic that was declared alone", r.join(b, topic, groupA).finish(len(events)), events...)
}
