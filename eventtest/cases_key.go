package eventtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/leatgo/leat"
)

// keyCases are about events without a partitionkey on a transport that has a key of its own.
func keyCases() []Case {
	return []Case{
		{
			Name: "transport-key", Level: Raw, Needs: []Need{NeedInjectKey},
			Rule:  "R3: Delivery.Key is the transport's key of an event without a partitionkey, and the event is unchanged",
			check: checkTransportKey,
		},
		{
			Name: "transport-key-give-back", Level: Raw, Needs: []Need{NeedInjectKey, NeedOrder},
			Rule:  "T2: given-back events of one transport's key come back in publish order, with it, before later ones and after older ones",
			check: checkTransportKeyGiveBack,
		},
		{
			Name: "whole-order-transport-key", Level: Whole, Needs: []Need{NeedInjectKey, NeedOrder},
			Rule:  "events of one transport's key are handled in publish order, one at a time, also when handlers fail, and Info has the key",
			check: checkOrderTransportKey,
		},
	}
}

// oddKey returns a key that a careless adapter changes.
func (r *run) oddKey() string {
	if m, ok := r.h.(KeyMaker); ok {
		return m.OddKey()
	}
	return "order 7/ü\x01\xff"
}

// injectKeyed publishes an event past the adapter.
func (r *run) injectKeyed(topic, key string, e leat.Event) {
	if injector, ok := r.h.(KeyInjector); ok {
		r.must(injector.InjectKeyed(r.ctx, topic, key, e), "injecting an event with a key of the transport")
	}
}

func checkTransportKey(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	type keyed struct{ sent, want string }
	keys := map[string]keyed{"plain": {r.oddKey(), r.oddKey()}, "own": {"of-the-transport", ""}, "none": {"", ""}}
	events := []leat.Event{r.event("plain", ""), r.event("own", "of the event"), r.event("none", "")}
	byID := map[string]leat.Event{}
	for _, e := range events {
		byID[e.ID()] = e
		r.injectKeyed(topic, keys[e.ID()].sent, e)
	}
	for range 2 { // at first, and again
		got := rd.take(len(events))
		r.expectSet("injected", got, events...)
		for i := range got {
			d := &got[i]
			if want := keys[nameOf(d)].want; d.Key != want {
				r.notef("%s: Delivery.Key is %q, want %q", nameOf(d), d.Key, want)
			}
			if d.Malformed != nil || !d.Event.Equal(byID[nameOf(d)]) {
				r.notef("%s: the event is not the one that was injected: %v", nameOf(d), d.Event)
			}
		}
		rd.settle(givenBack(), got...)
	}
}

func checkTransportKeyGiveBack(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	events := make([]leat.Event, 6)
	for i := range events {
		events[i] = r.event(fmt.Sprintf("e-%d", i), "")
		r.injectKeyed(topic, r.oddKey(), events[i])
	}
	got := rd.take(r.ofKey(4))
	for _, i := range []int{3, 1, 2} {
		if i >= len(got) {
			continue
		}
		rd.settle(givenBack(), got[i])
		if early := rd.poll(r.brief()); len(early) > 0 {
			r.failf("%q was given back while the older %q of its key is unsettled, and %s came", nameOf(&got[i]), nameOf(&got[0]), ids(early))
		}
	}
	rd.settle(acked(), got[0])
	again := rd.finish(len(events) - 1)
	r.expect("three were given back in another order, and the older one was acked", again, events[1:]...)
	for i := range again {
		if again[i].Key != r.oddKey() {
			r.notef("%s comes again with the Delivery.Key %q", nameOf(&again[i]), again[i].Key)
		}
	}
}

func checkOrderTransportKey(r *run) {
	b := r.open()
	l := r.newLedger(b)
	const count, keys = 160, 8
	events := make([]leat.Event, count)
	for i := range events {
		events[i] = l.keyed(fmt.Sprintf("key-%d", i%keys), 64)
	}
	work := dawdle(2 * time.Millisecond)
	l.serve(b, func(ctx context.Context, e leat.Event) error {
		if info, _ := leat.InfoFrom(ctx); info.Key != l.keyOf(e) {
			r.notef("%s: Info.Key is %q, want %q", e.ID(), info.Key, l.keyOf(e))
		}
		if rand.IntN(5) == 0 {
			return errFailing
		}
		return work(ctx, e)
	}, &leat.ConsumerOptions{Concurrency: 64, Middleware: []leat.Middleware{quickRetry()}})
	for _, e := range events {
		r.injectKeyed(l.topic, l.keyOf(e), e)
	}
	l.confirm(events...)
	l.await()
}
