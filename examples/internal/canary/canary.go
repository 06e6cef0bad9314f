// Package canary looks for pieces of events in what a service shows of itself.
package canary

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/middleware"
	leatotel "github.com/leatgo/leat/middleware/otel"
	leatprometheus "github.com/leatgo/leat/middleware/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// What events and errors have in them. Logs may have keys and the texts of errors, and nothing
// else.
const (
	Private = "canary-private" // in data that a test makes, in the subject and in an extension
	InLogs  = "canary-in-logs" // in the key, and in an error of each event's first attempt
)

// Check lets a handler have the events, each with another id, source, subject and key, with all
// telemetry and a log of every line. It fails where spans, metrics or log have Private or InLogs,
// or a text that the data of the events has.
func Check(t *testing.T, sub leat.Subscription, h leat.Handler, inData string, events ...leat.Event) {
	t.Helper()
	s := newService(t)
	require.NoError(t, leat.Declare(t.Context(), s.broker, sub))
	for i, e := range events {
		n := strconv.Itoa(i)
		e = e.WithID(n).WithSource("/canary").WithSubject(Private).WithKey(InLogs+n).WithExtension("who", Private)
		require.Contains(t, e.DataString(), inData, "else the test shows nothing")
		require.NoError(t, s.producer.Publish(t.Context(), sub.Topic, e))
	}
	s.consume(t, sub, h, len(events))
	spans, metrics, log := s.spansText(), s.metricsText(t), s.log.String()
	assert.Contains(t, spans, "process "+sub.Topic)
	assert.Contains(t, metrics, "messaging.process.duration ")
	assert.Contains(t, metrics, `"messaging_process_duration_seconds"`)
	assert.Contains(t, log, InLogs)
	for _, piece := range []string{Private, inData} {
		assert.NotContains(t, log, piece)
	}
	for _, piece := range []string{Private, inData, InLogs} {
		assert.NotContains(t, spans, piece)
		assert.NotContains(t, metrics, piece)
	}
}

// service is what a service has that shows all of itself.
type service struct {
	broker     *memory.Broker
	producer   *leat.Producer
	otel       *leatotel.Telemetry
	prometheus *leatprometheus.Metrics
	spans      *tracetest.SpanRecorder
	reader     *sdkmetric.ManualReader
	registry   *prometheus.Registry
	log        bytes.Buffer
	logger     *slog.Logger
}

func newService(t *testing.T) *service {
	t.Helper()
	s := &service{broker: memory.New(nil), spans: tracetest.NewSpanRecorder(), registry: prometheus.NewRegistry()}
	s.logger = slog.New(slog.NewTextHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	before := slog.Default()
	slog.SetDefault(s.logger) // what a handler itself logs
	t.Cleanup(func() { slog.SetDefault(before) })
	var histograms leatotel.Histograms
	s.reader = sdkmetric.NewManualReader(sdkmetric.WithProducer(&histograms))
	var err error
	s.otel, err = leatotel.New(s.broker, &leatotel.Options{
		TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(s.spans)),
		MeterProvider:  sdkmetric.NewMeterProvider(sdkmetric.WithReader(s.reader)), Histograms: &histograms, Logger: s.logger,
	})
	require.NoError(t, err)
	s.prometheus, err = leatprometheus.New(s.broker, &leatprometheus.Options{Logger: s.logger})
	require.NoError(t, err)
	require.NoError(t, s.registry.Register(s.prometheus))
	s.producer = leat.NewProducer(s.broker, &leat.ProducerOptions{
		Middleware: []leat.PublishMiddleware{s.otel.Publish(), s.prometheus.Publish()}, Logger: s.logger,
	})
	t.Cleanup(func() { assert.NoError(t, errors.Join(s.otel.Close(), s.prometheus.Close(), s.broker.Close())) })
	return s
}

// consume lets the handler have each event, behind a first attempt that fails.
func (s *service) consume(t *testing.T, sub leat.Subscription, h leat.Handler, events int) {
	t.Helper()
	consumer := leat.NewConsumer(s.broker, sub, h, &leat.ConsumerOptions{
		Middleware: []leat.Middleware{
			s.otel.Process(), s.prometheus.Process(), middleware.Logging(s.logger),
			middleware.Retry(&middleware.RetryOptions{MaxAttempts: 2, InitialDelay: time.Millisecond}), failFirst,
		},
		PoisonQueue: middleware.PoisonQueue(s.producer, nil),
		Logger:      s.logger,
	})
	s.otel.Watch(consumer)
	s.prometheus.Watch(consumer)
	require.NoError(t, leat.RunUntilIdle(t.Context(), 100*time.Millisecond, consumer))
	stats := consumer.Stats()
	assert.EqualValues(t, events, stats.Handled+stats.Skipped+stats.Poisoned)
}

// failFirst fails the first attempt of each event, with an error that says too much.
func failFirst(next leat.Handler) leat.Handler {
	return leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
		if info, _ := leat.InfoFrom(ctx); info.Attempt == 1 {
			return errors.New(InLogs)
		}
		return next.Handle(ctx, e)
	})
}

// spansText is all that the spans have.
func (s *service) spansText() string {
	var text bytes.Buffer
	for _, span := range s.spans.Ended() {
		fmt.Fprintln(&text, span.Name(), span.Attributes(), span.Events(), span.Links(), span.Status())
	}
	return text.String()
}

// metricsText is all that both kinds of metrics have.
func (s *service) metricsText(t *testing.T) string {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, s.reader.Collect(t.Context(), &all))
	var text bytes.Buffer
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			fmt.Fprintln(&text, m.Name, m.Data)
		}
	}
	families, err := s.registry.Gather()
	require.NoError(t, err)
	for _, f := range families {
		fmt.Fprintln(&text, f)
	}
	return text.String()
}
