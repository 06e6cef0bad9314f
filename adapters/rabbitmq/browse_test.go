package rabbitmq_test

import (
	"context"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/rabbitmq"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/leatgo/leat/internal/poisonload"
	"github.com/stretchr/testify/require"
)

// TestLooksLeaveThePoisonQueueAsItWas counts by RabbitMQ itself.
func TestLooksLeaveThePoisonQueueAsItWas(t *testing.T) {
	n := brokertest.StartRabbitMQ(t, nil)
	sub := liveSub(t)
	queue := leat.ReplayOf(sub).Topic + "." + leat.ReplayGroup
	poisonload.Look(t, liveBroker(t, liveOptions(n)), sub, 10_000, func() (int, int) {
		q, err := n.Queue(t.Context(), "/", queue)
		require.NoError(t, err)
		return q.Ready, q.Unacked
	})
}

// TestALookEndsWhenMessagesAreGone purges the queue while the first message is shown: those behind
// the first share never arrive.
func TestALookEndsWhenMessagesAreGone(t *testing.T) {
	n := brokertest.StartRabbitMQ(t, nil)
	b, sub := liveBroker(t, liveOptions(n)), liveSub(t)
	poisonload.Fill(t, b, sub, 1_000)
	queue := leat.ReplayOf(sub)
	ctx, cancel := context.WithTimeout(t.Context(), livePatience)
	defer cancel()
	shown := 0
	require.NoError(t, b.Browse(ctx, queue.WithDefaults(), func(*leat.Delivery) bool {
		if shown++; shown == 1 {
			_, err := liveChannel(t, liveRaw(t, n.URL())).QueuePurge(queue.Topic+"."+leat.ReplayGroup, false)
			require.NoError(t, err)
		}
		return true
	}))
	require.Less(t, shown, 1_000)
	require.NotZero(t, shown)
}

func TestLooksBesideAReplay(t *testing.T) {
	n := brokertest.StartRabbitMQ(t, nil)
	poisonload.Beside(t, liveBroker(t, liveOptions(n)), liveBroker(t, liveOptions(n)), liveSub(t), 2_000)
}

func TestAReplayIsKilled(t *testing.T) {
	n := brokertest.StartRabbitMQ(t, nil)
	poisonload.Killed(t, liveBroker(t, liveOptions(n)), liveSub(t), n.Addr(), "TestReplayInAProcess", 2_000, 4)
}

// TestReplayInAProcess is run by TestAReplayIsKilled.
func TestReplayInAProcess(t *testing.T) {
	poisonload.Child(t, func(hosts string) leat.Broker {
		return liveBroker(t, rabbitmq.Options{Hosts: []string{hosts}, RequestTimeout: livePatience})
	})
}
