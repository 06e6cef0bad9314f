package rabbitmq

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/require"
)

// bareGeneration is a generation without a channel, that holds n messages without a key.
func bareGeneration(t *testing.T, n int) *generation {
	t.Helper()
	s := &Stream{caps: leat.Capabilities{LongestDelay: time.Hour}}
	s.sub.MaxInFlight, s.sub.MaxInFlightBytes = 100, 1<<20
	s.delays.least = 2 * time.Hour
	s.keepBook()
	g := &generation{s: s, prefetch: 100, lease: leat.NewLease(), over: make(chan struct{})}
	g.window, s.generation = s.book.Open(g.lease), g
	for range n {
		g.take(&leat.Delivery{Event: newEvent(t, leat.EventOptions{ID: "1", Source: "/s"})}, 1, arrival(time.Now()))
	}
	return g
}

// TestGiveUpOnlyOnce: who wants to end a generation waits for nothing when somebody else has ended
// it.
func TestGiveUpOnlyOnce(t *testing.T) {
	t.Parallel()
	g := bareGeneration(t, 0)
	g.s.mu.Lock()
	g.end()
	g.s.mu.Unlock()
	require.NoError(t, g.giveUp(context.Background(), nil))
}

// TestDelaysWake: Receive looks again when the first delay is over, and then the next, until the
// generation ends.
func TestDelaysWake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := bareGeneration(t, 3)
		into := make([]leat.Delivery, 3)
		n, err := g.s.Receive(t.Context(), into)
		require.NoError(t, err)
		require.Equal(t, 3, n)
		for i, d := range []time.Duration{3 * time.Minute, time.Minute, 2 * time.Minute} {
			g.s.Settle(&into[i], leat.Settlement{Action: leat.GiveBack, Delay: d})
		}
		began := time.Now()
		for i := 1; i <= 2; i++ {
			n, err := g.s.Receive(t.Context(), into)
			require.NoError(t, err)
			require.Equal(t, 1, n)
			require.Equal(t, time.Duration(i)*time.Minute, time.Since(began))
		}
		g.s.mu.Lock()
		g.end()
		g.s.mu.Unlock()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err = g.s.Receive(ctx, into)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}
