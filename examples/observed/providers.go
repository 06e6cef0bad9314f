package main

import (
	"context"
	"fmt"
	"io"

	leatotel "github.com/leatgo/leat/middleware/otel"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// providers are OpenTelemetry's SDK, as any program sets it up.
type providers struct {
	registry   *prometheus.Registry
	meters     *sdkmetric.MeterProvider
	tracers    *sdktrace.TracerProvider
	histograms leatotel.Histograms
}

// newProviders lets Prometheus read the metrics, and sends a share of the traces to the place that
// traces names.
func newProviders(ctx context.Context, traces string, share float64, out io.Writer) (*providers, error) {
	p := &providers{registry: prometheus.NewRegistry()}
	reader, err := otelprometheus.New(otelprometheus.WithRegisterer(p.registry), otelprometheus.WithoutScopeInfo(),
		otelprometheus.WithProducer(&p.histograms))
	if err != nil {
		return nil, err
	}
	p.meters = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	sampled := sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(share)))
	var exporter sdktrace.SpanExporter
	switch traces {
	case "none":
		p.tracers = sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))
		return p, nil
	case "stdout":
		exporter, err = stdouttrace.New(stdouttrace.WithWriter(out), stdouttrace.WithPrettyPrint())
	case "otlp":
		exporter, err = otlptracehttp.New(ctx)
	default:
		return nil, fmt.Errorf("-traces is %q; it is none, stdout or otlp", traces)
	}
	if err != nil {
		return nil, err
	}
	p.tracers = sdktrace.NewTracerProvider(sampled, sdktrace.WithBatcher(exporter))
	return p, nil
}

// shutdown writes the spans that are left. The metrics can still be read.
func (p *providers) shutdown(ctx context.Context) error { return p.tracers.Shutdown(ctx) }
