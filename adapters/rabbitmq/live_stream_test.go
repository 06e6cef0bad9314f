package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/rabbitmq"
	"github.com/stretchr/testify/require"
)

// liveEvents returns events first to last-1, whose ids are their numbers, with as many keys; 0 keys are none.
func liveEvents(t testing.TB, first, last, keys int) []leat.Event {
	t.Helper()
	var events []leat.Event
	for i := first; i < last; i++ {
		o := &leat.EventOptions{ID: fmt.Sprint(i), Source: "/live"}
		if keys > 0 {
			o.Key = fmt.Sprint("key-", i%keys)
		}
		e, err := leat.NewEvent("live", o)
		require.NoError(t, err)
		events = append(events, e)
	}
	return events
}

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

// liveHold receives until n deliveries have come.
func liveHold(t testing.TB, s leat.Stream, n int) []leat.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), livePatience, errors.New("the events do not come"))
	defer cancel()
	var all []leat.Delivery
	for len(all) < n {
		into := make([]leat.Delivery, n-len(all))
		got, err := s.Receive(ctx, into)
		require.NoError(t, err, "%d of %d events came, health: %v", len(all), n, health(s))
		all = append(all, into[:got]...)
	}
	return all
}

// liveReceive receives until n deliveries have come, acknowledges them and returns their ids.
func liveReceive(t testing.TB, s leat.Stream, n int) []string {
	t.Helper()
	var ids []string
	for _, d := range liveHold(t, s, n) {
		ids = append(ids, d.Event.ID())
		s.Settle(&d, leat.Settlement{Action: leat.Ack})
	}
	return ids
}

// liveNothing checks that nothing more comes for a while.
func liveNothing(t testing.TB, s leat.Stream, wait time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	into := make([]leat.Delivery, 1)
	n, err := s.Receive(ctx, into)
	require.Error(t, err, "%d: event %s came", n, into[0].Event.ID())
	require.ErrorIs(t, err, context.DeadlineExceeded)
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
