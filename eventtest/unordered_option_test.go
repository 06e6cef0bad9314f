package eventtest_test

import (
	"context"
	"slices"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/eventtest"
	"github.com/stretchr/testify/assert"
)

// TestMemoryConformsUnordered runs the suite on Unordered subscriptions of a broker that has order
// to offer.
func TestMemoryConformsUnordered(t *testing.T) {
	conformsUnordered(t, newMemoryHarness())
}

// TestDisorderConforms: no case asks an Unordered stream for an order that it does not promise.
func TestDisorderConforms(t *testing.T) {
	conformsUnordered(t, mutantHarness{newMemoryHarness(), bendStreams(func(_ leat.Subscription, s *bentStream) {
		s.receive = func(s leat.Stream, ctx context.Context, into []leat.Delivery) (int, error) {
			n, err := s.Receive(ctx, into)
			slices.Reverse(into[:n])
			return n, err
		}
	})})
}

func conformsUnordered(t *testing.T, h eventtest.Harness) {
	t.Helper()
	report := eventtest.TestAdapter(t, h, &eventtest.Options{Unordered: true})
	for _, c := range eventtest.Cases() {
		for _, r := range report.Results {
			if r.Case == c.Name && slices.Contains(c.Needs, eventtest.NeedOrder) {
				assert.Equal(t, eventtest.Skipped, r.Status, c.Name)
				assert.Equal(t, []string{"needed: order by key, which Options.Unordered gives up"}, r.Seen, c.Name)
			}
		}
	}
}

// TestUnorderedReachesEverySubscription: a broker that refuses every ordered subscription passes as
// one that has order would.
func TestUnorderedReachesEverySubscription(t *testing.T) {
	var ordered set
	h := mutantHarness{newMemoryHarness(), bend(func(b *bent) {
		b.subscribe = func(b leat.Broker, ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
			if !sub.Unordered && !sub.Broadcast && sub.Group != "" {
				ordered.add(sub.Topic)
			}
			return b.Subscribe(ctx, sub)
		}
	})}
	report := eventtest.Check(h, &eventtest.Options{Unordered: true, Only: []string{
		"ack-ends", "close-gives-back", "concurrent-use", "max-in-flight", "whole-once-in-peace", "whole-restarts-in-peace", "whole-run-again",
	}})
	assert.Empty(t, report.Failed())
	ordered.Range(func(topic, _ any) bool {
		t.Errorf("a case subscribed to %s with order", topic)
		return true
	})
}
