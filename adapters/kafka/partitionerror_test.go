package kafka_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// These tests hold what the stream does with every error after which the client does not go on by
// itself in a partition. Found in the source of franz-go 1.22.2, by what sets a cursor aside, what
// is reported with addFakeReadyForDraining, and what ProcessFetchPartition returns:
//
//	error                                            the client                          the stream
//	ErrDecompressTooLarge                            stops until SetOffsets              one malformed delivery (unreadable_test.go)
//	unknown magic                                    skips the first offset, once        one malformed delivery, then health
//	a batch that cannot be decompressed or parsed    fetches it again and again          health, calmly, as long as it lasts
//	a batch that is cut, or has fewer records        fetches it again, without an error  health after two looks (stall.go)
//	a response larger than BrokerMaxReadBytes        fetches it again; no partition      health, as long as it lasts
//	an error code in a fetch                         fetches again                       health, calmly, as long as it lasts
//	an error code of a partition in OffsetFetch      never asks again                    health, and all is assigned again later
//	a partition missing in OffsetFetch               never asks again                    the same
//	UNKNOWN_TOPIC_ID of a topic that was made anew   never adopts the new topic          the new topic (recreate_test.go)
//	ErrDataLoss, OFFSET_OUT_OF_RANGE                 goes on elsewhere                   health for 5 minutes
//	errors of ListOffsets and OffsetForLeaderEpoch   asks again                          health, as long as it lasts

// batch is a record batch of one record, which break may spoil.
func batch(offset int64, spoil func(b *kmsg.RecordBatch)) []byte {
	record := kmsg.Record{Value: []byte("v")}
	record.Length = int32(len(record.AppendTo(nil)) - 1)
	b := kmsg.RecordBatch{FirstOffset: offset, Magic: 2, NumRecords: 1, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1,
		Records: record.AppendTo(nil)}
	if spoil != nil {
		spoil(&b)
	}
	b.Length = int32(len(b.AppendTo(nil)) - 12)
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

// spoilt are batches that the client cannot read.
var spoilt = map[string]struct {
	raw   []byte
	shows string // in health
}{
	"checksum":       {func() []byte { b := batch(1, nil); b[20]++; return b }(), "crc"},
	"compression":    {batch(1, func(b *kmsg.RecordBatch) { b.Attributes = 4; b.Records = []byte("not zstd") }), "decompress"},
	"codec":          {batch(1, func(b *kmsg.RecordBatch) { b.Attributes = 7 }), "decompress"},
	"negative count": {batch(1, func(b *kmsg.RecordBatch) { b.NumRecords = -1 }), "negative record count"},
	"no bytes":       {batch(1, func(b *kmsg.RecordBatch) { b.Records = nil }), "no record bytes"},
	"fewer records":  {batch(1, func(b *kmsg.RecordBatch) { b.Records = []byte{100, 1} }), "nothing comes from partition 0"},
	"cut":            {batch(1, nil)[:40], "nothing comes from partition 0"},
}

// answer makes every fetch from offset 1 on get raw bytes, and counts them.
func (f *fake) answer(raw []byte) *atomic.Int64 {
	count := &atomic.Int64{}
	f.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		f.KeepControl()
		fetch := req.(*kmsg.FetchRequest)
		for _, t := range fetch.Topics {
			for _, p := range t.Partitions {
				if p.FetchOffset < 1 {
					continue
				}
				count.Add(1)
				resp := fetch.ResponseKind().(*kmsg.FetchResponse)
				rt, rp := kmsg.NewFetchResponseTopic(), kmsg.NewFetchResponseTopicPartition()
				rt.Topic, rt.TopicID = t.Topic, t.TopicID
				rp.Partition, rp.HighWatermark, rp.LastStableOffset, rp.RecordBatches = p.Partition, 2, 2, raw
				rt.Partitions = append(rt.Partitions, rp)
				resp.Topics = append(resp.Topics, rt)
				return resp, nil, true
			}
		}
		return nil, nil, false //nolint:nilnil // not handled
	})
	return count
}

// TestBatchesThatCannotBeRead: health says so as long as it lasts, and names what is wrong or
// where; the client does not ask without a pause.
func TestBatchesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	name := func(name string) string { return name }
	table(t, slices.Sorted(maps.Keys(spoilt)), name, func(name string) error {
		f := newFake(t, kfake.SeedTopics(1, "t"))
		b := open(t, quick(f.ListenAddrs()...))
		r, fetches, err := f.readSpoilt(b, spoilt[name].raw)
		if err != nil {
			return err
		}
		defer r.stop()
		shows := func() error { return saysWrong(r.stream, spoilt[name].shows) }
		if err := await(30*time.Second, shows); err != nil {
			return err
		}
		before := fetches.Load()
		<-time.After(12 * time.Second) // longer than health remembers an error
		if n := fetches.Load() - before; n > 36 {
			return fmt.Errorf("%d fetches in 12 s", n)
		}
		if err := r.until(0, "0"); err != nil || len(r.ids) > 1 {
			return fmt.Errorf("received %v: %w", r.ids, err)
		}
		return shows()
	})
}

// readSpoilt reads event 0 of topic t, behind which raw bytes come in the place of event 1.
func (f *fake) readSpoilt(b *kafka.Broker, raw []byte) (*reader, *atomic.Int64, error) {
	if err := publishOne(b, "t", event("0", "k"), 5*time.Second); err != nil {
		return nil, nil, err
	}
	fetches := f.answer(raw)
	s, err := b.Subscribe(context.Background(), leat.Subscription{Topic: "t", Group: "g"})
	if err != nil {
		return nil, nil, err
	}
	r := read(s)
	return r, fetches, cmpOr(r.until(10*time.Second, "0"), publishOne(b, "t", event("1", "k"), 5*time.Second))
}

// TestRecordFormatThatTheClientDoesNotKnow: it is one malformed delivery that names its offset, and
// the group's offset passes it.
func TestRecordFormatThatTheClientDoesNotKnow(t *testing.T) {
	t.Parallel()
	raw := batch(1, nil)
	raw[16] = 9
	f := newFake(t, kfake.SeedTopics(1, "t"))
	b := open(t, quick(f.ListenAddrs()...))
	require.NoError(t, publishOne(b, "t", event("0", "k"), 5*time.Second))
	f.answer(raw)
	s, err := b.Subscribe(t.Context(), leat.Subscription{Topic: "t", Group: "g"})
	require.NoError(t, err)
	assert.Equal(t, []string{"0"}, liveReceive(t, s, 1))
	bad := liveHold(t, s, 1)[0]
	require.NotNil(t, bad.Malformed)
	require.ErrorContains(t, bad.Malformed.Reason, "the record at offset 1 cannot be read")
	assert.Equal(t, int64(1), bad.Position.Offset)
	s.Settle(&bad, leat.Settlement{Action: leat.Ack})
	require.NoError(t, f.committed("g", "t", 2))
	liveNothing(t, s, time.Second)
}

func saysWrong(s leat.Stream, text string) error {
	err := health(s)
	if err == nil {
		return errors.New("health is good")
	}
	if !strings.Contains(err.Error(), text) {
		return fmt.Errorf("health does not say %q: %w", text, err)
	}
	return nil
}

// TestFetchErrorsThatStay answers the fetches of a partition with an error code until somebody
// mends it: health shows it as long as it lasts, the client does not ask without a pause, and then
// the stream goes on where it was.
func TestFetchErrorsThatStay(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	codes := slices.DeleteFunc(kafkaErrors(), func(c *kerr.Error) bool {
		return !long() && !likely(c) || c == kerr.OffsetOutOfRange // after which the client goes on elsewhere
	})
	table(t, codes, codeName, func(code *kerr.Error) error {
		return f.stays(code, kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}})
	})
}

func (f *fake) stays(code *kerr.Error, fault kfake.Fault) error {
	topic, err := f.topicFor("stays", code)
	if err != nil {
		return err
	}
	o := quick(f.ListenAddrs()...)
	b, err := kafka.New(&o)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	s, err := subscribeStubbornly(b, leat.Subscription{Topic: topic, Group: topic})
	if err != nil {
		return err
	}
	r := read(s)
	defer r.stop()
	if err := cmpOr(publishOne(b, topic, event("0", "k"), 5*time.Second), r.until(5*time.Second, "0")); err != nil {
		return err
	}
	fault.Topic, fault.Err, fault.Count = topic, code, -1
	h := f.Fault(fault)
	if err := publishOne(b, topic, event("1", "k"), 5*time.Second); err != nil {
		return err
	}
	if err := await(20*time.Second, func() error { return saysWrong(s, "") }); err != nil {
		return err
	}
	before := h.Hits()
	<-time.After(12 * time.Second)
	if err := saysWrong(s, ""); err != nil {
		return err
	}
	if n := h.Hits() - before; n > 200 && code != kerr.FencedLeaderEpoch { // for which the client finds nothing wrong, and fetches again
		return fmt.Errorf("%d requests in 12 s", n)
	}
	h.Remove()
	return cmpOr(r.until(20*time.Second, "1"), await(20*time.Second, func() error { return health(s) }))
}

// TestOffsetThatCannotBeRead answers the request for the group's offset of one partition with an
// error, or without the partition: health shows it as long as it lasts, the other partition goes
// on, and when the offset can be read, all of it is delivered, without what was handled.
func TestOffsetThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for _, code := range []*kerr.Error{kerr.TopicAuthorizationFailed, kerr.UnknownServerError} {
		t.Run(code.Message, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, kfake.SeedTopics(2, "t"))
			b := open(t, quick(f.ListenAddrs()...))
			sub := leat.Subscription{Topic: "t", Group: "g"}
			s, err := b.Subscribe(t.Context(), sub)
			require.NoError(t, err)
			r := read(s)
			publishAll := func(from, to int) (ids []string) {
				for _, e := range liveEvents(t, from, to, 20) {
					ids = append(ids, e.ID())
					require.NoError(t, publishOne(b, "t", e, 5*time.Second))
				}
				return ids
			}
			require.NoError(t, r.until(10*time.Second, publishAll(0, 20)...))
			r.stop()
			require.NoError(t, s.Close(t.Context()))
			var refuse atomic.Bool
			h := f.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Topic: "t", Partitions: []int32{1}, Err: code, Count: -1,
				When: func(kmsg.Request) bool { return refuse.Load() }})
			joins := f.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Err: code, Count: -1, When: func(kmsg.Request) bool {
				refuse.Store(true) // from when the group is joined on: Subscribe asks for the offsets before
				return false
			}})
			defer joins.Remove()
			s, err = b.Subscribe(t.Context(), sub)
			require.NoError(t, err)
			r = read(s)
			defer func() { r.stop() }()
			require.NoError(t, await(20*time.Second, func() error { return saysWrong(s, "the group's offset in partition 1 could not be read") }))
			ids := publishAll(20, 40)
			pause(t, 12*time.Second)
			require.NoError(t, saysWrong(s, "the group's offset in partition 1 could not be read"))
			r.mu.Lock()
			assert.NotEmpty(t, r.ids, "partition 0 goes on")
			r.mu.Unlock()
			h.Remove()
			require.NoError(t, r.until(20*time.Second, ids...))
			require.NoError(t, await(15*time.Second, func() error { return health(s) }))
			r.mu.Lock()
			defer r.mu.Unlock()
			for _, id := range r.ids {
				assert.Contains(t, ids, id, "what was handled before does not come again")
			}
		})
	}
}

// TestBatchLargerThanAResponse: the client can never read it, and names no partition; health says
// so as long as it lasts.
func TestBatchLargerThanAResponse(t *testing.T) {
	t.Parallel()
	f := newFake(t, kfake.SeedTopics(1, "t"))
	o := quick(f.ListenAddrs()...)
	o.Compression = "none"
	require.NoError(t, publishOne(open(t, o), "t", sized("0", "k", 900<<10), 10*time.Second))
	o.Client = []kgo.Opt{kgo.BrokerMaxReadBytes(300 << 10), kgo.FetchMaxBytes(300 << 10), kgo.FetchMaxPartitionBytes(300 << 10)}
	s, err := open(t, o).Subscribe(t.Context(), leat.Subscription{Topic: "t", Group: "g"})
	require.NoError(t, err)
	r := read(s)
	defer r.stop()
	shows := func() error { return saysWrong(s, "BrokerMaxReadBytes") }
	require.NoError(t, await(10*time.Second, shows))
	pause(t, 12*time.Second)
	require.NoError(t, shows())
}
