package eventtest_test

import (
	"cmp"
	"context"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat"
)

// settling is a mutant with another Settle.
func settling(name, rule string, others []string, f func(s leat.Stream, d *leat.Delivery, how leat.Settlement)) mutant {
	return mutant{name: name, rule: rule, others: others, wrap: bendStreams(func(_ leat.Subscription, s *bentStream) { s.settle = f })}
}

func settleMutants() []mutant {
	return []mutant{
		settling("loses an ack", "ack-ends", nil, func(s leat.Stream, d *leat.Delivery, how leat.Settlement) {
			if d.Event.ID() != "k-23" {
				s.Settle(d, how)
			}
		}),
		settling("forgets the acks of a key that is asked for", "handover-keeps-acks", nil,
			func(s leat.Stream, d *leat.Delivery, how leat.Settlement) {
				if how.Action != leat.Ack || !strings.HasPrefix(d.Event.ID(), "handed-") || !d.Lease.Draining() {
					s.Settle(d, how)
				}
			}),
		settling("acks what is given back", "give-back-redelivers",
			[]string{"transport-key", "malformed", "give-back-counts-once", "settle-again"},
			func(s leat.Stream, d *leat.Delivery, how leat.Settlement) {
				if d.Event.Key() == "" && d.Key == "" && how.Delay == 0 {
					how.Action = leat.Ack
				}
				s.Settle(d, how)
			}),
		settling("acks what is given back in a crowd", "concurrent-use", nil, func(s leat.Stream, d *leat.Delivery, how leat.Settlement) {
			if strings.HasPrefix(d.Event.ID(), "publisher-") {
				how.Action = leat.Ack
			}
			s.Settle(d, how)
		}),
		settling("ignores the delay", "give-back-delay", nil, func(s leat.Stream, d *leat.Delivery, how leat.Settlement) {
			how.Delay = 0
			s.Settle(d, how)
		}),
		{name: "drops at Close what waits for its delay", rule: "close-ends-delays", wrap: dropsDelayed()},
		settling("rejects although it cannot", "native-reject-undeclared", nil, func(s leat.Stream, d *leat.Delivery, how leat.Settlement) {
			if how.Action == leat.NativeReject {
				how.Action = leat.Ack
			}
			s.Settle(d, how)
		}),
		{
			name: "puts what is given back behind later events", rule: "give-back-order",
			others: []string{
				"deliveries-counted", "give-back-awaits-older", "transport-key", "transport-key-give-back", "malformed", "trace-context",
				"give-back-counts-once", "quiesce-settles", "settle-again",
			},
			wrap: bend(func(b *bent) {
				b.stream = func(sub leat.Subscription, inner leat.Stream) leat.Stream {
					return &bentStream{Stream: inner, settle: func(s leat.Stream, d *leat.Delivery, how leat.Settlement) {
						if how.Action == leat.GiveBack && how.Delay == 0 && !d.Lease.Ended() {
							ack(s, d)
							b.Broker.Publish(context.Background(), sub.Topic, []leat.Event{d.Event}, func(int, error) {})
							return
						}
						s.Settle(d, how)
					}}
				}
			}),
		},
		returnsAtOnce("delivers again before older ones are settled", "give-back-awaits-older",
			[]string{"malformed", "deliveries-counted", "settle-again"},
			func(d *leat.Delivery) bool { return d.Event.Key() != "" }),
		returnsAtOnce("keeps no order by the transport's key when it delivers again", "transport-key-give-back", nil,
			func(d *leat.Delivery) bool { return d.Key != "" }),
		storesOnePosition(),
		staleMutant("a settlement under a lost lease counts", "settle-after-loss", false),
		staleMutant("a settlement after Close counts", "settle-after-close", true),
		{
			name: "forgets what is unsettled on Close", rule: "close-gives-back",
			others: []string{"native-reject-undeclared", "settle-after-close", "settle-after-loss"},
			wrap: bendStreams(func(_ leat.Subscription, s *bentStream) {
				var held sync.Map
				s.receive = edit(func(_ leat.Stream, d *leat.Delivery) bool {
					c := *d
					if strings.HasPrefix(d.Event.ID(), "k-") {
						held.Store(d.Event.ID(), &c)
					}
					return true
				})
				s.close = func(s leat.Stream, _ bool) error {
					held.Range(func(_, v any) bool {
						ack(s, v.(*leat.Delivery))
						return true
					})
					return s.Close(context.Background())
				}
			}),
		},
	}
}

// storesOnePosition acks an event only when all that were delivered before it are acked, and
// forgets the other acks on Close.
func storesOnePosition() mutant {
	return mutant{
		name: "stores one position and nothing above it", rule: "ack-above-unsettled",
		wrap: bendStreams(func(_ leat.Subscription, s *bentStream) {
			var mu sync.Mutex
			var order []leat.Delivery
			var done set
			s.receive = edit(func(_ leat.Stream, d *leat.Delivery) bool {
				if strings.HasPrefix(d.Event.ID(), "above") {
					mu.Lock()
					defer mu.Unlock()
					order = append(order, *d)
				}
				return true
			})
			s.settle = func(s leat.Stream, d *leat.Delivery, how leat.Settlement) {
				if !strings.HasPrefix(d.Event.ID(), "above") {
					s.Settle(d, how)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				done.add(d.Event.ID())
				for len(order) > 0 && done.has(order[0].Event.ID()) {
					ack(s, &order[0])
					order = order[1:]
				}
			}
		}),
	}
}

// returnsAtOnce delivers what is given back as soon as Receive is called, in order, whatever else
// of its key the stream holds.
func returnsAtOnce(name, rule string, others []string, which func(d *leat.Delivery) bool) mutant {
	return mutant{
		name: name, rule: rule, others: others,
		wrap: bendStreams(func(_ leat.Subscription, s *bentStream) {
			var mu sync.Mutex
			var back []leat.Delivery // by position; the broker behind still counts them as delivered
			s.settle = func(s leat.Stream, d *leat.Delivery, how leat.Settlement) {
				if how.Action != leat.GiveBack || how.Delay > 0 || !which(d) || d.Lease.Ended() {
					s.Settle(d, how)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				again := *d
				at, _ := slices.BinarySearchFunc(back, again, func(a, b leat.Delivery) int {
					return cmp.Compare(a.Position.Offset, b.Position.Offset)
				})
				back = slices.Insert(back, at, again)
			}
			s.receive = func(s leat.Stream, ctx context.Context, into []leat.Delivery) (int, error) {
				mu.Lock()
				back = slices.DeleteFunc(back, func(d leat.Delivery) bool { return d.Lease.Ended() })
				if n := copy(into, back); n > 0 {
					back = slices.Clone(back[n:])
					mu.Unlock()
					return n, nil
				}
				mu.Unlock()
				return s.Receive(ctx, into)
			}
		}),
	}
}

// staleMutant lets an Ack count although the delivery's lease has ended, by Close or not.
func staleMutant(name, rule string, byClose bool) mutant {
	return mutant{name: name, rule: rule, wrap: bend(func(b *bent) {
		var stale set
		b.stream = func(sub leat.Subscription, inner leat.Stream) leat.Stream {
			s := &bentStream{Stream: inner}
			s.settle = func(inner leat.Stream, d *leat.Delivery, how leat.Settlement) {
				if strings.HasPrefix(d.Event.ID(), "k-") && how.Action == leat.Ack && d.Lease.Ended() && s.closed.Load() == byClose {
					stale.add(sub.Topic + d.Event.ID())
				}
				inner.Settle(d, how)
			}
			s.receive = edit(func(inner leat.Stream, d *leat.Delivery) bool {
				if !stale.has(sub.Topic + d.Event.ID()) {
					return true
				}
				ack(inner, d)
				return false
			})
			return s
		}
	})}
}

// leasing is a mutant that hands out leases of its own; follow ties each to that of its first
// delivery.
func leasing(name, rule string, others []string, follow func(d *leat.Delivery, outer *leat.Lease)) mutant {
	return mutant{name: name, rule: rule, others: others, wrap: bendStreams(func(_ leat.Subscription, s *bentStream) {
		leases := map[*leat.Lease]*leat.Lease{} // Receive is called by one goroutine at a time
		s.receive = edit(func(_ leat.Stream, d *leat.Delivery) bool {
			outer := leases[d.Lease]
			if outer == nil {
				outer = leat.NewLease()
				leases[d.Lease] = outer
				follow(d, outer)
			}
			d.Lease = outer
			return true
		})
	})}
}

func leaseMutants() []mutant {
	return []mutant{
		leasing("never ends a lost lease of unkeyed events", "lost-lease-ends", []string{"isolated-lease-ends", "held-comes-once"},
			func(d *leat.Delivery, outer *leat.Lease) {
				key := d.Event.Key()
				d.Lease.Attach(outer.Drain, func(cause error) {
					if cause == nil || key != "" {
						outer.End(cause)
					}
				})
			}),
		leasing("says on Close that the lease was lost", "close-ends-leases", nil, func(d *leat.Delivery, outer *leat.Lease) {
			d.Lease.Attach(outer.Drain, func(error) { outer.End(failed(leat.CodeLeaseLost)) })
		}),
		leasing("moves a key without waiting for its holder", "drain-awaits-release",
			[]string{"key-exclusion", "lease-ends-first", "handover-keeps-acks"},
			func(d *leat.Delivery, outer *leat.Lease) {
				var draining atomic.Bool
				d.Lease.Attach(func(release func()) {
					draining.Store(true)
					outer.Drain(func() { outer.End(nil) })
					release()
				}, func(cause error) {
					if !draining.Load() {
						outer.End(cause)
					}
				})
			}),
		handsOnBeforeLeaseEnds(),
		closesBeforeLeasesEnd(),
		{
			name: "claims order by key and ignores it", rule: "key-exclusion",
			others: []string{
				"drain-awaits-release", "order-of-a-key", "give-back-order", "give-back-awaits-older", "transport-key-give-back",
				"handover-keeps-acks", "quiesce-settles", "order-after-crash",
			},
			wrap: bend(func(b *bent) {
				b.declare = func(b leat.Broker, ctx context.Context, subs []leat.Subscription) error {
					subs = slices.Clone(subs)
					for i := range subs {
						subs[i].Unordered = true
					}
					return leat.Declare(ctx, b, subs...)
				}
				b.subscribe = func(b leat.Broker, ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
					sub.Unordered = true
					return b.Subscribe(ctx, sub)
				}
				b.stream = func(_ leat.Subscription, inner leat.Stream) leat.Stream {
					return &bentStream{Stream: inner, capabilities: func(c leat.Capabilities, _ bool) leat.Capabilities {
						c.Order = leat.OrderPerGroup
						return c
					}}
				}
			}),
		},
	}
}

// handsOnBeforeLeaseEnds ends a lease that was drained when its keys are with another stream.
func handsOnBeforeLeaseEnds() mutant {
	others := []string{"drain-awaits-release", "key-exclusion"}
	return leasing("hands a key on, then ends its lease", "lease-ends-first", others, func(d *leat.Delivery, outer *leat.Lease) {
		var draining atomic.Bool
		d.Lease.Attach(func(release func()) {
			draining.Store(true)
			outer.Drain(func() {
				release()
				time.AfterFunc(5*time.Millisecond, func() { outer.End(nil) })
			})
		}, func(cause error) {
			if !draining.Load() {
				outer.End(cause)
			}
		})
	})
}

// closesBeforeLeasesEnd ends the leases of a stream when what it held is with the others.
func closesBeforeLeasesEnd() mutant {
	return mutant{name: "closes, then ends its leases", rule: "lease-ends-first", wrap: bendStreams(func(_ leat.Subscription, s *bentStream) {
		var mu sync.Mutex
		leases := map[*leat.Lease]*leat.Lease{}
		s.receive = edit(func(_ leat.Stream, d *leat.Delivery) bool {
			mu.Lock()
			defer mu.Unlock()
			outer := leases[d.Lease]
			if outer == nil {
				outer = leat.NewLease()
				leases[d.Lease] = outer
				d.Lease.Attach(outer.Drain, func(cause error) {
					if !s.closed.Load() {
						outer.End(cause)
					}
				})
			}
			d.Lease = outer
			return true
		})
		s.close = func(inner leat.Stream, _ bool) error {
			err := inner.Close(context.Background())
			mu.Lock()
			defer mu.Unlock()
			for _, outer := range leases {
				outer.End(nil)
			}
			return err
		}
	})}
}

func closeMutants() []mutant {
	var waited atomic.Bool // once is enough to be noticed
	return append(descriptorMutants(), []mutant{
		{
			name: "Close returns and one Receive waits on", rule: "stream-close",
			wrap: bendStreams(func(_ leat.Subscription, s *bentStream) {
				s.receive = func(inner leat.Stream, ctx context.Context, into []leat.Delivery) (int, error) {
					began := time.Now()
					n, err := inner.Receive(ctx, into)
					if leat.CodeOf(err) == leat.CodeClosed && time.Since(began) > time.Millisecond && !waited.Swap(true) {
						<-ctx.Done()
						err = ctx.Err()
					}
					return n, err
				}
			}),
		},
		{
			name: "closing a stream twice is an error", rule: "stream-close",
			wrap: bendStreams(func(_ leat.Subscription, s *bentStream) {
				s.close = func(s leat.Stream, closed bool) error {
					if closed {
						return failed(leat.CodeClosed)
					}
					return s.Close(context.Background())
				}
			}),
		},
		{
			name: "closing the broker twice is an error", rule: "broker-close",
			wrap: bend(func(b *bent) {
				b.close = func(b leat.Broker, closed bool) error {
					if closed {
						return failed(leat.CodeClosed)
					}
					return b.Close()
				}
			}),
		},
		{
			name: "panics when it is declared after Close", rule: "use-after-close",
			wrap: bend(func(b *bent) {
				b.declare = func(inner leat.Broker, ctx context.Context, subs []leat.Subscription) error {
					if b.closed.Load() {
						panic("declared after Close")
					}
					return leat.Declare(ctx, inner, subs...)
				}
			}),
		},
		{
			name: "subscribes after Close", rule: "use-after-close", others: []string{"errors-have-codes"},
			wrap: bend(func(b *bent) {
				b.subscribe = func(inner leat.Broker, ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
					s, err := inner.Subscribe(ctx, sub)
					if leat.CodeOf(err) == leat.CodeClosed {
						return deadStream{}, nil
					}
					return s, err
				}
			}),
		},
		publishing("confirms after Close", "publish-after-close", []string{"use-after-close", "errors-have-codes"},
			func(b leat.Broker, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
				b.Publish(ctx, topic, events, func(i int, err error) {
					if leat.CodeOf(err) == leat.CodeClosed && strings.HasPrefix(events[i].ID(), "after") {
						err = nil
					}
					done(i, err)
				})
			}),
		publishing("never answers a publish that Close interrupts", "close-while-publishing", nil,
			func(b leat.Broker, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
				// It is so slow with the first event of each publisher that Close comes before the
				// answer, which is then forgotten.
				if e := events[0]; !strings.HasPrefix(e.Key(), "publisher-") || e.ID() != e.Key()+"-0" {
					b.Publish(ctx, topic, events, done)
				}
			}),
		{
			name: "leaks a goroutine with each stream", rule: "nothing-leaks",
			wrap: bendStreams(func(leat.Subscription, *bentStream) {
				go func() { <-time.After(20 * time.Second) }()
			}),
		},
	}...)
}

// descriptorMutants is empty where the system does not tell how many descriptors are open.
func descriptorMutants() []mutant {
	if _, err := os.ReadDir("/proc/self/fd"); err != nil {
		return nil
	}
	var leaked []*os.File // kept, so that no finalizer closes them
	return []mutant{{
		name: "leaks a descriptor with each instance", rule: "nothing-leaks",
		wrap: bend(func(b *bent) {
			if f, err := os.Open(os.DevNull); err == nil {
				leaked = append(leaked, f)
			}
			b.close = func(b leat.Broker, _ bool) error {
				runtime.KeepAlive(leaked)
				return b.Close()
			}
		}),
	}}
}

// deadStream is a stream that does nothing.
type deadStream struct{ leat.Stream }

func (deadStream) Close(context.Context) error { return nil }

// dropsDelayed keeps what is given back with a delay in the stream's own memory, and forgets it at
// Close.
func dropsDelayed() func(leat.Broker) leat.Broker {
	return bendStreams(func(_ leat.Subscription, s *bentStream) {
		var mu sync.Mutex
		waiting := map[*time.Timer]leat.Delivery{}
		s.settle = func(s leat.Stream, d *leat.Delivery, how leat.Settlement) {
			if how.Action != leat.GiveBack || how.Delay == 0 {
				s.Settle(d, how)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			var timer *time.Timer
			timer = time.AfterFunc(how.Delay, func() {
				mu.Lock()
				defer mu.Unlock()
				if kept, ok := waiting[timer]; ok {
					delete(waiting, timer)
					s.Settle(&kept, leat.Settlement{Action: leat.GiveBack})
				}
			})
			waiting[timer] = *d
		}
		s.close = func(s leat.Stream, _ bool) error {
			mu.Lock()
			for timer, d := range waiting {
				timer.Stop()
				ack(s, &d)
			}
			clear(waiting)
			mu.Unlock()
			return s.Close(context.Background())
		}
	})
}
