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
	s := &Stream{signal: make(chan struct{}, 1), caps: leat.Capabilities{LongestDelay: time.Hour}}
	s.sub.MaxInFlight, s.sub.MaxInFlightBytes = 100, 1<<20
	s.delays.least = 2 * time.Hour
	g := &generation{
		s: s, prefetch: 100, window: newWindow(100), lease: leat.NewLease(), blocked: map[string]*holding{}, turn: make(chan struct{}, 1),
		over: make(chan struct{}),
	}
	for range n {
		g.take(slot{event: newEvent(t, leat.EventOptions{ID: "1", Source: "/s"}), size: 1})
	}
	return g
}

// TestGiveUpOnlyOnce: who wants to end a generation does not wait for its turn when somebody else has ended it.
func TestGiveUpOnlyOnce(t *testing.T) {
	t.Parallel()
	g := bareGeneration(t, 0)
	g.turn <- struct{}{}
	g.s.mu.Lock()
	g.end()
	g.s.mu.Unlock()
	require.NoError(t, g.giveUp(context.Background(), nil))
}

// TestDelaysWake: Receive looks again when the first delay is over, and then the next, until the generation ends.
func TestDelaysWake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := bareGeneration(t, 3)
		into := make([]leat.Delivery, 3)
		require.Equal(t, 3, g.fill(into))
		for i, d := range []time.Duration{3 * time.Minute, time.Minute, 2 * time.Minute} {
			g.settle(into[i].Tag, leat.Settlement{Action: leat.GiveBack, Delay: d})
		}
		<-g.s.signal
		began := time.Now()
		require.Zero(t, g.fill(into))
		for i := 1; i <= 2; i++ {
			<-g.s.signal
			require.Equal(t, time.Duration(i)*time.Minute, time.Since(began))
			require.Equal(t, 1, g.fill(into))
		}
		g.s.mu.Lock()
		g.end()
		g.s.mu.Unlock()
		time.Sleep(time.Hour)
		require.Empty(t, g.s.signal)
	})
}
