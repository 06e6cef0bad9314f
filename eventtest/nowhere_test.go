package eventtest_test

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/eventtest"
)

// The broker in memory is always there, so that only mutants, which stand for any adapter, can be
// opened where nobody listens.
var _ eventtest.Stray = mutantHarness{}

func (h mutantHarness) OpenNowhere(context.Context) (leat.Broker, error) {
	return h.wrap(&nowhere{Broker: memory.New(nil)}), nil
}

// nowhere is an adapter that accepts events and has no connection.
type nowhere struct {
	*memory.Broker

	mu   sync.Mutex
	held []heldEvent
}

type heldEvent struct {
	topic string
	event leat.Event
	index int
	done  func(i int, err error)
}

func (b *nowhere) Publish(_ context.Context, topic string, events []leat.Event, done func(i int, err error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, e := range events {
		b.held = append(b.held, heldEvent{topic, e, i, done})
	}
}

func (b *nowhere) Withdraw(ctx context.Context, topic string, events []leat.Event) {
	ids := map[string]bool{}
	for _, e := range events {
		ids[e.Source()+" "+e.ID()] = true
	}
	b.refuse(&leat.Error{Op: "publish", Topic: topic, Code: leat.CodeUnavailable, Err: context.Cause(ctx)}, func(h heldEvent) bool {
		return h.topic == topic && ids[h.event.Source()+" "+h.event.ID()]
	})
}

func (b *nowhere) refuse(err error, which func(h heldEvent) bool) {
	b.mu.Lock()
	var left, refused []heldEvent
	for _, h := range b.held {
		if which(h) {
			refused = append(refused, h)
		} else {
			left = append(left, h)
		}
	}
	b.held = left
	b.mu.Unlock()
	for _, h := range refused {
		h.done(h.index, err)
	}
}

func (b *nowhere) Close() error {
	err := &leat.Error{Op: "publish", Code: leat.CodeClosed, Err: errors.New("closed")}
	b.refuse(err, func(heldEvent) bool { return true })
	return b.Broker.Close()
}

func strayMutants() []mutant {
	return []mutant{
		{
			name: "refuses at once what it cannot send yet", rule: "nobody-listens",
			wrap: bend(func(b *bent) {
				b.publish = func(b leat.Broker, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
					b.Publish(ctx, topic, events, done)
					if n, ok := b.(*nowhere); ok {
						n.refuse(failed(leat.CodeUnavailable), func(heldEvent) bool { return true })
					}
				}
			}),
		},
		{
			name: "withdraws nothing", rule: "nobody-listens",
			wrap: bend(func(b *bent) { b.withdraw = func(leat.Broker, context.Context, string, []leat.Event) {} }),
		},
		{
			name: "withdraws what others publish", rule: "nobody-listens",
			wrap: bend(func(b *bent) {
				b.withdraw = func(b leat.Broker, _ context.Context, _ string, _ []leat.Event) {
					if n, ok := b.(*nowhere); ok {
						n.refuse(failed(leat.CodeCanceled), func(heldEvent) bool { return true })
					}
				}
			}),
		},
		{
			name: "finds what it is to withdraw by all that an event has", rule: "nobody-listens",
			wrap: bend(func(b *bent) {
				b.withdraw = func(b leat.Broker, _ context.Context, _ string, events []leat.Event) {
					if n, ok := b.(*nowhere); ok {
						n.refuse(failed(leat.CodeUnavailable), func(h heldEvent) bool { return slices.ContainsFunc(events, h.event.Equal) })
					}
				}
			}),
		},
		{
			name: "does not say which ctx has ended where it withdraws", rule: "nobody-listens",
			wrap: bend(func(b *bent) {
				b.withdraw = func(b leat.Broker, _ context.Context, _ string, events []leat.Event) {
					if n, ok := b.(*nowhere); ok {
						n.refuse(failed(leat.CodeUnavailable), func(h heldEvent) bool {
							return slices.ContainsFunc(events, func(e leat.Event) bool { return e.ID() == h.event.ID() })
						})
					}
				}
			}),
		},
		{
			name: "calls what nobody was sent unknown when it closes", rule: "nobody-listens",
			wrap: bend(func(b *bent) {
				b.close = func(b leat.Broker, _ bool) error {
					if n, ok := b.(*nowhere); ok {
						n.refuse(failed(leat.CodeUnknown), func(heldEvent) bool { return true })
					}
					return b.Close()
				}
			}),
		},
	}
}
