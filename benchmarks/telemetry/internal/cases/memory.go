package cases

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/benchmarks/internal/bench"
	"github.com/leatgo/leat/benchmarks/internal/load"
	"github.com/leatgo/leat/middleware"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// What the cases in memory share.
const (
	topic        = "orders"
	group        = "billing"
	memoryEvents = 500_000
	sampledAll   = 200_000 // events of a round where every span is exported
	prebuilt     = 10_000
	handlers     = 64
	inFlight     = 1_000
	traceParent  = "traceparent"
)

// inMemory measures each part of the telemetry by itself, and all of it.
func inMemory() bench.Group {
	const (
		counted         = "OpenTelemetry: counters and gauges"
		timed           = "OpenTelemetry: the same and the handler's histogram, in `Histograms`"
		timedBySDK      = "OpenTelemetry: counters, gauges and the handler's histogram, in the SDK"
		rootsOut, out   = "OpenTelemetry: handler's spans sampled out, events without a trace", "OpenTelemetry: handler's spans sampled out"
		late            = "OpenTelemetry: the same with `LateAttributes`"
		allIn           = "OpenTelemetry: handler's spans, all sampled"
		allOfPrometheus = "Prometheus: everything"
	)
	sampledOut := choice{process: true, sampler: sdktrace.NeverSample()}
	sampledLate := choice{process: true, sampler: sdktrace.NeverSample(), late: true}
	sampledIn := choice{process: true, sampler: sdktrace.AlwaysSample()}
	everything := func(sampler sdktrace.Sampler) choice {
		return choice{metrics: true, publish: true, process: true, sampler: sampler}
	}
	return bench.Group{
		Name: "memory/leat",
		About: "From publish to the handler in one process: 1 KiB of data; one goroutine publishes one of 10,000 prebuilt events after the " +
			"other; 1,000 in flight; 64 handlers behind `middleware.Retry`, which count. Counters and gauges are read every 100 ms, a " +
			"hundred times as often as a Prometheus usually does. Spans go through a batcher that loses none, to an exporter that discards " +
			"them. The cases of the handler's spans have no metrics, and their events carry a traceparent of another service, unless the name " +
			"says otherwise. *Everything* is counters, gauges, histograms, and the spans of publishes and handlers, so that the events get a " +
			"traceparent.",
		Cases: []bench.Case{
			memoryCase("Leat, no telemetry", memoryEvents, choice{}, false),
			memoryCase("no telemetry, a handler of 300 ns", memoryEvents, choice{burn: 300 * time.Nanosecond}, false),
			memoryCase("no telemetry, a handler of 1 us", memoryEvents, choice{burn: time.Microsecond}, false),
			memoryCase(counted, memoryEvents, choice{metrics: true}, false),
			memoryCase(timed, memoryEvents, choice{metrics: true, process: true, own: true, noAge: true}, false),
			memoryCase("OpenTelemetry: the same and that of ages, in `Histograms`", memoryEvents,
				choice{metrics: true, process: true, own: true}, false),
			memoryCase(timedBySDK, memoryEvents, choice{metrics: true, process: true, noAge: true}, false),
			memoryCase("OpenTelemetry: the same and that of ages, in the SDK", memoryEvents, choice{metrics: true, process: true}, false),
			memoryCase(rootsOut, memoryEvents, sampledOut, false),
			memoryCase(out, memoryEvents, sampledOut, true),
			memoryCase(late, memoryEvents, sampledLate, true),
			memoryCase(allIn, sampledAll, sampledIn, true),
			memoryCase("OpenTelemetry: everything, spans sampled out", memoryEvents, everything(sdktrace.NeverSample()), false),
			memoryCase("OpenTelemetry: everything, 1 % sampled", memoryEvents, everything(onePercent()), false),
			memoryCase("OpenTelemetry: everything, all sampled", sampledAll, everything(sdktrace.AlwaysSample()), false),
			memoryCase(allOfPrometheus, memoryEvents, choice{prometheus: true}, false),
		},
		Goals: []bench.Goal{
			{Case: counted, Min: 0.97},
			{Case: counted, Metric: bench.CPURatio, Max: 1.03},
			{Case: timed, Metric: bench.CPUAbove, Max: 300},
			{Case: timed, Metric: bench.AllocsAbove, Max: 0.05},
			{Case: timedBySDK, Metric: bench.CPUAbove, Max: 300},
			{Case: timedBySDK, Metric: bench.AllocsAbove, Max: 0.05},
			{Case: rootsOut, Metric: bench.CPUAbove, Max: 450},
			{Case: rootsOut, Metric: bench.AllocsAbove, Max: 3.05},
			{Case: out, Metric: bench.CPUAbove, Max: 450},
			{Case: out, Metric: bench.AllocsAbove, Max: 3.05},
			{Case: late, Metric: bench.CPUAbove, Max: 450},
			{Case: late, Metric: bench.AllocsAbove, Max: 3.05},
			{Case: allIn, Metric: bench.CPUAbove, Max: 3_500},
		},
	}
}

// memoryPath is Leat on the memory adapter.
type memoryPath struct {
	*load.Counter

	events    []leat.Event
	broker    leat.Broker
	producer  *leat.Producer
	telemetry *telemetry
	stop      context.CancelFunc
	ran       chan error
}

func memoryCase(name string, events int, c choice, traced bool) bench.Case {
	return bench.Case{Name: name, Events: events, Start: func(ctx context.Context, _ int) (bench.Instance, error) {
		p := &memoryPath{Counter: load.NewCounter(), broker: memory.New(nil), ran: make(chan error, 1)}
		if err := p.start(ctx, c, traced); err != nil {
			return nil, errors.Join(err, p.broker.Close())
		}
		return p, nil
	}}
}

func (p *memoryPath) start(ctx context.Context, c choice, traced bool) (err error) {
	if p.events, err = newEvents(traced); err != nil {
		return err
	}
	sub := leat.Subscription{Topic: topic, Group: group}
	if err := leat.Declare(ctx, p.broker, sub); err != nil {
		return err
	}
	if p.telemetry, err = c.on(p.broker); err != nil {
		return err
	}
	p.producer = leat.NewProducer(p.broker, &leat.ProducerOptions{Middleware: p.telemetry.publish})
	handler := leat.HandlerFunc(func(context.Context, leat.Event) error {
		burn(c.burn)
		p.Add()
		return nil
	})
	consumer := leat.NewConsumer(p.broker, sub, handler, &leat.ConsumerOptions{
		Concurrency: handlers, MaxInFlight: inFlight, Middleware: append(p.telemetry.process, middleware.Retry(nil)),
	})
	p.telemetry.watch(consumer, p.producer)
	ctx, p.stop = context.WithCancel(context.WithoutCancel(ctx))
	go func() { p.ran <- leat.Run(ctx, consumer) }()
	return nil
}

// burn keeps a processor busy for so long.
func burn(d time.Duration) {
	if d == 0 {
		return
	}
	for began := time.Now(); time.Since(began) < d; {
	}
}

// newEvents returns events that are published in turn, more than are ever in flight. With traced
// each carries a traceparent of its own, of a trace that was sampled.
func newEvents(traced bool) ([]leat.Event, error) {
	names, events := load.NewNames(prebuilt), make([]leat.Event, prebuilt)
	for i := range events {
		id, _, data := names.At(i)
		e, err := newEvent(id, "", data)
		if err != nil {
			return nil, err
		}
		if traced {
			e = e.WithExtension(traceParent, fmt.Sprintf("00-%032x-%016x-01", i+1, i+1))
		}
		events[i] = e
	}
	return events, nil
}

// newEvent makes an event of now: a handler's span is part of the trace of a publish that is no
// older than an hour.
func newEvent(id, key string, data []byte) (leat.Event, error) {
	return leat.NewEvent(load.Type, &leat.EventOptions{
		ID: id, Source: load.Source, Subject: load.Subject, Time: time.Now(), DataContentType: load.ContentType, Key: key, Data: data,
	})
}

// Run publishes n events and waits until they are handled.
func (p *memoryPath) Run(ctx context.Context, n int) error {
	p.Expect(n)
	for i := range n {
		if err := p.producer.Publish(ctx, topic, p.events[i%len(p.events)]); err != nil {
			return errors.Join(errors.New("event "+strconv.Itoa(i)), err)
		}
	}
	return p.Wait(ctx)
}

// Close stops the Consumer, the telemetry and the broker.
func (p *memoryPath) Close() error {
	p.stop()
	return errors.Join(<-p.ran, p.telemetry.off(), p.broker.Close())
}
