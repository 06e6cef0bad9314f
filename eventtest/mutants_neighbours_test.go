package eventtest_test

import (
	"context"
	"strings"
	"sync"

	"github.com/leatgo/leat"
)

// neighbourMutants let what is refused take others with it.
func neighbourMutants() []mutant {
	const rule = "unknown-topic-neighbours"
	return []mutant{
		{
			name: "does not know what became of those behind the first to an unknown topic", rule: rule,
			wrap: strangers(func(_ leat.Broker, _ context.Context, _ string, events []leat.Event, done func(int, error)) {
				for i := range events {
					if i == 0 {
						done(i, failed(leat.CodeNotFound))
					} else {
						done(i, failed(leat.CodeUnknown))
					}
				}
			}, nil),
		},
		{
			name: "loses what is under way with an event to an unknown topic", rule: rule,
			wrap: strangers(nil, func(_ leat.Broker, _ context.Context, _ string, events []leat.Event, done func(int, error)) {
				for i := range events {
					done(i, failed(leat.CodeUnknown))
				}
			}),
		},
	}
}

type publishFunc = func(b leat.Broker, ctx context.Context, topic string, events []leat.Event, done func(i int, err error))

// strangers publishes the events of the case to a topic that nobody declared with one function, and
// those to another topic with the other. A nil function is the broker's own.
func strangers(unknown, neighbours publishFunc) func(leat.Broker) leat.Broker {
	var declared sync.Map
	return bend(func(b *bent) {
		b.declare = func(inner leat.Broker, ctx context.Context, subs []leat.Subscription) error {
			for _, sub := range subs {
				declared.Store(sub.Topic, true)
			}
			return leat.Declare(ctx, inner, subs...)
		}
		b.publish = func(inner leat.Broker, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
			f := neighbours
			if _, known := declared.Load(topic); !known {
				f = unknown
			}
			if f == nil || !isNeighbour(events) {
				inner.Publish(ctx, topic, events, done)
				return
			}
			f(inner, ctx, topic, events, done)
		}
	})
}

// isNeighbour finds the events of the case.
func isNeighbour(events []leat.Event) bool {
	return len(events) > 0 && (strings.HasPrefix(events[0].ID(), "stranger-") || strings.HasPrefix(events[0].ID(), "neighbour-"))
}
