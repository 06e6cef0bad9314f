package eventtest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync"

	"github.com/leatgo/leat"
)

// onEach returns a Receive that passes each delivery of the broker to keep, and drops it, settled,
// where that says so.
func onEach(keep func(s *shellStream, d *leat.Delivery) bool) func(leat.Broker) leat.Broker {
	return (&defect{receive: filtered(keep)}).wrap()
}

// filtered is the Receive of onEach.
func filtered(
	keep func(s *shellStream, d *leat.Delivery) bool,
) func(s *shellStream, ctx context.Context, into []leat.Delivery) (int, error) {
	return func(s *shellStream, ctx context.Context, into []leat.Delivery) (int, error) {
		n, err := s.receive(ctx, into)
		kept := 0
		for i := range n {
			if d := into[i]; into[i].Handle == nil || keep(s, &into[i]) {
				into[kept] = into[i]
				kept++
			} else {
				s.settle(&d, leat.Settlement{Action: leat.Ack})
			}
		}
		return kept, err
	}
}

func acksAtDelivery() func(leat.Broker) leat.Broker {
	return onEach(func(s *shellStream, d *leat.Delivery) bool {
		if d.Malformed == nil && d.Event.Key() == "" {
			s.settle(d, leat.Settlement{Action: leat.Ack})
		}
		return true
	})
}

func acksGivenBack() func(leat.Broker) leat.Broker {
	return (&defect{settle: func(s *shellStream, d *leat.Delivery, how leat.Settlement) {
		s.mu.Lock()
		if how.Action == leat.GiveBack {
			if s.note++; s.note > 10 {
				how = leat.Settlement{Action: leat.Ack}
			}
		}
		s.mu.Unlock()
		s.settle(d, how)
	}}).wrap()
}

func acksFirstGivenBack() func(leat.Broker) leat.Broker {
	return (&defect{settle: func(s *shellStream, d *leat.Delivery, how leat.Settlement) {
		u, ok := s.isHeld(d)
		if ok && how.Action == leat.GiveBack && u.d.Position.Offset < 3 && strings.HasPrefix(u.d.Event.Key(), "key-") {
			how = leat.Settlement{Action: leat.Ack}
		}
		s.settle(d, how)
	}}).wrap()
}

func dropsAtClose() func(leat.Broker) leat.Broker {
	return (&defect{closeStream: func(s *shellStream, ctx context.Context) error {
		s.mu.Lock()
		var left []leat.Delivery
		for _, u := range s.held {
			left = append(left, u.d)
		}
		s.mu.Unlock()
		for i := range left {
			s.settle(&left[i], leat.Settlement{Action: leat.Ack})
		}
		return s.close(ctx)
	}}).wrap()
}

// seenIDs are ids that a mutant remembers, over all of its instances.
type seenIDs struct {
	mu  sync.Mutex
	ids map[string]int
}

// add changes the count of an id and returns it.
func (s *seenIDs) add(id string, n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ids == nil {
		s.ids = map[string]int{}
	}
	s.ids[id] += n
	return s.ids[id]
}

// name names the event of a delivery over all groups.
func name(s *shellStream, d *leat.Delivery) string {
	return s.sub.Topic + "/" + s.sub.Group + "/" + d.Event.ID()
}

// dropsLost knows that a lease was lost when an event comes that was neither acked nor given back.
func dropsLost() func(leat.Broker) leat.Broker {
	var out seenIDs
	receive := func(s *shellStream, ctx context.Context, into []leat.Delivery) (int, error) {
		n, err := s.receive(ctx, into)
		kept := 0
		for i := range n {
			if d := into[i]; s.sub.Broadcast || out.add(name(s, &d), 1) == 1 {
				into[kept] = into[i]
				kept++
			} else {
				s.settle(&d, leat.Settlement{Action: leat.Ack})
			}
		}
		return kept, err
	}
	return (&defect{receive: receive, settle: func(s *shellStream, d *leat.Delivery, how leat.Settlement) {
		if _, ok := s.isHeld(d); ok && !d.Lease.Ended() {
			out.add(name(s, d), -1)
		}
		s.settle(d, how)
	}}).wrap()
}

// onPublish returns a shell that publishes what change makes of each event; false drops it and
// reports success.
func onPublish(change func(topic string, e leat.Event) (leat.Event, bool)) func(leat.Broker) leat.Broker {
	return (&defect{publish: func(b *shell, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
		var kept []leat.Event
		var index []int
		for i, e := range events {
			e, keep := change(topic, e)
			if !keep {
				done(i, nil)
				continue
			}
			kept, index = append(kept, e), append(index, i)
		}
		b.publish(ctx, topic, kept, func(i int, err error) { done(index[i], err) })
	}}).wrap()
}

func loses() func(leat.Broker) leat.Broker {
	var count seenIDs
	return onPublish(func(topic string, e leat.Event) (leat.Event, bool) {
		return e, e.Key() != "" || count.add(topic, 1) != 120
	})
}

func rewritesJSON() func(leat.Broker) leat.Broker {
	return onPublish(func(_ string, e leat.Event) (leat.Event, bool) {
		var compact bytes.Buffer
		if e.DataContentType() == "application/json" && json.Compact(&compact, e.Data()) == nil {
			return e.WithData(e.DataContentType(), compact.Bytes()), true
		}
		return e, true
	})
}

func isPoison(topic string) bool { return strings.Contains(topic, ".poison") }

func losesPoison() func(leat.Broker) leat.Broker {
	return onPublish(func(topic string, e leat.Event) (leat.Event, bool) { return e, !isPoison(topic) })
}

func altersPoison() func(leat.Broker) leat.Broker {
	return onPublish(func(topic string, e leat.Event) (leat.Event, bool) {
		if isPoison(topic) && e.DataContentType() == "application/octet-stream" {
			return e.WithData(e.DataContentType(), append(e.Data(), 0)), true
		}
		return e, true
	})
}
