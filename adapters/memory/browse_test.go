package memory_test

import (
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/internal/poisonload"
	"github.com/stretchr/testify/require"
)

func TestLooksLeaveThePoisonQueueAsItWas(t *testing.T) {
	b := memory.New(nil)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	sub := leat.Subscription{Topic: "orders", Group: "g"}
	queue := leat.ReplayOf(sub)
	poisonload.Look(t, b, sub, 10_000, func() (waiting, held int) {
		lag, err := b.Lag(t.Context(), queue.Topic, queue.Group)
		require.NoError(t, err)
		d := lag.Parts[0].Details
		return int(d["waiting"]), int(d["held"])
	})
}

func TestLooksBesideAReplay(t *testing.T) {
	b := memory.New(nil)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	poisonload.Beside(t, b, b, leat.Subscription{Topic: "orders", Group: "g"}, 2_000)
}
