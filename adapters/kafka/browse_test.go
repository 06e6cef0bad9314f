package kafka_test

import (
	"strings"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/leatgo/leat/internal/poisonload"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestLooksLeaveThePoisonQueueAsItWas counts by the offsets that Kafka has of the topic and the
// group.
func TestLooksLeaveThePoisonQueueAsItWas(t *testing.T) {
	t.Parallel()
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

// TestBrowseShowsWhatCannotBeRead: a record that the client cannot decompress is one malformed
// delivery, and what is behind it is shown.
func TestBrowseShowsWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	addrs := brokertest.Kafka(t)
	topic := liveTopic(t, liveAdmin(t, addrs...), 1)
	b := liveBroker(t, liveOptions(addrs...))
	sub := leat.Subscription{Topic: topic, Group: leat.ReplayGroup}
	produceBombs(t, kgo.ZstdCompression(), topic, 0, 1, addrs...)
	require.NoError(t, livePublish(t.Context(), b, topic, liveEvents(t, 1, 3, 1)...))
	produceBombs(t, kgo.GzipCompression(), topic, 0, 1, addrs...)
	require.NoError(t, livePublish(t.Context(), b, topic, liveEvents(t, 4, 5, 1)...))
	var malformed, events []int64
	require.NoError(t, b.Browse(t.Context(), sub, func(d *leat.Delivery) bool {
		if d.Malformed != nil {
			malformed = append(malformed, d.Position.Offset)
		} else {
			events = append(events, d.Position.Offset)
		}
		return true
	}))
	require.Len(t, malformed, 2)
	require.Zero(t, malformed[0])
	require.NotEmpty(t, events)
	require.Less(t, malformed[1], events[len(events)-1], "what is behind it is shown")
}

func TestLooksBesideAReplay(t *testing.T) {
	t.Parallel()
	addrs := brokertest.Kafka(t)
	sub := leat.Subscription{Topic: liveName(t), Group: "g"}
	poisonload.Beside(t, liveBroker(t, liveOptions(addrs...)), liveBroker(t, liveOptions(addrs...)), sub, 2_000)
}

func TestAReplayIsKilled(t *testing.T) {
	t.Parallel()
	addrs := brokertest.Kafka(t)
	sub := leat.Subscription{Topic: liveName(t), Group: "g"}
	poisonload.Killed(t, liveBroker(t, liveOptions(addrs...)), sub, strings.Join(addrs, ","), "TestReplayInAProcess", 2_000, 3)
}

// TestReplayInAProcess is run by TestAReplayIsKilled.
func TestReplayInAProcess(t *testing.T) {
	poisonload.Child(t, func(hosts string) leat.Broker { return liveBroker(t, liveOptions(strings.Split(hosts, ",")...)) })
}
