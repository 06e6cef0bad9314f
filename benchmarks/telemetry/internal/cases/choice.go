package cases

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/leatgo/leat"
	leatotel "github.com/leatgo/leat/middleware/otel"
	leatprometheus "github.com/leatgo/leat/middleware/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// readEvery is how often the metrics are read: a hundred times as often as a Prometheus reads them.
const readEvery = 100 * time.Millisecond

// choice is what a case has on. The zero value is nothing.
type choice struct {
	// metrics are the counters and gauges, which are read every 100 ms.
	metrics bool
	// publish and process are the two middlewares.
	publish, process bool
	// own keeps the histograms in leatotel.Histograms, and noAge leaves that of ages out.
	own, noAge bool
	// late is Options.LateAttributes.
	late bool
	// sampler makes spans, which go through a batcher. Nil makes none.
	sampler sdktrace.Sampler
	// prometheus takes the module for Prometheus alone, with all of it.
	prometheus bool
	// burn is how long a handler keeps a processor busy: what telemetry that takes so long would
	// cost.
	burn time.Duration
}

// onePercent samples as a service in production does.
func onePercent() sdktrace.Sampler { return sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0.01)) }

// telemetry is a choice that is switched on.
type telemetry struct {
	publish []leat.PublishMiddleware
	process []leat.Middleware
	watch   func(c *leat.Consumer, p *leat.Producer)
	ends    []func() error
}

// on switches the choice on for what uses the broker.
func (c choice) on(broker leat.Broker) (*telemetry, error) {
	t := &telemetry{watch: func(*leat.Consumer, *leat.Producer) {}}
	switch {
	case c.prometheus:
		return t, t.prometheus(broker)
	case !c.metrics && !c.publish && !c.process:
		return t, nil
	}
	return t, t.otel(broker, c)
}

// off ends what on began, in the reverse order.
func (t *telemetry) off() error {
	var err error
	for _, end := range slices.Backward(t.ends) {
		err = errors.Join(err, end())
	}
	return err
}

func (t *telemetry) otel(broker leat.Broker, c choice) error {
	o := &leatotel.Options{NoSpans: c.sampler == nil, MeterProvider: metricnoop.NewMeterProvider(), NoEventAge: c.noAge,
		LateAttributes: c.late}
	var readers []sdkmetric.ManualReaderOption
	if c.own {
		o.Histograms = &leatotel.Histograms{}
		readers = append(readers, sdkmetric.WithProducer(o.Histograms))
	}
	if c.metrics {
		o.MeterProvider = t.meters(readers...)
	}
	if c.sampler != nil {
		o.TracerProvider = t.tracers(c.sampler)
	}
	reports, err := leatotel.New(broker, o)
	if err != nil {
		return errors.Join(err, t.off())
	}
	t.ends = append(t.ends, reports.Close)
	if c.metrics {
		t.watch = func(c *leat.Consumer, p *leat.Producer) {
			reports.Watch(c)
			reports.WatchProducers(p)
		}
	}
	if c.publish {
		t.publish = []leat.PublishMiddleware{reports.Publish()}
	}
	if c.process {
		t.process = []leat.Middleware{reports.Process()}
	}
	return nil
}

// meters returns OpenTelemetry's metrics with a reader.
func (t *telemetry) meters(o ...sdkmetric.ManualReaderOption) metric.MeterProvider {
	reader := sdkmetric.NewManualReader(o...)
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	t.ends = append(t.ends, func() error { return provider.Shutdown(context.Background()) })
	var all metricdata.ResourceMetrics
	t.readAgainAndAgain(func(ctx context.Context) error { return reader.Collect(ctx, &all) })
	return provider
}

// tracers returns OpenTelemetry's traces with a batcher that loses no span, so that every span
// costs what it costs.
func (t *telemetry) tracers(sampler sdktrace.Sampler) *sdktrace.TracerProvider {
	provider := sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler),
		sdktrace.WithBatcher(discard{}, sdktrace.WithBlocking()))
	t.ends = append(t.ends, func() error { return provider.Shutdown(context.Background()) })
	return provider
}

func (t *telemetry) prometheus(broker leat.Broker) error {
	reports, err := leatprometheus.New(broker, nil)
	if err != nil {
		return err
	}
	t.ends = append(t.ends, reports.Close)
	registry := prometheus.NewRegistry()
	if err := registry.Register(reports); err != nil {
		return errors.Join(err, t.off())
	}
	t.readAgainAndAgain(func(context.Context) error {
		_, err := registry.Gather()
		return err
	})
	t.watch = func(c *leat.Consumer, p *leat.Producer) {
		reports.Watch(c)
		reports.WatchProducers(p)
	}
	t.publish, t.process = []leat.PublishMiddleware{reports.Publish()}, []leat.Middleware{reports.Process()}
	return nil
}

// readAgainAndAgain reads metrics until the telemetry is switched off, which returns what went
// wrong first.
func (t *telemetry) readAgainAndAgain(read func(ctx context.Context) error) {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		tick := time.NewTicker(readEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				ended <- nil
				return
			case <-tick.C:
			}
			if err := read(ctx); err != nil && ctx.Err() == nil {
				ended <- err
				return
			}
		}
	}()
	t.ends = append(t.ends, func() error {
		stop()
		return <-ended
	})
}

// discard is an exporter that takes every span.
type discard struct{}

func (discard) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error { return nil }

func (discard) Shutdown(context.Context) error { return nil }
