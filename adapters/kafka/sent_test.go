package kafka_test

import (
	"context"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestNeverSentIsRefused publishes to a topic that does not exist, while the first try of an event
// to another topic is answered in a way that leaves its outcome open. The client never sends the
// former, so its refusal is certain.
func TestNeverSentIsRefused(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	require.NoError(t, f.CreateTopic("neighbour", 1, nil))
	b := open(t, quick(f.ListenAddrs()...))
	unlearned := f.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: "unknown", Err: kerr.LeaderNotAvailable, Count: -1})
	doubt := f.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "neighbour", Err: kerr.NotLeaderForPartition})
	stranger := publish(context.Background(), b, "unknown", event("0", "k"), event("1", ""))
	require.NoError(t, publishOne(b, "neighbour", event("0", "k"), 10*time.Second))
	require.Equal(t, 1, doubt.Hits())
	require.Positive(t, unlearned.Hits())
	unlearned.Remove() // from here on the cluster says that the topic does not exist
	errs, err := stranger.wait(10 * time.Second)
	require.NoError(t, err)
	for _, err := range errs {
		require.Equal(t, leat.CodeNotFound, leat.CodeOf(err), err)
	}
}

// TestPartitionerOfTheUser publishes with a partitioner that reads the partition of the record: it
// is the first one, not the mark of a record that was not sent.
func TestPartitionerOfTheUser(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	require.NoError(t, f.CreateTopic("t", 2, nil))
	o := quick(f.ListenAddrs()...)
	o.Client = []kgo.Opt{kgo.RecordPartitioner(kgo.ManualPartitioner())}
	b := open(t, o)
	require.NoError(t, publishOne(b, "t", event("0", "k"), 10*time.Second))
	partitions, err := stored("t", f.ListenAddrs()...)
	require.NoError(t, err)
	require.Len(t, partitions[0], 1)
}
