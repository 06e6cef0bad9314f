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
	histograms map[int]*prometheus.HistogramVec
}

var _ prometheus.Collector = (*Metrics)(nil)

// New returns the metrics of what uses broker. A nil o means the defaults. The error says what is
// wrong with the arguments.
func New(broker leat.Broker, o *Options) (*Metrics, error) {
	m := &Metrics{histograms: map[int]*prometheus.HistogramVec{}}
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
	m.core = telemetry.New(broker, telemetry.Options{NoType: m.o.NoType, NoLag: m.o.NoLag, Logger: m.o.Logger}, m.series)
	for place, in := range m.core.Table() {
		name, labels := nameOf(&in), make([]string, len(in.Labels))
		for i, label := range in.Labels {
			labels[i] = escaped(label)
		}
		m.descs = append(m.descs, prometheus.NewDesc(name, in.Description, labels, nil))
		if in.Kind == telemetry.Histogram {
			m.histograms[place] = prometheus.NewHistogramVec(
				prometheus.HistogramOpts{Name: name, Help: in.Description, Buckets: in.Buckets}, labels)
		}
	}
	return m, nil
}

func invalid(err error) error { return &leat.Error{Op: "metrics", Code: leat.CodeInvalid, Err: err} }

// series returns what observes into one series of a histogram.
func (m *Metrics) series(instrument int, l telemetry.Labels) telemetry.Series {
	observer := m.histograms[instrument].WithLabelValues(m.values(instrument, l)...)
	return func(_ context.Context, seconds float64) { observer.Observe(seconds) }
}

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
		if err != nil {
			one = prometheus.NewInvalidMetric(m.descs[p.Instrument], err)
		}
		metrics <- one
	}
	for _, h := range m.histograms {
		h.Collect(metrics)
	}
}
