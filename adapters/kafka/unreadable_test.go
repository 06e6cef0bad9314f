package kafka_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// tooMuch is a value that is small on the wire and larger than the client may decompress.
func tooMuch() []byte { return make([]byte, 40<<20) }

// produceBombs produces records that decompress to more than the client takes, one batch each.
func produceBombs(t *testing.T, codec kgo.CompressionCodec, topic string, partition int32, n int, addrs ...string) {
	t.Helper()
	raw, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.DisableClientMetrics(), kgo.ProducerBatchMaxBytes(64<<20),
		kgo.ProducerBatchCompression(codec), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	defer raw.Close()
	for range n {
		require.NoError(t, raw.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: partition, Value: tooMuch()}).FirstErr())
	}
}

// TestRecordThatDecompressesTooLarge puts records that decompress to more than the client takes at
// the start, between and behind events: each is one malformed delivery that names its offset, also
// after it was given back; everything else is delivered, the group's offset passes them, and health
// is good.
func TestRecordThatDecompressesTooLarge(t *testing.T) {
	t.Parallel()
	addrs := brokertest.Kafka(t)
	admin := liveAdmin(t, addrs...)
	for name, codec := range map[string]kgo.CompressionCodec{"zstd": kgo.ZstdCompression(), "gzip": kgo.GzipCompression()} {
		for _, broadcast := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s-%t", name, broadcast), func(t *testing.T) {
				t.Parallel()
				topic := liveTopic(t, admin, 1)
				b := liveBroker(t, liveOptions(addrs...))
				sub := leat.Subscription{Topic: topic, Group: topic, Broadcast: broadcast}
				if broadcast {
					sub.Group = ""
				}
				var s leat.Stream
				if broadcast {
					s = liveSubscribe(t, b, sub)
				}
				produceBombs(t, codec, topic, 0, 2, addrs...)
				require.NoError(t, livePublish(t.Context(), b, topic, liveEvents(t, 2, 4, 1)...))
				produceBombs(t, codec, topic, 0, 1, addrs...)
				require.NoError(t, livePublish(t.Context(), b, topic, liveEvents(t, 5, 6, 1)...))
				produceBombs(t, codec, topic, 0, 1, addrs...)
				if !broadcast {
					s = liveSubscribe(t, b, sub)
				}
				for _, d := range liveHold(t, s, 7) { // the first time, all is given back
					s.Settle(&d, leat.Settlement{Action: leat.GiveBack})
				}
				got := map[int64]bool{}
				for _, d := range liveHold(t, s, 7) {
					got[d.Position.Offset] = d.Malformed != nil
					if d.Malformed != nil {
						assert.ErrorContains(t, d.Malformed.Reason, fmt.Sprintf("offset %d ", d.Position.Offset))
						assert.ErrorContains(t, d.Malformed.Reason, "MaxDecompressBatchBytes")
					}
					s.Settle(&d, leat.Settlement{Action: leat.Ack})
				}
				assert.Equal(t, map[int64]bool{0: true, 1: true, 2: false, 3: false, 4: true, 5: false, 6: true}, got)
				if !broadcast {
					liveCommitted(t, b, topic, topic, 7)
				}
				assert.NoError(t, health(s))
			})
		}
	}
}

// TestRecordThatDecompressesTooLargeAndARebalance moves the partition while such a record is out:
// the other member gets it again.
func TestRecordThatDecompressesTooLargeAndARebalance(t *testing.T) {
	t.Parallel()
	addrs := brokertest.Kafka(t)
	topic := liveTopic(t, liveAdmin(t, addrs...), 1)
	b := liveBroker(t, liveOptions(addrs...))
	require.NoError(t, livePublish(t.Context(), b, topic, liveEvents(t, 0, 1, 1)...))
	produceBombs(t, kgo.ZstdCompression(), topic, 0, 1, addrs...)
	require.NoError(t, livePublish(t.Context(), b, topic, liveEvents(t, 2, 3, 1)...))
	first, err := b.Subscribe(t.Context(), leat.Subscription{Topic: topic, Group: topic})
	require.NoError(t, err)
	held := liveHold(t, first, 3)
	first.Settle(&held[0], leat.Settlement{Action: leat.Ack})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(t, first.Close(ctx))
	second := liveSubscribe(t, b, leat.Subscription{Topic: topic, Group: topic})
	again := liveHold(t, second, 2)
	assert.NotNil(t, again[0].Malformed)
	assert.Equal(t, int64(1), again[0].Position.Offset)
	assert.Equal(t, "2", again[1].Event.ID())
}
