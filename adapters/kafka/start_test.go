package kafka_test

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
)

// TestStartLatestOnPartitionsAddedWhileStopped adds partitions while no member of the group runs.
// Whatever is published to them meanwhile is delivered, also to a group that has committed nothing
// but its beginning, and what was published before the group began is not.
func TestStartLatestOnPartitionsAddedWhileStopped(t *testing.T) {
	t.Parallel()
	addrs := brokertest.Kafka(t)
	admin := liveAdmin(t, addrs...)
	for _, handled := range []int{0, 5} {
		t.Run(fmt.Sprint(handled), func(t *testing.T) {
			t.Parallel()
			topic := liveTopic(t, admin, 1)
			o := liveOptions(addrs...)
			o.Start = kafka.StartLatest
			b := liveBroker(t, o)
			sub := leat.Subscription{Topic: topic, Group: topic}
			require.NoError(t, livePublish(t.Context(), b, topic, liveEvents(t, 0, 3, 3)...))
			require.NoError(t, b.Declare(t.Context(), sub))
			if handled > 0 {
				require.NoError(t, livePublish(t.Context(), b, topic, liveEvents(t, 3, 3+handled, 3)...))
				s, err := b.Subscribe(t.Context(), sub)
				require.NoError(t, err)
				liveReceive(t, s, handled)
				require.NoError(t, s.Close(t.Context()))
			}
			_, err := admin.UpdatePartitions(t.Context(), 3, topic)
			require.NoError(t, err)
			other := liveBroker(t, o) // another process, which knows of the new partitions at once
			var want []string
			for _, e := range liveEvents(t, 100, 115, 15) {
				want = append(want, e.ID())
				require.NoError(t, await(livePatience, func() error { return livePublish(t.Context(), other, topic, e) }))
			}
			lag, err := other.Lag(t.Context(), topic, topic)
			require.NoError(t, err)
			assert.EqualValues(t, 15, lag.Events, "%+v", lag)
			require.NoError(t, other.Declare(t.Context(), sub)) // as Run does
			s := liveSubscribe(t, other, sub)
			assert.ElementsMatch(t, want, liveReceive(t, s, 15))
			assert.NoError(t, health(s))
		})
	}
}

// TestStartLatestWithoutOffsets takes a group's offsets away, as Kafka does when nobody has used
// the group for a week: nothing tells it from a new group, so it begins at the end, and the log and
// the health of its stream say so. A group that skips nothing says nothing.
func TestStartLatestWithoutOffsets(t *testing.T) {
	t.Parallel()
	addrs := brokertest.Kafka(t)
	admin := liveAdmin(t, addrs...)
	topic := liveTopic(t, admin, 1)
	var log brokertest.Logbook
	o := liveOptions(addrs...)
	o.Start, o.Logger = kafka.StartLatest, slog.New(slog.NewTextHandler(&log, nil))
	b := liveBroker(t, o)
	sub := leat.Subscription{Topic: topic, Group: topic}
	require.NoError(t, b.Declare(t.Context(), sub))
	first, err := b.Subscribe(t.Context(), sub)
	require.NoError(t, err)
	require.NoError(t, livePublish(t.Context(), b, topic, liveEvents(t, 0, 5, 1)...))
	liveReceive(t, first, 5)
	assert.NoError(t, health(first), "it has skipped nothing")
	assert.NotContains(t, log.String(), "begins at the end")
	require.NoError(t, first.Close(t.Context()))
	require.NoError(t, livePublish(t.Context(), b, topic, liveEvents(t, 5, 10, 1)...))
	var all kadm.TopicsSet
	all.Add(topic, 0)
	deleted, err := admin.DeleteOffsets(t.Context(), topic, all)
	require.NoError(t, err)
	require.NoError(t, deleted.Error())
	require.NoError(t, b.Declare(t.Context(), sub))
	second := liveSubscribe(t, b, sub)
	require.NoError(t, livePublish(t.Context(), b, topic, liveEvents(t, 10, 11, 1)...))
	assert.Equal(t, []string{"10"}, liveReceive(t, second, 1))
	require.ErrorContains(t, health(second), "the 10 records that were there")
	assert.ErrorContains(t, health(second), "offsets.retention.minutes")
	assert.Contains(t, log.String(), "begins at the end")
}

// TestReplayGroupBeginsWithTheOldest: nobody reads a poison queue meanwhile, so that the offsets of
// its group expire, also with StartLatest.
func TestReplayGroupBeginsWithTheOldest(t *testing.T) {
	t.Parallel()
	addrs := brokertest.Kafka(t)
	topic := liveTopic(t, liveAdmin(t, addrs...), 1)
	o := liveOptions(addrs...)
	o.Start = kafka.StartLatest
	b := liveBroker(t, o)
	sub := leat.Subscription{Topic: topic, Group: leat.ReplayGroup}
	require.NoError(t, livePublish(t.Context(), b, topic, liveEvents(t, 0, 3, 1)...))
	require.NoError(t, b.Declare(t.Context(), sub))
	assert.Len(t, liveReceive(t, liveSubscribe(t, b, sub), 3), 3)
}
