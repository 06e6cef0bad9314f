// Package leatotel reports what flows through Leat to OpenTelemetry: metrics of consumers,
// producers and their groups, and traces from the publish of an event to its handlers.
//
//	telemetry, err := leatotel.New(broker, nil)
//	...
//	producer := leat.NewProducer(broker, &leat.ProducerOptions{
//		Middleware: []leat.PublishMiddleware{telemetry.Publish()},
//	})
//	consumer := leat.NewConsumer(broker, sub, handler, &leat.ConsumerOptions{
//		Middleware: []leat.Middleware{telemetry.Process(), middleware.Retry(nil)},
//	})
//	telemetry.Watch(consumer)
//	telemetry.WatchProducers(producer)
//
// docs/monitoring.md lists the metrics and says how spans hang together.
package leatotel

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/nils"
	"github.com/leatgo/leat/internal/telemetry"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// scope is the name of the instrumentation.
const scope = "github.com/leatgo/leat/middleware/otel"

// Options are the options of [New]. The zero value works.
type Options struct {
	// TracerProvider makes the spans. Nil means the global one of OpenTelemetry.
	TracerProvider trace.TracerProvider
	// MeterProvider makes the instruments. Nil means the global one of OpenTelemetry.
	MeterProvider metric.MeterProvider
	// Histograms keeps the histograms, and makes them cheaper. Only readers that have it as a
	// Producer show them. Nil means that the MeterProvider keeps them.
	Histograms *Histograms
	// NoSpans makes no spans. Then events get no trace context, and keep one that they have.
	NoSpans bool
	// LinkOnly links the span of a handler to the context that the event was published in, and
	// makes it no child of that. Then each attempt is a trace of its own.
	LinkOnly bool
	// LateAttributes sets the attributes of a span once it is recorded, so that a span which is
	// sampled out costs an allocation less. Then a sampler sees none, which is enough for one that
	// goes by the trace, such as sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0.01)).
	LateAttributes bool
	// NoEventAge leaves the histogram leat.event.age out: the time from an event's own time until
	// it was handled.
	NoEventAge bool
	// NoType leaves the type of events out of the attributes.
	NoType bool
	// NoLag asks the broker for no lag.
	NoLag bool
	// Logger gets what goes wrong with telemetry: one line about a provider that panics, and at
	// most one a minute about the lag of a group. Nil means no log.
	Logger *slog.Logger
}

// Telemetry reports about the consumers and producers of one broker. It is safe for concurrent use.
// Nothing that it meets fails or holds up an event.
type Telemetry struct {
	core    *telemetry.Core
	o       Options
	tracer  trace.Tracer // nil where there are no spans
	spanKey any
	meter   metric.Meter
	reading metric.Registration
	instr   instruments
	warned  atomic.Bool
	sending starts
	batches starts
}

// New returns a Telemetry of what uses broker, of which one is enough: two that watch the same
// consumer count it twice. It registers the metrics; what they tell of begins with
// [Telemetry.Watch] and the middleware. A nil o means the defaults. The error says what is wrong
// with a provider.
func New(broker leat.Broker, o *Options) (*Telemetry, error) {
	t := &Telemetry{spanKey: keyOfSpans()}
	if o != nil {
		t.o = *o
	}
	switch {
	case nils.Is(broker):
		return nil, invalid(errors.New("the broker is nil; look at the error of opening it"))
	case t.o.TracerProvider != nil && nils.Is(t.o.TracerProvider):
		return nil, invalid(errors.New("Options.TracerProvider is a nil in an interface; leave it out, or give one"))
	case t.o.MeterProvider != nil && nils.Is(t.o.MeterProvider):
		return nil, invalid(errors.New("Options.MeterProvider is a nil in an interface; leave it out, or give one"))
	}
	if t.o.TracerProvider == nil {
		t.o.TracerProvider = otel.GetTracerProvider()
	}
	if t.o.MeterProvider == nil {
		t.o.MeterProvider = otel.GetMeterProvider()
	}
	if t.o.Logger == nil {
		t.o.Logger = slog.New(slog.DiscardHandler)
	}
	t.core = telemetry.New(broker, telemetry.Options{NoType: t.o.NoType, NoLag: t.o.NoLag, Logger: t.o.Logger}, t.series)
	t.sending.init(t, trace.SpanKindProducer)
	t.batches.init(t, trace.SpanKindConsumer)
	if err := t.open(); err != nil {
		return nil, invalid(err)
	}
	return t, nil
}

func invalid(err error) error { return &leat.Error{Op: "telemetry", Code: leat.CodeInvalid, Err: err} }

// open makes the tracer and the instruments, which is foreign code.
func (t *Telemetry) open() (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = errors.New("a provider panicked while it made the tracer or the instruments")
		}
	}()
	if _, none := t.o.TracerProvider.(noop.TracerProvider); !none && !t.o.NoSpans {
		if t.tracer = t.o.TracerProvider.Tracer(scope); t.tracer == nil {
			return errors.New("Options.TracerProvider returned no tracer")
		}
	}
	if t.meter = t.o.MeterProvider.Meter(scope); t.meter == nil {
		return errors.New("Options.MeterProvider returned no meter")
	}
	return t.makeInstruments()
}

// Watch adds consumers to the metrics: their counts, state and lag.
func (t *Telemetry) Watch(consumers ...*leat.Consumer) { t.core.Watch(consumers, nil) }

// WatchProducers adds producers to the metrics: the outcomes of their publishes.
func (t *Telemetry) WatchProducers(producers ...*leat.Producer) { t.core.Watch(nil, producers) }

// Unwatch takes consumers out again, such as those that have ended and are replaced. Their counts
// stay in the sums, and their states are in no metric any more. Watch none of them again: its
// counts would be there twice.
func (t *Telemetry) Unwatch(consumers ...*leat.Consumer) { t.core.Unwatch(consumers, nil) }

// UnwatchProducers takes producers out again. What they have counted stays.
func (t *Telemetry) UnwatchProducers(producers ...*leat.Producer) { t.core.Unwatch(nil, producers) }

// Close takes the metrics out of the meter and ends questions for lag. The middleware goes on with
// spans and histograms.
func (t *Telemetry) Close() error {
	t.core.Close()
	if t.reading == nil {
		return nil
	}
	return t.reading.Unregister()
}

// safely calls f, which calls a provider: foreign code, whose panic must not reach an event.
func (t *Telemetry) safely(f func()) {
	defer t.caught()
	f()
}

// caught recovers from a panic of a provider; the log gets the first.
func (t *Telemetry) caught() {
	if v := recover(); v != nil && t.warned.CompareAndSwap(false, true) {
		t.o.Logger.LogAttrs(context.Background(), slog.LevelError, "telemetry: a provider panicked; events go on without it",
			slog.Any("panic", v))
	}
}
