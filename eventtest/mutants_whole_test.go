package eventtest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/eventtest"
)

// TestWholeLevelUnderFaults runs the whole level on a shell around the in-memory broker that breaks nothing, but can be paused, killed
// and cut, so that the cases which need that are seen to pass.
func TestWholeLevelUnderFaults(t *testing.T) {
	var names []string
	for _, c := range eventtest.Cases() {
		if c.Level == eventtest.Whole {
			names = append(names, c.Name)
		}
	}
	h := shellHarness{mutantHarness{newMemoryHarness(), (&defect{}).wrap()}}
	eventtest.TestAdapter(t, h, &eventtest.Options{Only: names})
}

// wholeMutants break rules that show with a Producer and a Consumer. Each breaks as little as it can, so that the cases of other rules
// pass.
func wholeMutants() []mutant {
	return []mutant{
		{
			name: "acks at delivery what has no key", rule: "whole-drain-finishes-work", wrap: acksAtDelivery(),
			others: []string{
				"whole-in-flight-bytes",
			},
		},
		{
			name: "acks what is given back beyond the tenth", rule: "whole-given-back-comes-again", wrap: acksGivenBack(),
			others: []string{
				"whole-order-group-changes", "whole-no-overlap", "whole-restarts-in-peace",
				"whole-drain-during-retry", "whole-drain-finishes-work", "whole-drain-ends-handlers", // they give back up to 20
			},
		},
		{
			name: "acks the first events of a topic when they are given back", rule: "whole-poison-before-ack", wrap: acksFirstGivenBack(),
			others: []string{
				"whole-no-overlap", "whole-drain-ends-handlers", "whole-order-group-changes", "whole-restarts-in-peace",
				"whole-given-back-comes-again", "whole-drain-during-retry", "whole-drain-finishes-work",
			},
		},
		{
			name: "drops what is unsettled at Close", rule: "whole-drain-names-stuck", wrap: dropsAtClose(),
			others: []string{
				"whole-drain-in-outage", "whole-order-group-changes",
			},
		},
		{
			name: "drops what lost its lease", rule: "whole-lost-lease-redelivers", wrap: dropsLost(),
			others: []string{
				"whole-order-group-changes", "whole-crash-redelivers", "whole-cut-redelivers", "whole-drain-names-stuck",
				"whole-drain-in-outage",
			},
		},
		{
			name: "loses an event and reports nil", rule: "whole-no-loss-no-ghosts", wrap: loses(),
			others: []string{
				"whole-in-flight-bytes",
			},
		},
		{name: "rewrites JSON", rule: "whole-no-loss-no-ghosts", wrap: rewritesJSON()},
		{
			name: "reorders what comes again", rule: "whole-given-back-comes-again", wrap: reordersRedelivered(),
			others: []string{
				"whole-order-group-changes", "whole-no-overlap", "whole-drain-during-retry", "whole-drain-ends-handlers",
				"whole-restarts-in-peace", "whole-drain-in-outage",
			},
		},
		{
			name: "lets later events of a key overtake", rule: "whole-order-64-handlers", wrap: overtakes(),
			others: []string{
				"whole-once-in-peace", "whole-no-loss-no-ghosts", "whole-order-failing-handlers", "whole-order-group-changes",
				"whole-restarts-in-peace", "whole-no-overlap", "whole-close-races",
			},
		},
		{
			name: "moves a key without waiting for its handler", rule: "whole-no-overlap", wrap: movesAtOnce(),
			others: []string{
				"whole-order-group-changes", "whole-restarts-in-peace", "whole-close-races", "whole-groups-each-get-all",
				"whole-lost-lease-redelivers",
			},
		},
		{
			name: "hands events to two streams", rule: "whole-groups-each-get-all", wrap: handsToTwo(),
			others: []string{
				"whole-order-group-changes", "whole-no-overlap", "whole-restarts-in-peace", "whole-close-races",
			},
		},
		{
			name: "forgets the third delivery", rule: "whole-attempts-are-not-deliveries", wrap: forgetsThird(),
			others: []string{
				"whole-order-group-changes", "whole-restarts-in-peace",
			},
		},
		{
			name: "counts no deliveries", rule: "whole-attempts-are-not-deliveries", wrap: countsNothing(),
			others: []string{
				"whole-order-failing-handlers",
			},
		},
		{
			name: "delivers again and again", rule: "whole-calm-default", wrap: hotLoops(),
			others: []string{
				"whole-calm-retry", "whole-error-is-retried", "whole-slow-handler-keeps-lease", "whole-poison-queue-down",
				"whole-rejected-leaves-order", "whole-in-flight-bytes", "whole-in-flight-events", "whole-once-in-peace",
				"whole-order-group-changes", "whole-no-overlap", "whole-restarts-in-peace", "whole-poisonous-key",
				"whole-slow-key", "whole-poison-before-ack", "whole-drain-finishes-work", "whole-groups-each-get-all",
				"whole-run-again", "whole-poisoned-keeps-bytes", "whole-malformed-poisoned-once", "whole-order-64-handlers",
				"whole-order-failing-handlers", "whole-no-loss-no-ghosts", "whole-close-races",
				"whole-attempts-are-not-deliveries", "whole-given-back-comes-again", "whole-drain-during-retry",
				"whole-lost-lease-redelivers", "whole-drain-ends-handlers",
			},
		},
		{
			name: "delivers every fifth event twice", rule: "whole-once-in-peace", wrap: duplicates(),
			others: []string{
				"whole-order-group-changes", "whole-restarts-in-peace", "whole-poisoned-keeps-bytes",
				"whole-rejected-leaves-order", "whole-in-flight-bytes", "whole-drain-finishes-work",
				"whole-groups-each-get-all", "whole-run-again", "whole-poison-before-ack", "whole-no-overlap",
				"whole-no-loss-no-ghosts", "whole-malformed-poisoned-once", "whole-close-races", "whole-order-64-handlers",
				"whole-order-failing-handlers",
			},
		},
		{name: "delivers what is malformed twice", rule: "whole-malformed-poisoned-once", wrap: duplicatesMalformed()},
		{
			name: "loses what goes to a poison topic", rule: "whole-poisoned-keeps-bytes", wrap: losesPoison(),
			others: []string{
				"whole-malformed-poisoned-once",
			},
		},
		{name: "alters what goes to a poison topic", rule: "whole-poisoned-keeps-bytes", wrap: altersPoison()},
		{
			name: "never ends a lost lease", rule: "whole-lost-lease-ends-context", wrap: keepsLostLeases(),
			others: []string{
				"whole-lost-lease-redelivers", "whole-order-group-changes", "whole-crash-redelivers", "whole-cut-redelivers",
			},
		},
		{
			name: "ends the leases of slow handlers", rule: "whole-slow-handler-keeps-lease", wrap: endsSlowLeases(),
			others: []string{
				"whole-calm-default", "whole-calm-retry",
			},
		},
		{name: "receives more than is asked for", rule: "whole-in-flight-events", wrap: receivesTooMany()},
		{name: "ignores MaxInFlightBytes", rule: "whole-in-flight-bytes", wrap: ignoresBytes()},
		{name: "publishes past the end of ctx", rule: "whole-publish-deadline", wrap: publishesPastCtx()},
		{
			name: "blocks in Settle", rule: "whole-drain-during-retry", wrap: blocksInSettle(),
			others: []string{
				"whole-order-group-changes", "whole-restarts-in-peace", "whole-no-overlap", "whole-drain-finishes-work",
				"whole-drain-ends-handlers", "whole-drain-in-outage", // they give back six
			},
		},
		{
			name: "closes streams past the end of ctx", rule: "whole-drain-ends-handlers", wrap: closesStreamsLate(),
			others: []string{
				"whole-order-group-changes", "whole-poison-before-ack", "whole-drain-during-retry", "whole-drain-names-stuck",
				"whole-drain-in-outage",
			},
		},
		{name: "waits for the broker to close streams", rule: "whole-drain-in-outage", wrap: closesStreamsWithBroker()},
		{name: "waits for the broker to close", rule: "whole-close-deadline", wrap: closesWithBroker()},
		{
			name: "forgets acks at Close", rule: "whole-run-again", wrap: forgetsAcks(),
			others: []string{
				"whole-restarts-in-peace", "whole-drain-finishes-work", "whole-order-group-changes",
			},
		},
		{name: "leaves a goroutine for each delivery", rule: "whole-nothing-leaks", wrap: leaks()},
		{name: "shares a broadcast", rule: "whole-broadcast-to-each", wrap: sharesBroadcast()},
		{
			name: "keeps nothing for groups without a stream", rule: "whole-declared-group-keeps-events", wrap: declaresNothing(),
			others: []string{
				"whole-malformed-poisoned-once", "whole-publish-deadline", "whole-poisoned-keeps-bytes",
			},
		},
		{
			name: "goes on receiving after Close", rule: "whole-closed-broker-ends-run", wrap: swallowsClose(),
			others: []string{
				"whole-close-races",
			},
		},
		{
			name: "never reports after Close", rule: "whole-close-races", wrap: silentAfterClose(),
			others: []string{
				"whole-closed-broker-ends-run", "whole-close-deadline",
			},
		},
		{name: "returns bare errors", rule: "whole-unsupported-is-typed", wrap: bareErrors()},
		{name: "refuses half of its limit", rule: "whole-oversized-event", wrap: refusesLarge()},
		{name: "cannot be reached for unknown topics", rule: "whole-unknown-topic", wrap: unavailableTopics()},
		{
			name: "waits for the oldest event", rule: "whole-slow-key", wrap: waitsForOldest(),
			others: []string{
				"whole-poisonous-key", "whole-poison-queue-down",
			},
		},
	}
}

// onEach returns a Receive that passes each delivery of the broker to keep, and drops it, settled, where that says so.
func onEach(keep func(s *shellStream, d *leat.Delivery) bool) func(leat.Broker) leat.Broker {
	return (&defect{receive: func(s *shellStream, ctx context.Context, into []leat.Delivery) (int, error) {
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
	}}).wrap()
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

// onPublish returns a shell that publishes what change makes of each event; false drops it and reports success.
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

func isPoison(topic string) bool { return strings.HasSuffix(topic, ".poison") }

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

// overtakes keeps some events with a key back, from the hundredth of the topic on, until the next one of their keys came by, or for a while
// where none comes.
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

// endsSlowLeases ends a lease when one of its deliveries, small and without a key as few cases have them, is not settled after 20 ms.
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

func receivesTooMany() func(leat.Broker) leat.Broker {
	return (&defect{receive: func(s *shellStream, ctx context.Context, into []leat.Delivery) (int, error) {
		return s.receive(ctx, into[:cap(into)])
	}, subscribe: func(b *shell, ctx context.Context, sub leat.Subscription) (*shellStream, error) {
		sub.MaxInFlight += 20
		return b.subscribe(ctx, sub)
	}}).wrap()
}

func ignoresBytes() func(leat.Broker) leat.Broker {
	return (&defect{subscribe: func(b *shell, ctx context.Context, sub leat.Subscription) (*shellStream, error) {
		sub.MaxInFlightBytes = 1 << 30
		return b.subscribe(ctx, sub)
	}}).wrap()
}

func publishesPastCtx() func(leat.Broker) leat.Broker {
	return (&defect{publish: func(b *shell, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
		b.publish(context.WithoutCancel(ctx), topic, events, done)
	}}).wrap()
}

// blocksInSettle takes 1.3 s for the fifth give-back of a stream.
func blocksInSettle() func(leat.Broker) leat.Broker {
	return (&defect{settle: func(s *shellStream, d *leat.Delivery, how leat.Settlement) {
		if how.Action == leat.GiveBack {
			s.mu.Lock()
			s.note++
			slow := s.note == 5
			s.mu.Unlock()
			if slow {
				time.Sleep(1300 * time.Millisecond)
			}
		}
		s.settle(d, how)
	}}).wrap()
}

// closesStreamsLate takes 1.3 s where less than half of that is left.
func closesStreamsLate() func(leat.Broker) leat.Broker {
	return (&defect{closeStream: func(s *shellStream, ctx context.Context) error {
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < 400*time.Millisecond {
			time.Sleep(1300 * time.Millisecond)
		}
		return s.close(ctx)
	}}).wrap()
}

func closesStreamsWithBroker() func(leat.Broker) leat.Broker {
	return (&defect{closeStream: func(s *shellStream, ctx context.Context) error { return s.close(context.WithoutCancel(ctx)) }}).wrap()
}

func closesWithBroker() func(leat.Broker) leat.Broker {
	return (&defect{close: func(b *shell) error {
		if err := b.d.gate.wait(context.Background(), nil); err != nil {
			return err
		}
		return b.close()
	}}).wrap()
}

// forgetsAcks keeps the last three acks of a stream for a batch that Close does not send.
func forgetsAcks() func(leat.Broker) leat.Broker {
	return (&defect{settle: func(s *shellStream, d *leat.Delivery, how leat.Settlement) {
		if how.Action != leat.Ack {
			s.settle(d, how)
			return
		}
		s.mu.Lock()
		s.batch = append(s.batch, *d)
		var ack *leat.Delivery
		if len(s.batch) > 3 {
			ack, s.batch = &s.batch[0], s.batch[1:]
		}
		s.mu.Unlock()
		if ack != nil {
			s.settle(ack, how)
		}
	}}).wrap()
}

func leaks() func(leat.Broker) leat.Broker {
	return onEach(func(*shellStream, *leat.Delivery) bool {
		go time.Sleep(4 * time.Second)
		return true
	})
}

func sharesBroadcast() func(leat.Broker) leat.Broker {
	return (&defect{subscribe: func(b *shell, ctx context.Context, sub leat.Subscription) (*shellStream, error) {
		if sub.Broadcast {
			sub.Broadcast, sub.Group = false, "everybody"
			if err := leat.Declare(ctx, b.Broker, sub); err != nil {
				return nil, err
			}
		}
		return b.subscribe(ctx, sub)
	}}).wrap()
}

// declaresNothing drops what was published to a group before its first stream.
func declaresNothing() func(leat.Broker) leat.Broker {
	var published, begins seenIDs
	return (&defect{
		publish: func(b *shell, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
			published.add(topic, len(events))
			b.publish(ctx, topic, events, done)
		},
		subscribe: func(b *shell, ctx context.Context, sub leat.Subscription) (*shellStream, error) {
			if key := sub.Topic + "/" + sub.Group; begins.add(key, 0) == 0 {
				begins.add(key, 1+published.add(sub.Topic, 0))
			}
			return b.subscribe(ctx, sub)
		},
		receive: func(s *shellStream, ctx context.Context, into []leat.Delivery) (int, error) {
			n, err := s.receive(ctx, into)
			kept, first := 0, begins.add(s.sub.Topic+"/"+s.sub.Group, 0)-1
			for i := range n {
				if d := into[i]; s.sub.Broadcast || d.Position.Offset >= int64(first) {
					into[kept] = d
					kept++
				} else {
					s.settle(&d, leat.Settlement{Action: leat.Ack})
				}
			}
			return kept, err
		},
	}).wrap()
}

func swallowsClose() func(leat.Broker) leat.Broker {
	return (&defect{receive: func(s *shellStream, ctx context.Context, into []leat.Delivery) (int, error) {
		n, err := s.receive(ctx, into)
		if leat.CodeOf(err) == leat.CodeClosed {
			<-ctx.Done()
			return 0, ctx.Err()
		}
		return n, err
	}}).wrap()
}

func silentAfterClose() func(leat.Broker) leat.Broker {
	return (&defect{publish: func(b *shell, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
		if !b.isClosed() {
			b.publish(ctx, topic, events, done)
		}
	}}).wrap()
}

func bareErrors() func(leat.Broker) leat.Broker {
	return (&defect{declare: func(b *shell, ctx context.Context, subs ...leat.Subscription) error {
		if err := leat.Declare(ctx, b.Broker, subs...); err != nil {
			return errors.New(err.Error())
		}
		return nil
	}}).wrap()
}

func refusesLarge() func(leat.Broker) leat.Broker {
	return (&defect{publish: func(b *shell, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
		if events[0].Size() > 512<<10 {
			refuse(events, leat.CodeTooLarge, done)
			return
		}
		b.publish(ctx, topic, events, done)
	}}).wrap()
}

// unavailableTopics confuses a topic that nobody declared with an outage.
func unavailableTopics() func(leat.Broker) leat.Broker {
	var known seenIDs
	return (&defect{
		declare: func(b *shell, ctx context.Context, subs ...leat.Subscription) error {
			for _, sub := range subs {
				known.add(sub.Topic, 1)
			}
			return leat.Declare(ctx, b.Broker, subs...)
		},
		publish: func(b *shell, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
			if known.add(topic, 0) == 0 {
				refuse(events, leat.CodeUnavailable, done)
				return
			}
			b.publish(ctx, topic, events, done)
		},
	}).wrap()
}

// waitsForOldest receives nothing while 10 later events than the oldest have been settled.
func waitsForOldest() func(leat.Broker) leat.Broker {
	return (&defect{receive: func(s *shellStream, ctx context.Context, into []leat.Delivery) (int, error) {
		for s.farAhead() {
			select {
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
		if most := 4; len(into) > most {
			into = into[:most]
		}
		return s.receive(ctx, into)
	}}).wrap()
}

func (s *shellStream) farAhead() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.held {
		if u.above >= 10 {
			return true
		}
	}
	return false
}

// defect is what a shell does otherwise than it should. Nil functions are as they should be.
type defect struct {
	publish     func(b *shell, ctx context.Context, topic string, events []leat.Event, done func(int, error))
	declare     func(b *shell, ctx context.Context, subs ...leat.Subscription) error
	subscribe   func(b *shell, ctx context.Context, sub leat.Subscription) (*shellStream, error)
	receive     func(s *shellStream, ctx context.Context, into []leat.Delivery) (int, error)
	settle      func(s *shellStream, d *leat.Delivery, how leat.Settlement)
	closeStream func(s *shellStream, ctx context.Context) error
	close       func(b *shell) error
	leases      func(s *shellStream, inner *leat.Lease) *leat.Lease // the lease to hand out instead

	gate gate
}

// wrap returns the function that puts a shell with the defect around a broker.
func (d *defect) wrap() func(leat.Broker) leat.Broker {
	return func(b leat.Broker) leat.Broker {
		s := &shell{Broker: b, d: d}
		s.ended, s.end = context.WithCancel(context.Background())
		s.over = s.ended.Done()
		return s
	}
}

// gate is what a pause of the broker closes.
type gate struct {
	mu     sync.Mutex
	opened chan struct{} // nil while open
}

func (g *gate) pause() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened == nil {
		g.opened = make(chan struct{})
	}
}

func (g *gate) resume() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened != nil {
		close(g.opened)
		g.opened = nil
	}
}

func (g *gate) paused() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.opened != nil
}

// wait waits for the gate; its error is that of ctx, or CodeClosed.
func (g *gate) wait(ctx context.Context, over <-chan struct{}) error {
	g.mu.Lock()
	opened := g.opened
	g.mu.Unlock()
	if opened == nil {
		return nil
	}
	select {
	case <-opened:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-over:
		return closedShell()
	}
}

func closedShell() error { return &leat.Error{Op: "shell", Code: leat.CodeClosed} }

// Pause, Resume, Kill, Start and Cut control the broker behind a shell; around other brokers a pause does nothing.
// shellHarness hands out shells, which can be paused.
type shellHarness struct{ mutantHarness }

func (h shellHarness) Pause(context.Context) error {
	if s, ok := h.wrap(nil).(*shell); ok {
		s.d.gate.pause()
	}
	return nil
}

func (h shellHarness) Resume(context.Context) error {
	if s, ok := h.wrap(nil).(*shell); ok {
		s.d.gate.resume()
	}
	return nil
}

func (h shellHarness) Cut(context.Context) error {
	h.broker.Crash()
	return nil
}

// shell is an instance of an adapter around the in-memory broker, with a Close of its own and a defect.
type shell struct {
	leat.Broker

	d     *defect
	over  <-chan struct{} // closed by Close, with what follows
	ended context.Context
	end   context.CancelFunc

	mu      sync.Mutex
	closed  bool
	streams []*shellStream
}

func (b *shell) isClosed() bool {
	select {
	case <-b.over:
		return true
	default:
		return false
	}
}

func refuse(events []leat.Event, code leat.Code, done func(int, error)) {
	for i, e := range events {
		done(i, &leat.Error{Op: "publish", EventID: e.ID(), Code: code})
	}
}

func (b *shell) Publish(ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
	if b.d.publish != nil {
		b.d.publish(b, ctx, topic, events, done)
		return
	}
	b.publish(ctx, topic, events, done)
}

func (b *shell) publish(ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
	if b.isClosed() {
		refuse(events, leat.CodeClosed, done)
		return
	}
	if err := b.d.gate.wait(ctx, b.over); err != nil {
		code := leat.CodeOf(err)
		if code == leat.CodeClosed {
			code = leat.CodeUnknown
		}
		refuse(events, code, done)
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		refuse(events, leat.CodeClosed, done)
		return
	}
	b.mu.Unlock()
	stop := context.AfterFunc(b.ended, cancel)
	defer stop()
	b.Broker.Publish(ctx, topic, events, done)
}

func (b *shell) Declare(ctx context.Context, subs ...leat.Subscription) error {
	if b.isClosed() {
		return closedShell()
	}
	if err := b.d.gate.wait(ctx, b.over); err != nil {
		return err
	}
	if b.d.declare != nil {
		return b.d.declare(b, ctx, subs...)
	}
	return leat.Declare(ctx, b.Broker, subs...)
}

func (b *shell) Subscribe(ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
	if b.isClosed() {
		return nil, closedShell()
	}
	if err := b.d.gate.wait(ctx, b.over); err != nil {
		return nil, err
	}
	subscribe := (*shell).subscribe
	if b.d.subscribe != nil {
		subscribe = b.d.subscribe
	}
	s, err := subscribe(b, ctx, sub)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.streams = append(b.streams, s)
	return s, nil
}

func (b *shell) subscribe(ctx context.Context, sub leat.Subscription) (*shellStream, error) {
	inner, err := b.Broker.Subscribe(ctx, sub)
	if err != nil {
		return nil, err
	}
	return &shellStream{Stream: inner, b: b, sub: sub, held: map[delivered]*unsettled{}, leases: map[*leat.Lease]*leat.Lease{}}, nil
}

func (b *shell) Close() error {
	if b.d.close != nil {
		return b.d.close(b)
	}
	return b.close()
}

func (b *shell) close() error {
	b.mu.Lock()
	closed, streams := b.closed, b.streams
	b.closed = true
	b.mu.Unlock()
	if closed {
		return nil
	}
	b.end()
	for _, s := range streams {
		_ = s.Stream.Close(context.Background())
	}
	return nil
}

// delivered names a delivery by what the broker finds it by.
type delivered struct {
	handle any
	tag    uint64
}

// unsettled is a delivery that is not settled.
type unsettled struct {
	d     leat.Delivery // as the broker gave it
	since time.Time
	above int // settled ones that came later
	order int
}

// shellStream is a stream of a shell.
type shellStream struct {
	leat.Stream

	b   *shell
	sub leat.Subscription

	mu      sync.Mutex
	pending []func()           // settlements that wait for the end of a pause
	extra   []leat.Delivery    // to be received before what the broker has
	kick    context.CancelFunc // ends the wait for the broker, because there is extra
	held    map[delivered]*unsettled
	count   int
	leases  map[*leat.Lease]*leat.Lease // by the broker's
	note    int                         // for the defect's use
	batch   []leat.Delivery             // likewise
}

// Capabilities says that events survive a crash, as they do the one that the harness makes.
func (s *shellStream) Capabilities() leat.Capabilities {
	c := s.Stream.Capabilities()
	c.Durable = true
	return c
}

func (s *shellStream) Receive(ctx context.Context, into []leat.Delivery) (int, error) {
	for {
		receive := (*shellStream).receive
		if s.b.d.receive != nil {
			receive = s.b.d.receive
		}
		n, err := receive(s, ctx, into)
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// receive takes what was injected, or what the broker has. It may return nothing at all.
func (s *shellStream) receive(ctx context.Context, into []leat.Delivery) (int, error) {
	if err := s.b.d.gate.wait(ctx, s.b.over); err != nil {
		return 0, err
	}
	s.flush()
	s.mu.Lock()
	if n := copy(into, s.extra); n > 0 {
		s.extra = s.extra[n:]
		s.mu.Unlock()
		return n, nil
	}
	kicked, kick := context.WithCancel(ctx)
	defer kick()
	s.kick = kick
	s.mu.Unlock()
	n, err := s.Stream.Receive(kicked, into)
	if err != nil && ctx.Err() == nil && kicked.Err() != nil {
		return 0, nil
	}
	if waitErr := s.b.d.gate.wait(ctx, s.b.over); waitErr != nil {
		return 0, waitErr
	}
	for i := range n {
		s.hold(&into[i])
	}
	return n, err
}

func (s *shellStream) hold(d *leat.Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count++
	s.held[delivered{d.Handle, d.Tag}] = &unsettled{d: *d, since: time.Now(), order: s.count}
	if s.b.d.leases != nil {
		own := s.leases[d.Lease]
		if own == nil || own.Ended() {
			own = s.b.d.leases(s, d.Lease)
			s.leases[d.Lease] = own
		}
		d.Lease = own
	}
}

// inject lets Receive return d, which the broker knows nothing about, under a lease of its own.
func (s *shellStream) inject(d leat.Delivery) {
	d.Handle, d.Tag, d.Lease = nil, 0, leat.NewLease()
	s.deliver(d)
}

// deliver lets Receive return d.
func (s *shellStream) deliver(d leat.Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.extra = append(s.extra, d)
	if s.kick != nil {
		s.kick()
	}
}

func (s *shellStream) Settle(d *leat.Delivery, how leat.Settlement) {
	if s.b.d.settle != nil {
		s.b.d.settle(s, d, how)
		return
	}
	s.settle(d, how)
}

func (s *shellStream) settle(d *leat.Delivery, how leat.Settlement) {
	s.mu.Lock()
	key := delivered{d.Handle, d.Tag}
	if u := s.held[key]; u != nil {
		for _, other := range s.held {
			if other.order < u.order {
				other.above++
			}
		}
		delete(s.held, key)
	}
	s.mu.Unlock()
	if s.b.d.gate.paused() {
		own := *d
		s.mu.Lock()
		s.pending = append(s.pending, func() { s.Stream.Settle(&own, how) })
		s.mu.Unlock()
		return
	}
	s.flush()
	s.Stream.Settle(d, how)
}

// flush settles what waited for the end of a pause.
func (s *shellStream) flush() {
	s.mu.Lock()
	pending := s.pending
	s.pending = nil
	s.mu.Unlock()
	for _, settle := range pending {
		settle()
	}
}

// isHeld reports whether a delivery of the broker is not settled, and what it was.
func (s *shellStream) isHeld(d *leat.Delivery) (unsettled, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.held[delivered{d.Handle, d.Tag}]
	if u == nil {
		return unsettled{}, false
	}
	return *u, true
}

func (s *shellStream) Close(ctx context.Context) error {
	if s.b.d.closeStream != nil {
		return s.b.d.closeStream(s, ctx)
	}
	return s.close(ctx)
}

func (s *shellStream) close(ctx context.Context) error {
	if err := s.b.d.gate.wait(ctx, s.b.over); err != nil {
		_ = s.Stream.Close(ctx)
		return &leat.Error{Op: "close", Topic: s.sub.Topic, Code: leat.CodeUnavailable, Err: err}
	}
	s.flush()
	return s.Stream.Close(ctx)
}
