package eventtest_test

import (
	"context"
	"sync"

	"github.com/leatgo/leat"
)

// lateMutants do late what they should not do any more, or do at once what has to wait.
func lateMutants() []mutant {
	return []mutant{
		{
			name: "settles late what another stream holds", rule: "isolated-late-settlements", others: []string{"isolated-acks-sent-once"},
			wrap: settlesByID(func(d *leat.Delivery, _ bool) bool { return isHeld(d) }),
		},
		{
			name: "sends acks again by its next connection", rule: "isolated-acks-sent-once",
			wrap: settlesByID(func(d *leat.Delivery, ended bool) bool { return isHeld(d) && !ended && d.Lease.Ended() }),
		},
		{
			name: "ends leases before their settlements are confirmed", rule: "isolated-end-awaits-settlements",
			wrap: flawed(func(f *flaws) { f.closing = (*viewStream).end }),
		},
		{
			name: "gives up when it closes the role that its successor has", rule: "isolated-close-takes-nothing",
			wrap: flawed(func(f *flaws) { f.closing = takesFromSuccessor }),
		},
	}
}

// settlesByID plays a broker that finds a message by its id and not by its delivery, with clients
// that send the settlements that which wants. Others are sent while their lease lasts.
func settlesByID(which func(d *leat.Delivery, ended bool) bool) func(leat.Broker) leat.Broker {
	type holding struct {
		s *viewStream
		d leat.Delivery
	}
	var mu sync.Mutex
	newest := map[string]holding{}
	name := func(s *viewStream, d *leat.Delivery) string {
		return s.sub.Topic + "/" + s.sub.Group + "/" + d.Event.Source() + d.Event.ID()
	}
	return flawed(func(f *flaws) {
		f.received = func(s *viewStream, ds []leat.Delivery) {
			mu.Lock()
			defer mu.Unlock()
			for i := range ds {
				newest[name(s, &ds[i])] = holding{s, ds[i]}
			}
		}
		f.late = func(s *viewStream, d *leat.Delivery, how leat.Settlement, ended bool) {
			mu.Lock()
			h, ok := newest[name(s, d)]
			mu.Unlock()
			switch {
			case ok && which(d, ended):
				h.s.broker().Settle(&h.d, how)
			case !ended:
				s.broker().Settle(d, how)
			}
		}
	})
}

// takesFromSuccessor plays a broker that knows the group and not who speaks for it.
func takesFromSuccessor(s *viewStream) {
	s.mu.Lock()
	lost := s.lapsed.Load()
	for _, l := range s.held {
		lost = lost || l.Lease().Ended()
	}
	s.mu.Unlock()
	if lost {
		s.send(func() { _ = s.v.broker.ExpireLeases(s.sub.Topic, s.sub.Group) })
	}
}

// sendsLaterInOutage refuses what is published while it knows of an outage, and its client library
// keeps that and sends it afterwards.
func sendsLaterInOutage(b *bent) {
	b.publish = func(b leat.Broker, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
		if v, ok := b.(*view); !ok || !v.line.isDown() {
			b.Publish(ctx, topic, events, done)
			return
		}
		b.Publish(context.WithoutCancel(ctx), topic, events, func(int, error) {})
		for i := range events {
			done(i, failed(leat.CodeUnavailable))
		}
	}
}
