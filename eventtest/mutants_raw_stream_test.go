package eventtest_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat"
)

func subscribeMutants() []mutant {
	var streams, declared, broadcasts set
	return []mutant{
		{
			name: "loses what is published before the first Receive", rule: "subscribe-before-receive",
			wrap: bendStreams(func(_ leat.Subscription, s *bentStream) {
				s.receive = edit(func(s leat.Stream, d *leat.Delivery) bool {
					if strings.HasPrefix(d.Event.ID(), "early") {
						ack(s, d)
						return false
					}
					return true
				})
			}),
		},
		{
			name: "says internal where a group is unknown", rule: "unknown-group",
			wrap: bend(func(b *bent) {
				b.subscribe = func(b leat.Broker, ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
					s, err := b.Subscribe(ctx, sub)
					if leat.CodeOf(err) == leat.CodeNotFound {
						err = failed(leat.CodeInternal)
					}
					return s, err
				}
			}),
		},
		{
			name: "silently gives up order", rule: "unheld-subscription",
			wrap: bendStreams(func(_ leat.Subscription, s *bentStream) {
				s.capabilities = func(c leat.Capabilities, _ bool) leat.Capabilities {
					c.Order = leat.OrderNone
					return c
				}
			}),
		},
		{
			name: "a second stream gets a copy of everything", rule: "group-shares",
			others: []string{
				"drain-awaits-release", "lease-ends-first", "key-exclusion", "concurrent-use", "close-gives-back", "close-hands-over",
				"handover-keeps-acks", "quiesce-settles", "isolated-lease-ends-first",
			},
			wrap: bend(func(b *bent) {
				b.subscribe = func(b leat.Broker, ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
					if name := sub.Topic + " " + sub.Group; !streams.add(name) && !sub.Broadcast {
						defer streams.Delete(name)
						sub.Group += "-copy"
						if err := leat.Declare(ctx, b, sub); err != nil {
							return nil, err
						}
					}
					return b.Subscribe(ctx, sub)
				}
				b.stream = func(sub leat.Subscription, inner leat.Stream) leat.Stream {
					return &bentStream{Stream: inner, close: func(s leat.Stream, _ bool) error {
						streams.Delete(sub.Topic + " " + sub.Group)
						return s.Close(context.Background())
					}}
				}
			}),
		},
		{
			name: "the second group gets nothing", rule: "every-group",
			wrap: bendStreams(func(sub leat.Subscription, s *bentStream) {
				if sub.Group == "b" {
					s.receive = edit(func(_ leat.Stream, d *leat.Delivery) bool { return !strings.HasPrefix(d.Event.ID(), "both") })
				}
			}),
		},
		{
			name: "broadcast streams share", rule: "broadcast",
			wrap: bend(func(b *bent) {
				b.subscribe = func(b leat.Broker, ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
					if !sub.Broadcast {
						return b.Subscribe(ctx, sub)
					}
					sub.Broadcast, sub.Group = false, "everyone"
					if err := leat.Declare(ctx, b, sub); err != nil {
						return nil, err
					}
					return b.Subscribe(ctx, sub)
				}
				b.stream = func(sub leat.Subscription, inner leat.Stream) leat.Stream {
					return &bentStream{Stream: inner, capabilities: func(c leat.Capabilities, _ bool) leat.Capabilities {
						c.Broadcast = sub.Broadcast
						return c
					}}
				}
			}),
		},
		{
			name: "a new group has no history", rule: "history",
			wrap: bendStreams(func(sub leat.Subscription, s *bentStream) {
				if sub.Group == "later" {
					s.receive = edit(func(_ leat.Stream, d *leat.Delivery) bool { return d.Event.ID() == "last" })
				}
			}),
		},
		{
			name: "refuses to declare what exists", rule: "declare-again",
			others: []string{"nothing-leaks", "use-after-close", "declare-broadcast", "declare-unheld"},
			wrap: bend(func(b *bent) {
				b.declare = func(b leat.Broker, ctx context.Context, subs []leat.Subscription) error {
					for _, sub := range subs {
						if !declared.add(sub.Topic + " " + sub.Group) {
							return failed(leat.CodeConflict)
						}
					}
					return leat.Declare(ctx, b, subs...)
				}
			}),
		},
		{
			name: "refuses to declare a broadcast twice", rule: "declare-broadcast",
			wrap: bend(func(b *bent) {
				b.declare = func(b leat.Broker, ctx context.Context, subs []leat.Subscription) error {
					for _, sub := range subs {
						if sub.Broadcast && !broadcasts.add(sub.Topic) {
							return failed(leat.CodeConflict)
						}
					}
					return leat.Declare(ctx, b, subs...)
				}
			}),
		},
		{
			name: "refuses to declare a topic alone", rule: "declare-topic",
			wrap: bend(func(b *bent) {
				b.declare = func(b leat.Broker, ctx context.Context, subs []leat.Subscription) error {
					for _, sub := range subs {
						if err := sub.Validate(); err != nil {
							return err
						}
					}
					return leat.Declare(ctx, b, subs...)
				}
			}),
		},
		{
			name: "declares what cannot be held", rule: "declare-unheld",
			wrap: bend(func(b *bent) {
				b.declare = func(b leat.Broker, ctx context.Context, subs []leat.Subscription) error {
					err := leat.Declare(ctx, b, subs...)
					if leat.CodeOf(err) == leat.CodeUnsupported {
						return nil
					}
					return err
				}
			}),
		},
		{
			name: "exceeds MaxInFlight", rule: "max-in-flight", others: []string{"reconnect-one-path"},
			wrap: bend(func(b *bent) {
				b.subscribe = func(b leat.Broker, ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
					sub.MaxInFlight *= 2
					return b.Subscribe(ctx, sub)
				}
			}),
		},
		{
			name: "ignores MaxInFlightBytes", rule: "max-in-flight-bytes",
			wrap: bend(func(b *bent) {
				b.subscribe = func(b leat.Broker, ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
					sub.MaxInFlightBytes = 1 << 30
					return b.Subscribe(ctx, sub)
				}
			}),
		},
		{
			name: "an error without a code", rule: "errors-have-codes",
			others: []string{"unknown-group", "unheld-subscription", "use-after-close", "declare-unheld"},
			wrap: bend(func(b *bent) {
				b.subscribe = func(b leat.Broker, ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
					s, err := b.Subscribe(ctx, sub)
					if err != nil {
						err = errors.New("no code")
					}
					return s, err
				}
			}),
		},
	}
}

func receiveMutants() []mutant {
	return []mutant{
		{
			name: "returns nothing and no error", rule: "receive-fills",
			others: []string{"stream-close", "broker-close", "use-after-close", "errors-have-codes"},
			wrap: bendStreams(func(_ leat.Subscription, s *bentStream) {
				var first atomic.Bool
				s.receive = func(s leat.Stream, ctx context.Context, into []leat.Delivery) (int, error) {
					if !first.Swap(true) {
						return 0, nil
					}
					return s.Receive(ctx, into)
				}
			}),
		},
		{
			name: "drops what came when ctx ended", rule: "receive-canceled",
			wrap: bendStreams(func(_ leat.Subscription, s *bentStream) {
				s.receive = func(s leat.Stream, ctx context.Context, into []leat.Delivery) (int, error) {
					if ctx.Err() == nil {
						return s.Receive(ctx, into)
					}
					late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Millisecond)
					defer cancel()
					n, err := s.Receive(late, into)
					for i := range n {
						if strings.HasPrefix(into[i].Event.ID(), "canceled-") {
							ack(s, &into[i])
						} else {
							s.Settle(&into[i], leat.Settlement{Action: leat.GiveBack})
						}
					}
					if n > 0 {
						err = ctx.Err()
					}
					return 0, err
				}
			}),
		},
		{
			name: "keeps pointers to the caller's deliveries", rule: "into-reused",
			wrap: bendStreams(func(_ leat.Subscription, s *bentStream) {
				type key struct {
					handle any
					tag    uint64
				}
				var kept sync.Map
				s.receive = edit(func(_ leat.Stream, d *leat.Delivery) bool {
					kept.Store(key{d.Handle, d.Tag}, d)
					return true
				})
				s.settle = func(s leat.Stream, d *leat.Delivery, how leat.Settlement) {
					if v, ok := kept.Load(key{d.Handle, d.Tag}); ok {
						s.Settle(v.(*leat.Delivery), how)
					}
				}
			}),
		},
		{
			name: "leaves Delivery.Key empty", rule: "transport-key", others: []string{"transport-key-give-back"},
			wrap: bendStreams(func(_ leat.Subscription, s *bentStream) {
				s.receive = edit(func(_ leat.Stream, d *leat.Delivery) bool {
					d.Key = ""
					return true
				})
			}),
		},
		{
			name: "makes the transport's key the event's", rule: "transport-key", others: []string{"transport-key-give-back"},
			wrap: bendStreams(func(_ leat.Subscription, s *bentStream) {
				s.receive = edit(func(_ leat.Stream, d *leat.Delivery) bool {
					if d.Key != "" {
						d.Event, d.Key = d.Event.WithKey(d.Key), ""
					}
					return true
				})
			}),
		},
		{
			name: "a malformed message ends the stream", rule: "malformed", others: []string{"trace-context-foreign"},
			wrap: bendStreams(func(_ leat.Subscription, s *bentStream) {
				s.receive = func(s leat.Stream, ctx context.Context, into []leat.Delivery) (int, error) {
					n, err := s.Receive(ctx, into)
					if slices.ContainsFunc(into[:n], func(d leat.Delivery) bool { return d.Malformed != nil }) {
						return 0, failed(leat.CodeInvalid)
					}
					return n, err
				}
			}),
		},
		{
			name: "alters malformed bytes", rule: "malformed",
			wrap: bendStreams(func(_ leat.Subscription, s *bentStream) {
				s.receive = edit(func(_ leat.Stream, d *leat.Delivery) bool {
					if d.Malformed != nil {
						m := *d.Malformed
						m.Body = []byte(strings.ToValidUTF8(string(m.Body), "?"))
						d.Malformed = &m
					}
					return true
				})
			}),
		},
		{
			name: "always says that it delivers for the first time", rule: "deliveries-counted", others: []string{"give-back-counts-once"},
			wrap: bendStreams(func(_ leat.Subscription, s *bentStream) {
				s.receive = edit(func(_ leat.Stream, d *leat.Delivery) bool {
					d.Deliveries = 1
					return true
				})
			}),
		},
		{
			name: "counts the deliveries of each stream", rule: "deliveries-counted", others: []string{"give-back-counts-once"},
			wrap: bendStreams(func(_ leat.Subscription, s *bentStream) {
				counts := map[string]int{}
				s.receive = edit(func(_ leat.Stream, d *leat.Delivery) bool {
					counts[d.Event.ID()]++
					d.Deliveries = counts[d.Event.ID()]
					return true
				})
			}),
		},
		{
			name: "capabilities that change", rule: "capabilities-constant",
			wrap: bendStreams(func(_ leat.Subscription, s *bentStream) {
				s.capabilities = func(c leat.Capabilities, closed bool) leat.Capabilities {
					c.History = c.History && !closed
					return c
				}
			}),
		},
		{
			name: "limits that change", rule: "limits-constant",
			wrap: bend(func(b *bent) {
				b.limits = func(b leat.Broker, closed bool) leat.Limits {
					if closed {
						return leat.Limits{}
					}
					return b.Limits()
				}
			}),
		},
	}
}
