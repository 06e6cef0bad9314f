package nats_test

import (
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/nats"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/leatgo/leat/internal/poisonload"
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

// TestAReplayThatFailsIsNoDuplicate has a stream that drops messages whose id it knows.
func TestAReplayThatFailsIsNoDuplicate(t *testing.T) {
	poisonload.Beside(t, live(t, nats.Options{Deduplicate: true}), live(t, nats.Options{Deduplicate: true}),
		leat.Subscription{Topic: brokertest.Name(t), Group: "g"}, 200)
}
