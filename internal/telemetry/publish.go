package telemetry

import (
	"context"
	"strings"
	"sync"
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
	mu     sync.RWMutex
	counts map[sentKey]*sent
	topics map[string]bool
}

// of returns the count of a topic and an outcome.
func (s *sentCounts) of(c *Core, topic, errType string) *sent {
	k := sentKey{topic, errType}
	s.mu.RLock()
	n := s.counts[k]
	s.mu.RUnlock()
	if n != nil {
		return n
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts == nil {
		s.counts, s.topics = map[sentKey]*sent{}, map[string]bool{}
	}
	if !s.topics[topic] && len(s.topics) >= mostTopics {
		k.topic = Other
	}
	if n = s.counts[k]; n == nil {
		k.topic = strings.Clone(k.topic)
		s.topics[k.topic] = true
		n = &sent{took: c.series(OperationDuration, Labels{c.system, Bounded(k.topic), "send", "send", k.err})}
		s.counts[k] = n
	}
	return n
}

func (s *sentCounts) all() map[sentKey]int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make(map[sentKey]int64, len(s.counts))
	for k, n := range s.counts {
		all[k] = n.events.Load()
	}
	return all
}

// Sent counts an event that was published to topic at began, with its outcome; see [OutcomeOf].
func (c *Core) Sent(ctx context.Context, topic string, began time.Time, outcome string) {
	n := c.sent.of(c, topic, outcome)
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
