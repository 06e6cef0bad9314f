package rabbitmq_test

import (
	"testing"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/require"
)

// TestControls tries what the harness can do to a client, where a control without effect would make
// a case pass.
func TestControls(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	sub := leat.Subscription{Topic: h.Topic(), Group: "g", MaxInFlight: 3}
	b, err := h.Open(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.Close() })
	require.NoError(t, leat.Declare(t.Context(), b, sub))
	held := func(want int) {
		t.Helper()
		liveEventually(t, "the broker tells what is held", func() bool {
			n, err := h.Held(t.Context(), sub.Topic, sub.Group)
			require.NoError(t, err)
			return n == want
		})
	}
	held(0)
	s, err := b.Subscribe(t.Context(), sub)
	require.NoError(t, err)
	require.NoError(t, leat.NewProducer(b, nil).Publish(t.Context(), sub.Topic, liveEvents(t, 0, 10, 1)...))
	held(3)
	require.NoError(t, h.Isolate(t.Context(), b))
	require.NoError(t, h.Cut(t.Context()))
	held(0) // given back, and nobody else is there
	require.NoError(t, h.Rejoin(t.Context(), b))
	liveHold(t, s, 3)
	held(3)
	require.NoError(t, h.Drop(t.Context(), b))
	held(0)
	_, err = h.Held(t.Context(), sub.Topic, "another")
	require.Error(t, err)
	require.Error(t, h.Isolate(t.Context(), nil))
	require.Error(t, b.(leat.HealthReporter).Health())
}
