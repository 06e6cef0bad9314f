package eventtest_test

import (
	"sync/atomic"

	"github.com/leatgo/leat"
)

// healthMutants break what H1 says of the parts of an adapter.
func healthMutants() []mutant {
	return []mutant{
		{
			name: "the broker repeats what is wrong with its streams", rule: "health-apart", others: []string{"health-shows-outage"},
			wrap: bend(func(b *bent) {
				var subscribed atomic.Value // the topic of the stream that was opened last
				b.stream = func(sub leat.Subscription, s leat.Stream) leat.Stream {
					subscribed.Store(sub.Topic)
					return s
				}
				b.health = func(b leat.Broker) error {
					if err := b.(leat.HealthReporter).Health(); err != nil {
						return err
					}
					if topic, ok := subscribed.Load().(string); ok {
						return &leat.Error{Op: "health", Topic: topic, Code: leat.CodeUnavailable}
					}
					return nil
				}
			}),
		},
		{
			name: "a stream tells what is wrong with another", rule: "health-apart", others: []string{"health-shows-outage"},
			wrap: bend(func(b *bent) {
				var first atomic.Value // the topic of the stream that was opened first
				b.stream = func(sub leat.Subscription, s leat.Stream) leat.Stream {
					first.CompareAndSwap(nil, sub.Topic)
					return gossip{s, &first}
				}
			}),
		},
	}
}

// gossip is a stream that reports that of a topic as ill.
type gossip struct {
	leat.Stream

	topic *atomic.Value
}

func (g gossip) Health() error {
	topic, _ := g.topic.Load().(string)
	return &leat.Error{Op: "health", Topic: topic, Code: leat.CodeUnavailable}
}
