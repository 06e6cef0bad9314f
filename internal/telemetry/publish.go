package telemetry

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat"
)

// mostTopics bounds the topics that publishes are counted of.
const mostTopics = 1_000

// sentKey is what sent events are counted by.
type sentKey struct{ topic, err string }

// sent is one count, and its series of OperationDuration.
type sent struct {
	events atomic.Int64
	took   Series
}

// sentCounts are the counts of events that were published.
type sentCounts struct {
	counts Cache[sentKey, *sent]
	topics First[string]
}

func (s *sentCounts) init(c *Core) {
	s.topics = FirstTexts(mostTopics)
	s.counts.Bound = func(k sentKey) sentKey { return sentKey{s.topics.Of(k.topic), k.err} }
	s.counts.Make = func(k sentKey) *sent {
		return &sent{took: c.series(OperationDuration, Labels{c.system, Bounded(k.topic), "send", "send", k.err})}
	}
}

// Sent counts an event that was published to topic at began, with its outcome; see [OutcomeOf].
func (c *Core) Sent(ctx context.Context, topic string, began time.Time, outcome string) {
	n := c.sent.counts.Of(sentKey{topic, outcome})
	n.events.Add(1)
	n.took(ctx, time.Since(began).Seconds())
}

// Publish counts and times publishes.
func (c *Core) Publish(next leat.PublishFunc) leat.PublishFunc {
	return func(ctx context.Context, topic string, events []leat.Event, done func(i int, err error)) {
		began := time.Now()
		next(ctx, topic, events, func(i int, err error) {
			c.Sent(ctx, topic, began, OutcomeOf(err))
			done(i, err)
		})
	}
}
