package cases

import (
	"context"

	"github.com/IBM/sarama"
	"github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/benchmarks/internal/bench"
	"github.com/leatgo/leat/benchmarks/internal/load"
)

// encodeEvents is how often a round encodes, so that it lasts for a quarter of a second or more.
const encodeEvents = 400_000

func encode() bench.Group {
	const leatCase = "Leat, EncodeRecord"
	return bench.Group{
		Name: "encode",
		About: "An event that is there to a record in binary mode, key included. Leat copies the data, because events are immutable; the SDK " +
			"keeps it. No broker takes part.",
		Cases: []bench.Case{
			{Name: "CloudEvents SDK, WriteProducerMessage", Events: encodeEvents / 4, Start: startSDKEncode},
			{Name: leatCase, Events: encodeEvents, Start: startLeatEncode},
		},
		Goals: []bench.Goal{{Case: leatCase, Min: 6}, {Case: leatCase, Metric: bench.Allocs, Max: 3}},
	}
}

func startLeatEncode(context.Context, int) (bench.Instance, error) {
	e, err := load.NewEvent(load.NewNames(1).At(0))
	return &bench.Loop{Do: func() error {
		_, err := kafka.EncodeRecord(e)
		return err
	}}, err
}

func startSDKEncode(ctx context.Context, _ int) (bench.Instance, error) {
	id, key, data := load.NewNames(1).At(0)
	e := event.New()
	e.SetID(id)
	e.SetSource(load.Source)
	e.SetType(load.Type)
	e.SetSubject(load.Subject)
	e.SetTime(load.Time())
	e.SetExtension("partitionkey", key)
	err := e.SetData(load.ContentType, data)
	ctx = context.WithoutCancel(ctx)
	return &bench.Loop{Do: func() error {
		return kafka_sarama.WriteProducerMessage(ctx, binding.ToMessage(&e), &sarama.ProducerMessage{Topic: "orders"})
	}}, err
}
