package kafka_test

import (
	"context"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/leatgo/leat/internal/poisonload"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestWhatDoesNotFitIntoThePoisonQueue has messages that a poison queue on Kafka cannot take as they are.
func TestWhatDoesNotFitIntoThePoisonQueue(t *testing.T) {
	addrs := brokertest.Kafka(t)
	raw, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.ProducerBatchMaxBytes(1_048_588),
		kgo.ProducerBatchCompression(kgo.NoCompression()))
	require.NoError(t, err)
	t.Cleanup(raw.Close)
	topic := liveTopic(t, liveAdmin(t, addrs...), 4)
	poisonload.Shapes(t, liveBroker(t, liveOptions(addrs...)), topic, poisonload.Injector{
		LargeBytes: 1_047_700,
		Event: func(ctx context.Context, topic string, e leat.Event) error {
			r, err := kafka.EncodeRecord(e)
			if err != nil {
				return err
			}
			r.Topic = topic
			return raw.ProduceSync(ctx, r).FirstErr()
		},
		Raw: func(ctx context.Context, topic string, body []byte) error {
			return raw.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: body}).FirstErr()
		},
	})
}

// TestRejectedEventsAmongManyDelayNone has 1,000 rejected events among 100,000 good ones where LEAT_LONG is set, else a tenth of that.
func TestRejectedEventsAmongManyDelayNone(t *testing.T) {
	addrs := brokertest.Kafka(t)
	for name, refused := range map[string]bool{"that do not fit into the poison queue": false, "that it refuses": true} {
		t.Run(name, func(t *testing.T) {
			topic := liveTopic(t, liveAdmin(t, addrs...), 4)
			poisonload.Among(t, liveBroker(t, liveOptions(addrs...)), topic, refused)
		})
	}
}
