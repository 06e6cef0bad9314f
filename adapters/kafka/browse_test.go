package kafka_test

import (
	"strings"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/leatgo/leat/internal/poisonload"
	"github.com/stretchr/testify/require"
)

// TestLooksLeaveThePoisonQueueAsItWas counts by the offsets that Kafka has of the topic and the
// group.
func TestLooksLeaveThePoisonQueueAsItWas(t *testing.T) {
	addrs := brokertest.Kafka(t)
	sub := leat.Subscription{Topic: liveName(t), Group: "g"}
	queue, admin := leat.ReplayOf(sub), liveAdmin(t, addrs...)
	poisonload.Look(t, liveBroker(t, liveOptions(addrs...)), sub, 10_000, func() (waiting, held int) {
		ends, err := admin.ListEndOffsets(t.Context(), queue.Topic)
		require.NoError(t, err)
		for _, end := range ends[queue.Topic] {
			waiting += int(end.Offset)
		}
		committed, err := admin.FetchOffsets(t.Context(), queue.Group)
		if err != nil {
			return -1, -1 // it has no coordinator yet
		}
		for _, c := range committed[queue.Topic] {
			held += int(c.At) // which nobody has committed
		}
		return waiting, held
	})
}

func TestLooksBesideAReplay(t *testing.T) {
	addrs := brokertest.Kafka(t)
	sub := leat.Subscription{Topic: liveName(t), Group: "g"}
	poisonload.Beside(t, liveBroker(t, liveOptions(addrs...)), liveBroker(t, liveOptions(addrs...)), sub, 2_000)
}

func TestAReplayIsKilled(t *testing.T) {
	addrs := brokertest.Kafka(t)
	sub := leat.Subscription{Topic: liveName(t), Group: "g"}
	poisonload.Killed(t, liveBroker(t, liveOptions(addrs...)), sub, strings.Join(addrs, ","), "TestReplayInAProcess", 2_000, 3)
}

// TestReplayInAProcess is run by TestAReplayIsKilled.
func TestReplayInAProcess(t *testing.T) {
	poisonload.Child(t, func(hosts string) leat.Broker { return liveBroker(t, liveOptions(strings.Split(hosts, ",")...)) })
}
