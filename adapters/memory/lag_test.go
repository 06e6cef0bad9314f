package memory_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
)

// lagOf returns the lag of the group billing, of which the part is the whole.
func lagOf(t *testing.T, b *memory.Broker) leat.Lag {
	t.Helper()
	lag, err := b.Lag(t.Context(), "orders", "billing")
	require.NoError(t, err)
	require.Len(t, lag.Parts, 1)
	p := lag.Parts[0]
	require.Equal(t, lag.Events, p.Events)
	require.Equal(t, lag.Events, p.Details["waiting"]+p.Details["held"])
	return lag
}

// TestLag follows events of a key and without one from their publish to their ack, held and delayed
// in between.
func TestLag(t *testing.T) {
	for name, sub := range map[string]leat.Subscription{"ordered": billing, "unordered": unordered} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, b *memory.Broker) {
				require.NoError(t, b.Declare(t.Context(), sub))
				assert.Equal(t, leat.Lag{Topic: "orders", Group: "billing", Parts: []leat.LagPart{
					{Name: "billing", Details: map[string]int64{"waiting": 0, "held": 0}},
				}}, lagOf(t, b))
				require.NoError(t, outcomes(t.Context(), t, b, "orders", event(t, "1", "", 1))[0])
				time.Sleep(time.Second) // in the bubble
				require.NoError(t, outcomes(t.Context(), t, b, "orders", event(t, "2", "k", 1))[0])
				time.Sleep(time.Second) // in the bubble
				lag := lagOf(t, b)
				assert.EqualValues(t, 2, lag.Events)
				assert.Equal(t, 2*time.Second, lag.Oldest)

				s, err := b.Subscribe(t.Context(), sub.WithDefaults())
				require.NoError(t, err)
				var got []leat.Delivery
				for len(got) < 2 {
					into := make([]leat.Delivery, 2)
					n, err := s.Receive(t.Context(), into)
					require.NoError(t, err)
					got = append(got, into[:n]...)
				}
				lag = lagOf(t, b)
				assert.EqualValues(t, 2, lag.Parts[0].Details["held"])
				assert.Equal(t, 2*time.Second, lag.Oldest, "it is held, and not settled")
				for i := range got {
					how := giveBack
					how.Delay = time.Minute
					s.Settle(&got[i], how)
				}
				time.Sleep(time.Second) // in the bubble
				lag = lagOf(t, b)
				assert.EqualValues(t, 2, lag.Parts[0].Details["waiting"], "for their delay")
				assert.Equal(t, 3*time.Second, lag.Oldest)
				time.Sleep(time.Hour) // in the bubble
				for left := 2; left > 0; {
					into := make([]leat.Delivery, 2)
					n, err := s.Receive(t.Context(), into)
					require.NoError(t, err)
					for i := range n {
						s.Settle(&into[i], ack)
					}
					left -= n
				}
				lag = lagOf(t, b)
				assert.Zero(t, lag.Events)
				assert.Zero(t, lag.Oldest)
			})
		})
	}
}

// TestLagSaysWhatItDoesNotKnow: an event without a time, or one from the future, has no age; a
// group that is not there has no lag.
func TestLagSaysWhatItDoesNotKnow(t *testing.T) {
	for name, at := range map[string]time.Time{"no time": {}, "future": time.Date(2222, 1, 1, 0, 0, 0, 0, time.UTC)} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, b *memory.Broker) {
				require.NoError(t, b.Declare(t.Context(), billing))
				require.NoError(t, outcomes(t.Context(), t, b, "orders", event(t, "1", "", 1).WithTime(at))[0])
				assert.EqualValues(t, leat.LagUnknown, lagOf(t, b).Oldest)
			})
		})
	}
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		require.NoError(t, b.Declare(t.Context(), billing))
		for code, names := range map[leat.Code][2]string{
			leat.CodeNotFound: {"orders", "other"}, leat.CodeInvalid: {"orders", ""},
		} {
			_, err := b.Lag(t.Context(), names[0], names[1])
			assert.Equal(t, code, leat.CodeOf(err), "%q", names)
		}
		_, err := b.Lag(t.Context(), "unknown", "billing")
		assert.Equal(t, leat.CodeNotFound, leat.CodeOf(err))
	})
}
