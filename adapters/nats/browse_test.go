package nats_test

import (
	"context"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/nats"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/leatgo/leat/internal/poisonload"
	"github.com/leatgo/leat/poison"
	"github.com/stretchr/testify/require"
)

// TestLooksLeaveThePoisonQueueAsItWas counts by the consumer's info.
func TestLooksLeaveThePoisonQueueAsItWas(t *testing.T) {
	b := live(t, nats.Options{})
	sub := leat.Subscription{Topic: brokertest.Name(t), Group: "g"}
	queue := leat.ReplayOf(sub)
	poisonload.Look(t, b, sub, 10_000, func() (waiting, held int) {
		lag, err := b.Lag(t.Context(), queue.Topic, queue.Group)
		require.NoError(t, err)
		d := lag.Parts[0].Details
		return int(d["num_pending"]), int(d["num_ack_pending"])
	})
}

func TestLooksBesideAReplay(t *testing.T) {
	poisonload.Beside(t, live(t, nats.Options{}), live(t, nats.Options{}),
		leat.Subscription{Topic: brokertest.Name(t), Group: "g"}, 2_000)
}

// TestAReplayOfSomeEndsWell: what is acked above an older event is shown, and a replay that waits
// for it in vain ends without an error.
func TestAReplayOfSomeEndsWell(t *testing.T) {
	b := live(t, nats.Options{})
	sub := leat.Subscription{Topic: brokertest.Name(t), Group: "g"}
	poisonload.Fill(t, b, sub, 20)
	h := leat.HandlerFunc(func(context.Context, leat.Event) error { return nil })
	first := true
	var oldest string
	o := &poison.ReplayOptions{Idle: time.Second, Filter: func(e poison.Entry) bool { return e.Event.ID() != oldest }}
	for e, err := range poison.Peek(t.Context(), b, sub, nil) {
		require.NoError(t, err)
		if first {
			oldest, first = e.Event.ID(), false
		}
	}
	r, err := poison.Replay(t.Context(), b, sub, h, o)
	require.NoError(t, err)
	require.Equal(t, poison.Result{Replayed: 19, Skipped: 1, Left: 1}, r)
	r, err = poison.Replay(t.Context(), b, sub, h, o)
	require.NoError(t, err)
	require.Zero(t, r.Replayed)
}

// TestAReplayThatFailsIsNoDuplicate has a stream that drops messages whose id it knows.
func TestAReplayThatFailsIsNoDuplicate(t *testing.T) {
	poisonload.Beside(t, live(t, nats.Options{Deduplicate: true}), live(t, nats.Options{Deduplicate: true}),
		leat.Subscription{Topic: brokertest.Name(t), Group: "g"}, 200)
}
