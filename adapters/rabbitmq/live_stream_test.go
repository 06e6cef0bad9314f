package rabbitmq_test

import (
	"context"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/rabbitmq"
	"github.com/stretchr/testify/require"
)

// liveOutcomes publishes the events and returns their outcomes.
func liveOutcomes(ctx context.Context, b leat.Broker, topic string, events ...leat.Event) []error {
	type outcome struct {
		i   int
		err error
	}
	answers := make(chan outcome, len(events))
	b.Publish(ctx, topic, events, func(i int, err error) { answers <- outcome{i, err} })
	errs := make([]error, len(events))
	for range events {
		o := <-answers
		errs[o.i] = o.err
	}
	return errs
}

// livePublish publishes the events, which must be confirmed.
func livePublish(t testing.TB, b leat.Broker, topic string, events ...leat.Event) {
	t.Helper()
	for i, err := range liveOutcomes(t.Context(), b, topic, events...) {
		require.NoError(t, err, "event %d", i)
	}
}

// liveSubscribe opens a stream that the end of the test closes.
func liveSubscribe(t testing.TB, b *rabbitmq.Broker, sub leat.Subscription) *rabbitmq.Stream {
	t.Helper()
	s, err := b.Subscribe(t.Context(), sub)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s.(*rabbitmq.Stream)
}

// liveEventually waits until f is true.
func liveEventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	require.Eventually(t, f, livePatience, 5*time.Millisecond, what)
}

func ids(events []leat.Event) (all []string) {
	for _, e := range events {
		all = append(all, e.ID())
	}
	return all
}

func health(v any) error { return v.(leat.HealthReporter).Health() }
