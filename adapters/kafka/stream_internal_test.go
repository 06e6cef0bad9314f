package kafka

import (
	"log/slog"
	"strconv"
	"strings"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// loose is a stream that belongs to no group, with one partition. What it delivers was put there by
// the test.
type loose struct {
	*Stream

	t       testing.TB
	next    int64
	keyless bool // events have no key of their own, only their records
}

func newLoose(t testing.TB, maxBytes int) *loose {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers("127.0.0.1:1"))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	s := &Stream{
		broker: &Broker{o: Options{GapLimit: 2}}, client: client, sub: leat.Subscription{Topic: "t", MaxInFlight: 10, MaxInFlightBytes: maxBytes},
		tenures: map[int32]*tenure{}, progress: map[int32]progress{}, paused: map[int32]bool{},
		signal: make(chan struct{}, 1), commit: committer{due: make(chan struct{}, 1)},
		silence: fault.Incident{Logger: slog.New(slog.DiscardHandler)},
	}
	s.keepBook()
	s.begin(0)
	return &loose{Stream: s, t: t}
}

// put lets the client have fetched an event, whose id is its offset.
func (l *loose) put(key, data string) {
	l.t.Helper()
	e, err := leat.NewEvent("t", &leat.EventOptions{ID: strconv.FormatInt(l.next, 10), Source: "/s", Key: key, Data: []byte(data)})
	require.NoError(l.t, err)
	r, err := EncodeRecord(e)
	require.NoError(l.t, err)
	r.Topic, r.Offset = "t", l.next
	if l.keyless && key != "" {
		r = rec([]byte(data), "ce_specversion", "1.0", "ce_id", e.ID(), "ce_source", "/s", "ce_type", "t")
		r.Topic, r.Partition, r.Offset, r.Key = "t", 0, l.next, []byte(key)
	}
	l.next++
	l.polled = append(l.polled, chunk{tenure: l.tenures[0], records: []*kgo.Record{r}})
}

// get returns what up to n deliveries hold.
func (l *loose) get(n int) (ids []string, deliveries []leat.Delivery) {
	l.t.Helper()
	into := make([]leat.Delivery, n)
	got, _, err := l.fill(into)
	require.NoError(l.t, err)
	for _, d := range into[:got] {
		ids = append(ids, d.Event.ID())
	}
	return ids, into[:got]
}

func (l *loose) settle(action leat.Action, deliveries ...leat.Delivery) {
	for i := range deliveries {
		l.Settle(&deliveries[i], leat.Settlement{Action: action})
	}
}

// TestGivenBackWaitsForRoomBeforeLaterOnes: a large event that is given back and does not fit is
// not overtaken by a small one.
func TestGivenBackWaitsForRoomBeforeLaterOnes(t *testing.T) {
	for _, keyless := range []bool{false, true} {
		l := newLoose(t, 2_000)
		l.keyless = keyless
		l.put("k", strings.Repeat("x", 1_500))
		l.put("k", "")
		_, both := l.get(10)
		require.Len(t, both, 2)
		l.settle(leat.GiveBack, both[0]) // it waits for the other one of its key
		l.put("other", strings.Repeat("y", 1_000))
		ids, other := l.get(10)
		require.Equal(t, []string{"2"}, ids)
		l.settle(leat.Ack, both[1])
		l.put("k", "small")
		l.put("yet another", "small")
		ids, _ = l.get(10)
		require.Empty(t, ids)
		l.settle(leat.Ack, other...)
		ids, _ = l.get(10)
		require.Equal(t, []string{"0"}, ids)
		ids, _ = l.get(10)
		assert.Equal(t, []string{"3", "4"}, ids)
	}
}

// TestGivenBackTwiceComesFirst: what is given back again while others of its key wait to be
// delivered again comes before them.
func TestGivenBackTwiceComesFirst(t *testing.T) {
	for _, keyless := range []bool{false, true} {
		l := newLoose(t, 1<<20)
		l.keyless = keyless
		for range 3 {
			l.put("k", "")
		}
		_, all := l.get(10)
		l.settle(leat.GiveBack, all...)
		ids, first := l.get(1)
		require.Equal(t, []string{"0"}, ids)
		l.settle(leat.GiveBack, first...)
		ids, _ = l.get(10)
		assert.Equal(t, []string{"0", "1", "2"}, ids)
	}
}

// TestPauseEndsWithTheTenure: a partition that is paused for its gap, goes, and comes back, is
// fetched from again.
func TestPauseEndsWithTheTenure(t *testing.T) {
	l := newLoose(t, 1<<20)
	for range 4 {
		l.put("", "")
	}
	_, all := l.get(10)
	l.settle(leat.Ack, all[1:]...)
	l.resumePartitions()
	require.Equal(t, map[string][]int32{"t": {0}}, l.client.PauseFetchPartitions(nil))
	l.end(l.all())
	l.begin(0)
	l.resumePartitions()
	assert.Empty(t, l.client.PauseFetchPartitions(nil)["t"])
}

// TestLostTenureDoesNotForgetProgress: a tenure that ends before it knows where the group is leaves
// what an earlier one had come to.
func TestLostTenureDoesNotForgetProgress(t *testing.T) {
	l := newLoose(t, 1<<20)
	l.put("", "")
	_, all := l.get(1)
	l.settle(leat.Ack, all...)
	l.end(l.all())
	l.begin(0)
	l.end(l.all())
	none := commit{offset: -1}
	assert.Equal(t, progress{committed: none, tried: none, watermark: 1, aboveEpoch: -1}, l.progress[0])
}

// TestSilenceAfterALossOfData: a partition from which nothing comes after a loss is silent where
// the client goes on, not where it was before: otherwise what stands between would look as if it
// had been read, and health would be good.
func TestSilenceAfterALossOfData(t *testing.T) {
	t.Parallel()
	l := newLoose(t, 1<<20)
	l.poll = func() {} // Receive waits for records
	l.tenures[0].next = 9
	l.tenures[0].failed(&kgo.ErrDataLoss{Topic: "t", ConsumedTo: 9, ResetTo: 3})
	require.Empty(t, l.silent(), "the first look")
	assert.Equal(t, map[int32]int64{0: 3}, l.silent())
}

// TestSkippedRecordsAreFetched: where the first records of a tenure begin later than they should,
// the client is told once more where to begin. What comes then is taken, since there may be no
// records before.
func TestSkippedRecordsAreFetched(t *testing.T) {
	l := newLoose(t, 1000)
	l.placed(map[int32]kgo.Offset{0: kgo.NewOffset().At(5)})
	partitions := []kgo.FetchPartition{{Records: []*kgo.Record{{Offset: 7}, {Offset: 8}}}}
	fetched := kgo.Fetches{{Topics: []kgo.FetchTopic{{Topic: "t", Partitions: partitions}}}}
	l.mu.Lock()
	defer l.mu.Unlock()
	require.Equal(t, map[int32]kgo.EpochOffset{0: {Epoch: -1, Offset: 5}}, l.take(fetched))
	require.Empty(t, l.polled)
	require.Empty(t, l.take(fetched))
	require.Len(t, l.polled, 1)
	require.EqualValues(t, 9, l.tenures[0].next)
	partitions[0].Records = []*kgo.Record{{Offset: 12}}
	require.Empty(t, l.take(fetched), "later gaps are those of the topic")
}

// TestASessionFailsWhereATopicIsConsumedAnew: the one that comes next, and no other. One without
// partitions has nothing to fail with, and none fails where the client is not asking for offsets.
func TestASessionFailsWhereATopicIsConsumedAnew(t *testing.T) {
	l := newLoose(t, 1000)
	l.presence, l.conns = newPresence(&Options{}), &connections{}
	none, some := map[string][]int32{}, map[string][]int32{"t": {0}}
	offsets := func() map[string]map[int32]kgo.Offset {
		return map[string]map[int32]kgo.Offset{"t": {0: kgo.NewOffset().At(3)}}
	}
	was := l.tenures[0]

	l.consumeAnew(l.all())
	l.assigned(t.Context(), l.client, some)
	require.Empty(t, l.tenures, "the client will let go of it")
	require.True(t, was.ended)
	_, err := l.fetched(t.Context(), offsets())
	require.ErrorIs(t, err, errAnew)
	l.assigned(t.Context(), l.client, some)
	require.Len(t, l.tenures, 1)
	got, err := l.fetched(t.Context(), offsets())
	require.NoError(t, err)
	require.Equal(t, offsets(), got)

	l.consumeAnew(l.all()) // the client has an answer, and has not set it
	require.True(t, l.anew)
	l.assigned(t.Context(), l.client, none)
	l.assigned(t.Context(), l.client, some)
	_, err = l.fetched(t.Context(), offsets())
	require.NoError(t, err, "a member that had no partitions does not fail when it gets some, whenever that is")

	l.tenures[0].began = true
	l.consumeAnew(l.all())
	require.False(t, l.anew)
	l.starting = 1
	l.consumeAnew(l.all())
	require.True(t, l.anew, "a session begins behind it, whose partitions are known to the client already")
}
