package kafka_test

import (
	"context"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestCompressions publishes with each codec, and looks with another client at what the broker has
// stored. Numbers of codecs are those of Kafka's record batches.
func TestCompressions(t *testing.T) {
	t.Parallel()
	addrs := brokertest.Kafka(t)
	for name, codec := range map[string]uint8{"": 3, "none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4} {
		t.Run("codec "+name, func(t *testing.T) {
			t.Parallel()
			o := liveOptions(addrs...)
			o.Compression = name
			b := liveBroker(t, o)
			topic := liveTopic(t, liveAdmin(t, addrs...), 1)
			sent := sized("1", "key", 10_000)
			require.NoError(t, leat.NewProducer(b, nil).Publish(t.Context(), topic, sent))

			reader, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
			require.NoError(t, err)
			t.Cleanup(reader.Close)
			ctx, cancel := context.WithTimeout(t.Context(), livePatience)
			defer cancel()
			fetched := reader.PollRecords(ctx, 1)
			require.NoError(t, fetched.Err())
			record := fetched.Records()[0]
			require.Equal(t, codec, record.Attrs.CompressionType())
			require.Equal(t, sent.Data(), record.Value)
		})
	}
}
