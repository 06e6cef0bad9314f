package rabbitmq_test

import (
	"context"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/rabbitmq"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func unsent(t testing.TB, id, key string) leat.Event {
	t.Helper()
	e, err := leat.NewEvent("test", &leat.EventOptions{ID: id, Source: "/test", Key: key})
	require.NoError(t, err)
	return e
}

// Nothing can have been stored where nobody was reached: the event is refused, with the reason,
// whichever limit ends the publish.
func TestPublishWhereNobodyListensIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		addr     string
		deadline time.Duration // of the caller; 0 means none
		reason   string
	}{
		"the caller's ctx ends":       {vacant(t), 500 * time.Millisecond, "connection refused"},
		"the login is not answered":   {silent(t), 500 * time.Millisecond, "there is no connection yet"},
		"the DeliveryTimeout is over": {vacant(t), 0, "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, err := rabbitmq.New(&rabbitmq.Options{Hosts: []string{c.addr}, DeliveryTimeout: 2 * time.Second, CloseTimeout: time.Second})
			require.NoError(t, err)
			defer b.Close() //nolint:errcheck // it is done with
			ctx, limit := t.Context(), 2*time.Second
			if c.deadline > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, c.deadline)
				defer cancel()
				limit = c.deadline
			}
			begin := time.Now()
			err = leat.NewProducer(b, nil).Publish(ctx, "t", unsent(t, "1", "k"))
			assert.Less(t, time.Since(begin), limit+250*time.Millisecond)
			var e *leat.PublishError
			require.ErrorAs(t, err, &e)
			assert.Equal(t, leat.CodeUnavailable, leat.CodeOf(e.Failures[0].Err), "%v", err)
			assert.ErrorContains(t, err, c.reason)
		})
	}
}

// Withdraw makes room, and leaves what others publish alone.
func TestWithdrawTakesBackSingleEvents(t *testing.T) {
	t.Parallel()
	b, err := rabbitmq.New(&rabbitmq.Options{Hosts: []string{vacant(t)}, Buffer: 3, CloseTimeout: 300 * time.Millisecond})
	require.NoError(t, err)
	done := make(chan string, 10)
	publish := func(topic string, ids ...string) {
		events := make([]leat.Event, len(ids))
		for i, id := range ids {
			events[i] = unsent(t, id, "k")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		b.Publish(ctx, topic, events, func(i int, err error) { done <- topic + " " + ids[i] + " " + leat.CodeOf(err).String() })
	}
	publish("t", "1", "2")
	publish("u", "2")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	b.Withdraw(ended, "t", []leat.Event{unsent(t, "2", "k"), unsent(t, "unheard of", "k")})
	b.Withdraw(ended, "t", []leat.Event{unsent(t, "2", "k")})
	require.Len(t, done, 1)
	assert.Equal(t, "t 2 unavailable", <-done)
	publish("t", "3") // has room
	require.Empty(t, done)
	require.NoError(t, b.Close())
	assert.ElementsMatch(t, []string{"t 1 closed", "u 2 closed", "t 3 closed"}, []string{<-done, <-done, <-done})
}
