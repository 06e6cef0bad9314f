package kafka_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestNoteTooLongForTheBroker: a commit does not fail because a broker takes less metadata, or
// none. What does not fit is said, and handled again by the next.
func TestNoteTooLongForTheBroker(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		most int
		code int16
	}{
		"short": {150, kerr.OffsetMetadataTooLarge.Code},
		"none":  {0, kerr.OffsetMetadataTooLarge.Code},
		"size":  {0, kerr.InvalidCommitOffsetSize.Code},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			require.NoError(t, f.CreateTopic("t", 1, nil))
			var refused atomic.Int64
			f.ControlKey(int16(kmsg.OffsetCommit), func(request kmsg.Request) (kmsg.Response, error, bool) {
				f.KeepControl()
				commit := request.(*kmsg.OffsetCommitRequest)
				p := commit.Topics[0].Partitions[0]
				if p.Metadata == nil || len(*p.Metadata) <= c.most {
					return nil, nil, false //nolint:nilnil // the fake answers itself
				}
				refused.Add(1)
				answer := commit.ResponseKind().(*kmsg.OffsetCommitResponse)
				topic := kmsg.NewOffsetCommitResponseTopic()
				topic.Topic, topic.TopicID = commit.Topics[0].Topic, commit.Topics[0].TopicID
				partition := kmsg.NewOffsetCommitResponseTopicPartition()
				partition.Partition, partition.ErrorCode = p.Partition, c.code
				topic.Partitions = append(topic.Partitions, partition)
				answer.Topics = append(answer.Topics, topic)
				return answer, nil, true
			})
			b := open(t, quick(f.ListenAddrs()...))
			sub := leat.Subscription{Topic: "t", Group: "g"}
			s := liveSubscribe(t, b, sub)
			const n = 1_000
			require.NoError(t, livePublish(t.Context(), b, "t", liveEvents(t, 0, n, 0)...))
			all := liveHold(t, s, n)
			for i := range all {
				if i >= 2 && (i*i)%7 != 1 { // in runs of different lengths, so that they take room
					s.Settle(&all[i], leat.Settlement{Action: leat.Ack})
				}
			}
			s.Settle(&all[0], leat.Settlement{Action: leat.Ack})
			liveCommitted(t, b, "t", "g", 1)
			require.Positive(t, refused.Load(), "the test is about a note that is too long")
			require.ErrorContains(t, s.Health(), "do not fit into the commit's metadata")
			require.NotContains(t, s.Health().Error(), "committing offsets", "the commit itself is well")
			if c.most > 0 {
				lag, err := b.Lag(t.Context(), "t", "g")
				require.NoError(t, err)
				assert.Positive(t, lag.Parts[0].Details["unnoted"])
			}
			before := refused.Load()
			s.Settle(&all[1], leat.Settlement{Action: leat.Ack})
			liveCommitted(t, b, "t", "g", 6) // 2 to 5 were settled, and 6 was not
			assert.LessOrEqual(t, refused.Load(), before+1, "the stream knows by now what the broker takes")
		})
	}
}

// TestNotesOfOthersSayNothing: a note counts only with the topic and the offset that it was written
// for, and what other programs write into the metadata is no error.
func TestNotesOfOthersSayNothing(t *testing.T) {
	t.Parallel()
	addrs := brokertest.Kafka(t)
	admin := liveAdmin(t, addrs...)
	b := liveBroker(t, liveOptions(addrs...))
	sub := leat.Subscription{Topic: liveTopic(t, admin, 1), Group: liveName(t)}
	s := liveSubscribe(t, b, sub)
	require.NoError(t, livePublish(t.Context(), b, sub.Topic, liveEvents(t, 0, 20, 0)...))
	all := liveHold(t, s, 20)
	for i := range all {
		if i != 1 {
			s.Settle(&all[i], leat.Settlement{Action: leat.Ack})
		}
	}
	liveCommitted(t, b, sub.Topic, sub.Group, 1)
	require.NoError(t, s.Close(t.Context()))
	committed, err := admin.FetchOffsetsForTopics(t.Context(), sub.Group, sub.Topic)
	require.NoError(t, err)
	note := committed[sub.Topic][0].Metadata
	require.True(t, strings.HasPrefix(note, "leat3:"), note)

	other := liveTopic(t, admin, 1)
	require.NoError(t, livePublish(t.Context(), b, other, liveEvents(t, 0, 20, 0)...))
	for name, c := range map[string]struct {
		topic, note string
		at          int64
		want        int
	}{
		"as it is":          {sub.Topic, note, 1, 1},
		"of another topic":  {other, note, 1, 20}, // as of a topic that was deleted: the new one is read from its beginning
		"of another offset": {sub.Topic, note, 2, 18},
		"of nobody":         {sub.Topic, "", 1, 19},
		"of a later Leat":   {sub.Topic, "leat9:" + note[6:], 1, 19},
		"of another tool":   {sub.Topic, `{"owner":"mirror"}`, 1, 19},
		"cut":               {sub.Topic, note[:len(note)-2], 1, 19},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var offsets kadm.Offsets
			offsets.Add(kadm.Offset{Topic: c.topic, At: c.at, LeaderEpoch: -1, Metadata: c.note})
			group := liveName(t)
			answer, err := admin.CommitOffsets(t.Context(), group, offsets)
			require.NoError(t, err)
			require.NoError(t, answer.Error())
			s := liveSubscribe(t, b, leat.Subscription{Topic: c.topic, Group: group})
			require.Len(t, liveHold(t, s, c.want), c.want)
			liveNothing(t, s, 300*time.Millisecond)
			require.NoError(t, s.Health())
		})
	}
}
