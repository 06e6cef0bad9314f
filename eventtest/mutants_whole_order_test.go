package eventtest_test

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/leatgo/leat"
)

func reordersRedelivered() func(leat.Broker) leat.Broker {
	return (&defect{receive: func(s *shellStream, ctx context.Context, into []leat.Delivery) (int, error) {
		n, err := s.receive(ctx, into)
		for i := range n {
			for j := i + 1; j < n; j++ {
				if into[i].Deliveries > 1 && into[j].Deliveries > 1 && into[i].Event.Key() == into[j].Event.Key() {
					into[i], into[j] = into[j], into[i]
				}
			}
		}
		return n, err
	}}).wrap()
}

// overtakes keeps some events with a key back, from the hundredth of the topic on, until the next
// one of their keys came by, or for a while where none comes.
func overtakes() func(leat.Broker) leat.Broker {
	return (&defect{receive: func(s *shellStream, ctx context.Context, into []leat.Delivery) (int, error) {
		n, err := s.receive(ctx, into)
		kept := 0
		for i := range n {
			d := into[i]
			at := d.Position.Offset
			if at >= 100 && at%5 == 0 && at/20%2 == 0 && d.Malformed == nil && d.Event.Key() != "" && d.Deliveries < 1_000 {
				d.Deliveries += 1_000 // so that it is not kept back again
				s.keepBack(d)
				continue
			}
			into[kept] = d
			kept++
			s.letOvertaken(&d)
		}
		return kept, err
	}}).wrap()
}

func (s *shellStream) keepBack(d leat.Delivery) {
	s.mu.Lock()
	s.batch = append(s.batch, d)
	s.mu.Unlock()
	time.AfterFunc(50*time.Millisecond, func() {
		s.letGo(func(k *leat.Delivery) bool { return k.Handle == d.Handle && k.Tag == d.Tag })
	})
}

// letOvertaken delivers what was kept back of the key of a later event.
func (s *shellStream) letOvertaken(later *leat.Delivery) {
	s.letGo(func(k *leat.Delivery) bool {
		return later.Malformed == nil && k.Event.Key() == later.Event.Key() && k.Position.Offset < later.Position.Offset
	})
}

func (s *shellStream) letGo(which func(k *leat.Delivery) bool) {
	s.mu.Lock()
	var now []leat.Delivery
	s.batch = slices.DeleteFunc(s.batch, func(k leat.Delivery) bool {
		if !which(&k) {
			return false
		}
		now = append(now, k)
		return true
	})
	s.mu.Unlock()
	for _, k := range now {
		s.deliver(k)
	}
}

// movesAtOnce lets go of a lease that is drained while its handlers run on.
func movesAtOnce() func(leat.Broker) leat.Broker {
	return (&defect{leases: func(_ *shellStream, inner *leat.Lease) *leat.Lease {
		own := leat.NewLease()
		inner.Attach(func(release func()) { go release() }, func(cause error) {
			if cause != nil {
				own.End(cause)
			}
		})
		return own
	}}).wrap()
}

func keepsLostLeases() func(leat.Broker) leat.Broker {
	return (&defect{leases: func(_ *shellStream, inner *leat.Lease) *leat.Lease {
		own := leat.NewLease()
		inner.Attach(func(release func()) { own.Drain(release) }, func(cause error) {
			if cause == nil {
				own.End(nil)
			}
		})
		return own
	}}).wrap()
}

// endsSlowLeases ends a lease when one of its deliveries, small and without a key as few cases have
// them, is not settled after 20 ms.
func endsSlowLeases() func(leat.Broker) leat.Broker {
	d := &defect{leases: func(_ *shellStream, inner *leat.Lease) *leat.Lease {
		own := leat.NewLease()
		inner.Attach(func(release func()) { own.Drain(release) }, own.End)
		return own
	}}
	d.receive = func(s *shellStream, ctx context.Context, into []leat.Delivery) (int, error) {
		n, err := s.receive(ctx, into)
		for i := range n {
			d := into[i]
			if d.Malformed != nil || d.Event.Key() != "" || len(d.Event.DataString()) != 8 {
				continue
			}
			time.AfterFunc(20*time.Millisecond, func() {
				if _, ok := s.isHeld(&d); ok {
					d.Lease.End(errors.New("too slow"))
					s.settle(&d, leat.Settlement{Action: leat.GiveBack})
				}
			})
		}
		return n, err
	}
	return d.wrap()
}

// handsToTwo gives every tenth event to another stream of the group as well.
func handsToTwo() func(leat.Broker) leat.Broker {
	return onEach(func(s *shellStream, d *leat.Delivery) bool {
		s.b.mu.Lock()
		defer s.b.mu.Unlock()
		for _, other := range s.b.streams {
			if other != s && other.sub.Topic == s.sub.Topic && other.sub.Group == s.sub.Group && d.Position.Offset%10 == 0 {
				other.inject(*d)
			}
		}
		return true
	})
}

func forgetsThird() func(leat.Broker) leat.Broker {
	return onEach(func(_ *shellStream, d *leat.Delivery) bool { return d.Deliveries < 3 })
}

func countsNothing() func(leat.Broker) leat.Broker {
	return onEach(func(_ *shellStream, d *leat.Delivery) bool {
		d.Deliveries = 1
		return true
	})
}

// hotLoops delivers what is not settled again, every 2 ms, up to 20 times.
func hotLoops() func(leat.Broker) leat.Broker {
	return onEach(func(s *shellStream, d *leat.Delivery) bool {
		own, left := *d, 20
		var again func()
		again = func() {
			if _, ok := s.isHeld(&own); ok && left > 0 {
				left--
				s.inject(own)
				time.AfterFunc(2*time.Millisecond, again)
			}
		}
		time.AfterFunc(2*time.Millisecond, again)
		return true
	})
}

func duplicates() func(leat.Broker) leat.Broker {
	return onEach(func(s *shellStream, d *leat.Delivery) bool {
		if d.Position.Offset%5 == 3 {
			s.inject(*d)
		}
		return true
	})
}

func duplicatesMalformed() func(leat.Broker) leat.Broker {
	return onEach(func(s *shellStream, d *leat.Delivery) bool {
		if d.Malformed != nil {
			s.inject(*d)
		}
		return true
	})
}

func forgetsTransportKey() func(leat.Broker) leat.Broker {
	return onEach(func(_ *shellStream, d *leat.Delivery) bool {
		d.Key = ""
		return true
	})
}
