// Package leatprometheus shows what flows through Leat to Prometheus, for programs without
// OpenTelemetry. Its metrics are those of the module middleware/otel, by the names that
// OpenTelemetry's own exporter for Prometheus gives them.
//
//	metrics, err := leatprometheus.New(broker, nil)
//	...
//	registry.MustRegister(metrics)
//	producer := leat.NewProducer(broker, &leat.ProducerOptions{
//		Middleware: []leat.PublishMiddleware{metrics.Publish()},
//	})
//	consumer := leat.NewConsumer(broker, sub, handler, &leat.ConsumerOptions{
//		Middleware: []leat.Middleware{metrics.Process(), middleware.Retry(nil)},
//	})
//	metrics.Watch(consumer)
//	metrics.WatchProducers(producer)
//
// docs/monitoring.md lists the metrics.
package leatprometheus

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/nils"
	"github.com/leatgo/leat/internal/telemetry"
	"github.com/prometheus/client_golang/prometheus"
)

// Options are the options of [New]. The zero value works.
type Options struct {
	// NoEventAge leaves the histogram leat_event_age_seconds out: the time from an event's own time
	// until it was handled.
	NoEventAge bool
	// NoType leaves the type of events out of the labels.
	NoType bool
	// NoLag asks the broker for no lag.
	NoLag bool
	// ScrapeTimeout bounds the time in which a scrape waits for the broker to tell lag. 0 means 1
	// s, which is also the most.
	ScrapeTimeout time.Duration
	// Logger gets what cannot be collected: at most one line a minute about the lag of a group. Nil
	// means no log.
	Logger *slog.Logger
}

// Metrics is a [prometheus.Collector] of the consumers and producers of one broker. It is safe for
// concurrent use. Nothing that it meets fails or holds up an event. A registry takes those of
// several brokers where prometheus.WrapRegistererWith gives each a label of its own.
type Metrics struct {
	core       *telemetry.Core
	o          Options
	descs      []*prometheus.Desc
	histograms telemetry.Histograms
}

var _ prometheus.Collector = (*Metrics)(nil)

// New returns the metrics of what uses broker. A nil o means the defaults. The error says what is
// wrong with the arguments.
func New(broker leat.Broker, o *Options) (*Metrics, error) {
	m := &Metrics{}
	if o != nil {
		m.o = *o
	}
	switch {
	case nils.Is(broker):
		return nil, invalid(errors.New("the broker is nil; look at the error of opening it"))
	case m.o.ScrapeTimeout < 0 || m.o.ScrapeTimeout > time.Second:
		return nil, invalid(errors.New("Options.ScrapeTimeout is not between 0 and 1s"))
	}
	if m.o.ScrapeTimeout == 0 {
		m.o.ScrapeTimeout = time.Second
	}
	if m.o.Logger == nil {
		m.o.Logger = slog.New(slog.DiscardHandler)
	}
	m.core = telemetry.New(broker, telemetry.Options{NoType: m.o.NoType, NoLag: m.o.NoLag, Logger: m.o.Logger},
		m.histograms.Series)
	for _, in := range m.core.Table() {
		labels := make([]string, len(in.Labels))
		for i, label := range in.Labels {
			labels[i] = escaped(label)
		}
		m.descs = append(m.descs, prometheus.NewDesc(nameOf(&in), in.Description, labels, nil))
	}
	return m, nil
}

func invalid(err error) error { return &leat.Error{Op: "metrics", Code: leat.CodeInvalid, Err: err} }

// values returns the values of the labels of an instrument.
func (m *Metrics) values(instrument int, l telemetry.Labels) []string {
	return l[:len(m.core.Table()[instrument].Labels)]
}

// Watch adds consumers to the metrics: their counts, state and lag.
func (m *Metrics) Watch(consumers ...*leat.Consumer) { m.core.Watch(consumers, nil) }

// WatchProducers adds producers to the metrics: the outcomes of their publishes.
func (m *Metrics) WatchProducers(producers ...*leat.Producer) { m.core.Watch(nil, producers) }

// Unwatch takes consumers out again, such as those that have ended and are replaced. Their counts
// stay in the sums, and their states are in no metric any more. Watch none of them again: its
// counts would be there twice.
func (m *Metrics) Unwatch(consumers ...*leat.Consumer) { m.core.Unwatch(consumers, nil) }

// UnwatchProducers takes producers out again. What they have counted stays.
func (m *Metrics) UnwatchProducers(producers ...*leat.Producer) { m.core.Unwatch(nil, producers) }

// Close ends questions for lag. Unregister the Metrics before.
func (m *Metrics) Close() error {
	m.core.Close()
	return nil
}

// Describe implements [prometheus.Collector].
func (m *Metrics) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range m.descs {
		descs <- d
	}
}

// Collect implements [prometheus.Collector]. Prometheus gives no context, so that it waits for the
// broker no longer than [Options].ScrapeTimeout.
func (m *Metrics) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), m.o.ScrapeTimeout)
	defer cancel()
	table := m.core.Table()
	for _, p := range m.core.Collect(ctx) {
		kind := prometheus.GaugeValue
		if table[p.Instrument].Kind == telemetry.Counter {
			kind = prometheus.CounterValue
		}
		one, err := prometheus.NewConstMetric(m.descs[p.Instrument], kind, p.Value, m.values(p.Instrument, p.Labels)...)
		metrics <- m.orInvalid(p.Instrument, one, err)
	}
	for _, p := range m.histograms.Collect() {
		buckets, upTo := make(map[float64]uint64, len(p.Buckets)), uint64(0)
		for i, bound := range table[p.Instrument].Buckets {
			upTo += p.Buckets[i]
			buckets[bound] = upTo
		}
		one, err := prometheus.NewConstHistogramWithCreatedTimestamp(m.descs[p.Instrument], p.Count, p.Sum, buckets, p.Began,
			m.values(p.Instrument, p.Labels)...)
		metrics <- m.orInvalid(p.Instrument, one, err)
	}
}

// orInvalid returns a metric, or one that tells why it cannot be made.
func (m *Metrics) orInvalid(instrument int, one prometheus.Metric, err error) prometheus.Metric {
	if err != nil {
		return prometheus.NewInvalidMetric(m.descs[instrument], err)
	}
	return one
}
