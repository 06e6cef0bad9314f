package cases

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/benchmarks/internal/bench"
	"github.com/leatgo/leat/benchmarks/internal/load"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kotel"
	"go.opentelemetry.io/otel/propagation"
)

const (
	kafkaEvents     = 200_000
	kafkaInFlight   = 10_000
	kafkaPartitions = 12
	consumers       = 16 // handlers
)

// consumed is everything that a consumer can have on, in its cheapest form.
func consumed() choice {
	return choice{metrics: true, process: true, sampler: onePercent(), own: true, late: true}
}

// consumedBySDK is the same with the options at their defaults.
func consumedBySDK() choice { return choice{metrics: true, process: true, sampler: onePercent()} }

func (e *Env) kafkaConsume() bench.Group {
	const kotelOn = "franz-go with kotel, 1 % sampled"
	return bench.Group{
		Name: "kafka/consume",
		About: "A member of a new group consumes 12 partitions that were filled before, by a Leat producer with spans of which 1 % were " +
			"sampled, so that each event has a traceparent. The handler checks that each event comes once and in the order of its key. " +
			"*Everything* is counters, gauges, the lag, the histogram and a span of each handler. kotel counts connections, bytes and " +
			"records, makes a span of each record that is received, and one that is processed, which the loop begins and ends; it times nothing.",
		Cases: []bench.Case{
			e.fromKafka("Leat, no telemetry", leatFromKafka(choice{})), e.fromKafka(everythingOn, leatFromKafka(consumed())),
			e.fromKafka(everythingBySDK, leatFromKafka(consumedBySDK())),
			e.fromKafka("franz-go, poll loop", franzFromKafka(false)), e.fromKafka(kotelOn, franzFromKafka(true)),
		},
		Goals: []bench.Goal{
			{Case: everythingOn, Metric: bench.CPURatio, Max: mostCPU},
			{Case: everythingBySDK, Metric: bench.CPURatio, Max: mostCPU},
		},
	}
}

// Everything that a consumer can have on.
const (
	everythingOn    = "Leat, everything, 1 % sampled, with `Histograms` and `LateAttributes`"
	everythingBySDK = "Leat, everything, 1 % sampled"
)

// mostCPU is the ratio of processor time at which consuming is 0.90 times as fast.
const mostCPU = 1.11

// startConsumer starts a party's consumer that hands every event to a, and returns what ends it.
type startConsumer func(e *Env, topic, group string, a *load.Arrivals) (closeIt func() error, err error)

// consuming is a case that consumes what is there.
type consuming struct {
	*load.Arrivals

	closeIt func() error
}

// Run lets n more events through and waits for them.
func (c *consuming) Run(ctx context.Context, n int) error {
	c.Expect(n)
	return errors.Join(c.Wait(ctx), c.Err())
}

// Close ends the consumer.
func (c *consuming) Close() error {
	c.Release()
	return errors.Join(c.closeIt(), c.Err())
}

func (e *Env) fromKafka(name string, start startConsumer) bench.Case {
	begin := func(ctx context.Context, n int) (bench.Instance, error) {
		n += bench.WarmUp(n)
		topic, err := e.filledTopic(ctx, n)
		if err != nil {
			return nil, err
		}
		c := &consuming{Arrivals: load.NewArrivals(n, true)}
		c.closeIt, err = start(e, topic, e.name("group"), c.Arrivals)
		return c, err
	}
	return bench.Case{Name: name, Events: kafkaEvents, ShortEvents: shortEvents, Start: begin}
}

func (e *Env) leatOnKafka() (*kafka.Broker, error) {
	return kafka.New(&kafka.Options{
		Hosts: e.Kafka, Compression: "none", Provision: kafka.ProvisionOff, Buffer: load.InFlight, Start: kafka.StartEarliest,
	})
}

// filledTopic returns a topic with n events, which all cases consume.
func (e *Env) filledTopic(ctx context.Context, n int) (string, error) {
	if e.topic != "" {
		return e.topic, nil
	}
	name := e.name("topic")
	if err := e.createTopic(ctx, name); err != nil {
		return "", err
	}
	broker, err := e.leatOnKafka()
	if err != nil {
		return "", err
	}
	if err := errors.Join(e.fill(ctx, broker, name, n), broker.Close()); err != nil {
		return "", err
	}
	e.topic = name
	return name, nil
}

// createTopic makes a topic and waits for the leaders of its partitions.
func (e *Env) createTopic(ctx context.Context, topic string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(e.Kafka...))
	if err != nil {
		return err
	}
	admin := kadm.NewClient(client)
	defer admin.Close()
	if _, err := admin.CreateTopic(ctx, kafkaPartitions, 1, nil, topic); err != nil {
		return err
	}
	for {
		listed, err := admin.ListEndOffsets(ctx, topic)
		if err == nil && listed.Error() == nil && len(listed[topic]) == kafkaPartitions {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("the partitions of %s have no leader: %w", topic, errors.Join(err, ctx.Err()))
		}
	}
}

// leatFromKafka runs a Consumer with what is chosen.
func leatFromKafka(c choice) startConsumer {
	return func(e *Env, topic, group string, a *load.Arrivals) (func() error, error) {
		broker, err := e.leatOnKafka()
		if err != nil {
			return nil, err
		}
		return c.consume(broker, leat.Subscription{Topic: topic, Group: group}, a, kafkaInFlight)
	}
}

// consume runs a Consumer with what is chosen, and returns what ends it.
func (c choice) consume(broker leat.Broker, sub leat.Subscription, a *load.Arrivals, maxInFlight int) (func() error, error) {
	on, err := c.on(broker)
	if err != nil {
		return nil, errors.Join(err, broker.Close())
	}
	consumer := load.Consume(broker, sub, a, consumers, maxInFlight, 0, on.process...)
	on.watch(consumer.Leat, nil)
	return func() error { return errors.Join(on.off(), consumer.Close()) }, nil
}

// franzFromKafka polls in a loop, with kotel or without.
func franzFromKafka(traced bool) startConsumer {
	return func(e *Env, topic, group string, a *load.Arrivals) (func() error, error) {
		on := &telemetry{}
		o := []kgo.Opt{
			kgo.SeedBrokers(e.Kafka...), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableClientMetrics(),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		}
		handle := func(r *kgo.Record) { a.Handle(recordIndex(r)) }
		if traced {
			tracer := kotel.NewTracer(kotel.TracerProvider(on.tracers(onePercent())), kotel.ConsumerGroup(group),
				kotel.TracerPropagator(propagation.TraceContext{}))
			o = append(o, kgo.WithHooks(kotel.NewKotel(kotel.WithTracer(tracer),
				kotel.WithMeter(kotel.NewMeter(kotel.MeterProvider(on.meters())))).Hooks()...))
			handle = func(r *kgo.Record) {
				_, span := tracer.WithProcessSpan(r)
				a.Handle(recordIndex(r))
				span.End()
			}
		}
		client, err := kgo.NewClient(o...)
		if err != nil {
			return nil, errors.Join(err, on.off())
		}
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for ctx.Err() == nil {
				client.PollFetches(ctx).EachRecord(handle)
			}
		}()
		return func() error {
			stop()
			<-ended
			client.Close()
			return on.off()
		}, nil
	}
}

// recordIndex returns the number of a record's event and reads nothing else.
func recordIndex(r *kgo.Record) int {
	for i := range r.Headers {
		if r.Headers[i].Key == "ce_id" {
			return load.IndexOf(r.Headers[i].Value)
		}
	}
	return -1
}
