package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// recreation is a way in which a topic is deleted and created again.
type recreation struct {
	protocol  kafka.Protocol
	broadcast bool
	members   int
	partCount int32         // of the new topic
	gap       time.Duration // between the deletion and the creation
	held      int           // deliveries that are not settled when the topic goes
}

func (r recreation) name() string {
	return fmt.Sprintf("p%d-b%t-m%d-n%d-g%v-h%d", r.protocol, r.broadcast, r.members, r.partCount, r.gap, r.held)
}

// recreate deletes a topic and creates another of its name. It waits until the broker knows that: a
// slow one stores events in the old topic for a while, and gives them to consumers.
func recreate(t *testing.T, admin *kadm.Client, topic string, partitions int32, gap time.Duration) {
	t.Helper()
	old, err := admin.Metadata(t.Context(), topic)
	require.NoError(t, err)
	_, err = admin.DeleteTopic(t.Context(), topic)
	require.NoError(t, err)
	if gap > 0 {
		pause(t, gap)
	}
	require.NoError(t, await(livePatience, func() error {
		_, err := admin.CreateTopic(t.Context(), partitions, -1, nil, topic)
		if errors.Is(err, kerr.TopicAlreadyExists) {
			return err
		}
		require.NoError(t, err)
		return nil
	}))
	require.NoError(t, await(livePatience, func() error {
		now, err := admin.Metadata(t.Context(), topic)
		if is := now.Topics[topic]; err == nil && (is.ID == old.Topics[topic].ID || len(is.Partitions) != int(partitions)) {
			err = fmt.Errorf("the broker does not know of the new topic: %+v", is)
		}
		return err
	}))
}

// pause lets a cluster and its clients see a state for a while.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// TestTopicDeletedAndCreatedAgain deletes a topic under running consumers and a publisher, whose
// group has committed offsets, and creates another of the same name: within 10 s of that, both go
// on with the new topic from its start, the log says so, and health is good.
func TestTopicDeletedAndCreatedAgain(t *testing.T) {
	t.Parallel()
	addrs := brokertest.Kafka(t)
	admin := liveAdmin(t, addrs...)
	for _, r := range []recreation{
		{members: 1, partCount: 2}, {members: 1, partCount: 2, held: 5}, {members: 1, partCount: 3, gap: 3 * time.Second},
		{members: 1, partCount: 1}, {members: 2, partCount: 2}, {members: 1, partCount: 2, protocol: kafka.ProtocolConsumer},
		{members: 2, partCount: 2, protocol: kafka.ProtocolConsumer, gap: 2 * time.Second}, {members: 1, partCount: 2, broadcast: true},
		{members: 1, partCount: 3, broadcast: true, gap: 2 * time.Second},
	} {
		t.Run(r.name(), func(t *testing.T) {
			t.Parallel()
			r.run(t, admin, addrs)
		})
	}
}

func (r recreation) run(t *testing.T, admin *kadm.Client, addrs []string) {
	topic := liveTopic(t, admin, 2)
	var log brokertest.Logbook
	o := liveOptions(addrs...)
	o.Protocol, o.Logger = r.protocol, slog.New(slog.NewTextHandler(&log, nil))
	b := liveBroker(t, o)
	sub := leat.Subscription{Topic: topic, Group: topic, Broadcast: r.broadcast}
	if r.broadcast {
		sub.Group = ""
	}
	var readers []*reader
	for range r.members {
		readers = append(readers, read(liveSubscribe(t, b, sub)))
	}
	var old []string
	for _, e := range liveEvents(t, 0, 30, 10) {
		old = append(old, e.ID())
		require.NoError(t, livePublish(t.Context(), b, topic, e))
	}
	require.NoError(t, untilAll(livePatience, readers, old...))
	if !r.broadcast {
		require.NoError(t, await(livePatience, func() error { return caughtUp(t.Context(), b, topic) }))
	}
	for _, reader := range readers {
		defer reader.stop()
	}
	if r.held > 0 { // a second stream of the process would take partitions: the only one holds what comes now
		readers[0].stop()
		require.NoError(t, livePublish(t.Context(), b, topic, liveEvents(t, 50, 50+r.held, 3)...))
		held := liveHold(t, readers[0].stream, r.held)
		defer func() {
			for i := range held { // of the old topic: it has no effect
				readers[0].stream.Settle(&held[i], leat.Settlement{Action: leat.Ack})
			}
		}()
		readers[0] = read(readers[0].stream)
		defer readers[0].stop()
	}
	recreate(t, admin, topic, r.partCount, r.gap)
	begin := time.Now()
	var fresh []string
	for _, e := range liveEvents(t, 100, 140, 10) { // more than were committed, so that an old offset is in the range of the new topic
		fresh = append(fresh, e.ID())
		require.NoError(t, await(10*time.Second, func() error { return livePublish(t.Context(), b, topic, e) }))
	}
	require.NoError(t, untilAll(10*time.Second-time.Since(begin), readers, fresh...), "log: %s", log.String())
	t.Logf("went on after %v", time.Since(begin))
	assert.Contains(t, log.String(), "the topic was deleted and created again; consuming goes on")
	assert.NotContains(t, log.String(), `topic=""`)
	if !r.broadcast {
		require.NoError(t, await(livePatience, func() error { return caughtUp(t.Context(), b, topic) }))
	}
	require.NoError(t, await(15*time.Second, func() error { return cmpOr(health(readers[0].stream), b.Health()) }))
}

// caughtUp returns nil when a group of the topic's name is behind in no partition.
func caughtUp(ctx context.Context, b *kafka.Broker, topic string) error {
	lag, err := b.Lag(ctx, topic, topic)
	if lag.Events > 0 {
		err = fmt.Errorf("the group is behind: %+v", lag)
	}
	return err
}

// untilAll waits until the readers together have received the ids.
func untilAll(d time.Duration, readers []*reader, ids ...string) error {
	return await(d, func() error {
		var got []string
		for _, r := range readers {
			r.mu.Lock()
			got = append(got, r.ids...)
			ended := r.ended
			r.mu.Unlock()
			if ended != nil && !errors.Is(ended, context.Canceled) {
				return fmt.Errorf("a stream ended: %w", ended)
			}
		}
		for _, id := range ids {
			if !slices.Contains(got, id) {
				return fmt.Errorf("%s has not come; received %v; health: %w", id, got, health(readers[0].stream))
			}
		}
		return nil
	})
}

// TestOffsetOfATopicThatWasDeleted leaves an offset of the old topic in the group, as a commit that
// is late does before Kafka 4.2. Its note names the topic that it is of, so the new topic is read
// from its start.
func TestOffsetOfATopicThatWasDeleted(t *testing.T) {
	t.Parallel()
	addrs := brokertest.Kafka(t)
	admin := liveAdmin(t, addrs...)
	topic := liveTopic(t, admin, 1)
	sub := leat.Subscription{Topic: topic, Group: topic}
	b := liveBroker(t, liveOptions(addrs...))
	require.NoError(t, livePublish(t.Context(), b, topic, liveEvents(t, 0, 10, 0)...))
	s, err := b.Subscribe(t.Context(), sub)
	require.NoError(t, err)
	for i, d := range liveHold(t, s, 10) {
		if i != 5 {
			s.Settle(&d, leat.Settlement{Action: leat.Ack})
		}
	}
	require.NoError(t, s.Close(t.Context()))
	offsets, err := admin.FetchOffsetsForTopics(t.Context(), topic, topic)
	require.NoError(t, err)
	at, ok := offsets.Lookup(topic, 0)
	require.True(t, ok)
	require.EqualValues(t, 5, at.At)
	require.NotEmpty(t, at.Metadata)
	recreate(t, admin, topic, 1, 0)
	late := at.Offset
	late.LeaderEpoch = -1
	var all kadm.Offsets
	all.Add(late)
	require.NoError(t, await(livePatience, func() error {
		answer, err := admin.CommitOffsets(t.Context(), topic, all)
		return cmpOr(err, answer.Error())
	}))
	fresh := liveBroker(t, liveOptions(addrs...))
	require.NoError(t, await(livePatience, func() error {
		return livePublish(t.Context(), fresh, topic, liveEvents(t, 100, 110, 0)...)
	}))
	assert.Equal(t, "100", liveReceive(t, liveSubscribe(t, fresh, sub), 10)[0])
}
