package eventtest_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat"
)

// redeliveryMutants deliver again too much, too little, or at the wrong time. Most do so with the
// events of one case, which they know by their ids or keys, since all cases with slow handlers
// would fail otherwise.
func redeliveryMutants() []mutant {
	return []mutant{
		{
			name: "takes a slow event back and delivers it behind later ones", rule: "whole-order-failing-handlers",
			wrap: takesBack(time.Millisecond, 100*time.Millisecond, func(d *leat.Delivery) bool { return d.Event.ID() == "key-5-116" },
				func(*shellStream, *leat.Delivery) bool { return true }),
		},
		{
			name: "takes an event back because the next one of its key is there", rule: "whole-poisonous-key",
			wrap: takesBack(5*time.Millisecond, 100*time.Millisecond, func(d *leat.Delivery) bool { return len(d.Event.DataString()) == 8 },
				(*shellStream).holdsLater),
			others: []string{"whole-slow-key"},
		},
		{
			name: "takes a slow event back", rule: "whole-poison-queue-down",
			wrap: takesBack(20*time.Millisecond, 0, func(d *leat.Delivery) bool { return d.Event.ID() == "bad-1" },
				func(s *shellStream, d *leat.Delivery) bool { return !s.holdsLater(d) }),
		},
		{
			name: "delivers an event again whose ack comes late", rule: "whole-error-is-retried",
			wrap:   repeatsLateAcks(func(d *leat.Delivery) bool { return d.Event.Key() == "k" }),
			others: []string{"whole-slow-handler-keeps-lease"},
		},
		{
			name: "delivers a rejected event again", rule: "whole-rejected-leaves-order",
			wrap: repeatsLateAcks(func(d *leat.Delivery) bool { return d.Event.ID() == "key-3-32" }),
		},
		{name: "loses what is given back by one of three streams", rule: "whole-order-group-changes", wrap: losesAmongThree()},
		{name: "forgets acks when it closes beside another stream", rule: "whole-restarts-in-peace", wrap: forgetsAcksBeside()},
		{name: "delivers at once what should be delayed", rule: "whole-calm-retry", wrap: ignoresDelays()},
		{name: "loses in a crash what is not settled", rule: "whole-crash-redelivers", wrap: losesInCrash()},
		{name: "ends its streams when the connection is lost", rule: "whole-cut-redelivers", wrap: endsWhenCut()},
	}
}

// takesBack gives some events with a key a lease of their own, which it ends when they are not
// settled after a while and when says so. Then it delivers them again: the more late, the more
// likely behind later ones of their keys.
func takesBack(
	after, late time.Duration, which func(d *leat.Delivery) bool, when func(s *shellStream, d *leat.Delivery) bool,
) func(leat.Broker) leat.Broker {
	return onEach(func(s *shellStream, d *leat.Delivery) bool {
		if d.Malformed != nil || d.Event.Key() == "" || !which(d) {
			return true
		}
		own := *d // under the lease that the broker knows
		lease := leat.NewLease()
		d.Lease = lease
		var look func()
		look = func() {
			if _, ok := s.isHeld(&own); !ok {
				return
			}
			if !when(s, &own) {
				time.AfterFunc(after, look)
				return
			}
			lease.End(errors.New("too slow"))
			s.settle(&own, leat.Settlement{Action: leat.Ack})
			time.AfterFunc(late, func() { s.inject(own) })
		}
		time.AfterFunc(after, look)
		return true
	})
}

// holdsLater reports whether a later event of d's key is not settled.
func (s *shellStream) holdsLater(d *leat.Delivery) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.held {
		if u.d.Malformed == nil && u.d.Event.Key() == d.Event.Key() && u.d.Position.Offset > d.Position.Offset {
			return true
		}
	}
	return false
}

// repeatsLateAcks delivers an event again that was acked later than 0.5 ms after it had come.
func repeatsLateAcks(pick func(d *leat.Delivery) bool) func(leat.Broker) leat.Broker {
	return (&defect{settle: func(s *shellStream, d *leat.Delivery, how leat.Settlement) {
		u, ok := s.isHeld(d)
		s.settle(d, how)
		if ok && how.Action == leat.Ack && time.Since(u.since) > time.Millisecond/2 && u.d.Malformed == nil && pick(&u.d) {
			s.inject(u.d)
		}
	}}).wrap()
}

// groupSizes counts the open streams of each group of each topic.
type groupSizes struct{ seenIDs }

// defect returns one that counts, and nothing else.
func (g *groupSizes) defect() *defect {
	return &defect{
		subscribe: func(b *shell, ctx context.Context, sub leat.Subscription) (*shellStream, error) {
			s, err := b.subscribe(ctx, sub)
			if err == nil {
				g.change(s, 1)
			}
			return s, err
		},
		closeStream: func(s *shellStream, ctx context.Context) error {
			g.change(s, -1)
			return s.close(ctx)
		},
	}
}

// change adds n to the size of a stream's group and returns it.
func (g *groupSizes) change(s *shellStream, n int) int { return g.add(s.sub.Topic+"/"+s.sub.Group, n) }

func losesAmongThree() func(leat.Broker) leat.Broker {
	var open groupSizes
	d := open.defect()
	d.settle = func(s *shellStream, d *leat.Delivery, how leat.Settlement) {
		if how.Action == leat.GiveBack && open.change(s, 0) == 3 {
			how = leat.Settlement{Action: leat.Ack}
		}
		s.settle(d, how)
	}
	return d.wrap()
}

// forgetsAcksBeside keeps the last three acks of a stream for a batch, which Close sends only for
// the last stream of a group.
func forgetsAcksBeside() func(leat.Broker) leat.Broker {
	var open groupSizes
	d := open.defect()
	d.settle = keepsThreeAcks
	d.closeStream = func(s *shellStream, ctx context.Context) error {
		if open.change(s, -1) == 0 {
			s.mu.Lock()
			batch := s.batch
			s.batch = nil
			s.mu.Unlock()
			for i := range batch {
				s.settle(&batch[i], leat.Settlement{Action: leat.Ack})
			}
		}
		return s.close(ctx)
	}
	return d.wrap()
}

func ignoresDelays() func(leat.Broker) leat.Broker {
	return (&defect{settle: func(s *shellStream, d *leat.Delivery, how leat.Settlement) {
		how.Delay = 0
		s.settle(d, how)
	}}).wrap()
}

// losesInCrash drops what comes again after it was unsettled when the broker was killed.
func losesInCrash() func(leat.Broker) leat.Broker {
	var mu sync.Mutex
	out, lost := map[string]bool{}, map[string]bool{} // by name
	d := &defect{
		settle: func(s *shellStream, d *leat.Delivery, how leat.Settlement) {
			mu.Lock()
			delete(out, name(s, d))
			mu.Unlock()
			s.settle(d, how)
		},
		killed: func() {
			mu.Lock()
			defer mu.Unlock()
			out, lost = map[string]bool{}, out
		},
	}
	d.receive = filtered(func(s *shellStream, d *leat.Delivery) bool {
		mu.Lock()
		defer mu.Unlock()
		if id := name(s, d); !lost[id] {
			out[id] = true
			return true
		}
		return false
	})
	return d.wrap()
}

// endsWhenCut ends each stream with an error when the connections are cut.
func endsWhenCut() func(leat.Broker) leat.Broker {
	var cuts atomic.Int64
	return (&defect{
		subscribe: func(b *shell, ctx context.Context, sub leat.Subscription) (*shellStream, error) {
			s, err := b.subscribe(ctx, sub)
			if err == nil {
				s.note = int(cuts.Load())
			}
			return s, err
		},
		receive: func(s *shellStream, ctx context.Context, into []leat.Delivery) (int, error) {
			n, err := s.receive(ctx, into)
			if s.note < int(cuts.Load()) {
				return 0, failed(leat.CodeUnavailable)
			}
			return n, err
		},
		cut: func() { cuts.Add(1) },
	}).wrap()
}
