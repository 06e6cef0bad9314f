package cases

import (
	"context"
	"errors"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/components/metrics"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"github.com/leatgo/leat/benchmarks/internal/bench"
	"github.com/leatgo/leat/benchmarks/internal/load"
	"github.com/prometheus/client_golang/prometheus"
)

const watermillEvents = 20_000

// watermillInMemory is the same place in Watermill.
func watermillInMemory() bench.Group {
	return bench.Group{
		Name: "memory/watermill",
		About: "The same place in Watermill: gochannel, Router and the retry middleware, without and with `components/metrics`, which " +
			"counts what a subscriber receives and times publishes and handlers for Prometheus. It has no gauges and no spans. gochannel has " +
			"no backpressure: its publisher keeps 1,000 outstanding. The metrics are read every 100 ms as well.",
		Cases: []bench.Case{
			{Name: "Watermill gochannel, Router, Retry", Events: watermillEvents, Start: startWatermill(false)},
			{Name: "the same with components/metrics", Events: watermillEvents, Start: startWatermill(true)},
		},
	}
}

// watermillPath is Watermill on its in-memory Pub/Sub.
type watermillPath struct {
	*load.Counter

	names     *load.Names
	window    chan struct{}
	pubsub    *gochannel.GoChannel
	publisher message.Publisher
	router    *message.Router
	telemetry telemetry
	ran       chan error
}

func startWatermill(measured bool) func(context.Context, int) (bench.Instance, error) {
	return func(ctx context.Context, _ int) (bench.Instance, error) {
		w := &watermillPath{
			Counter: load.NewCounter(), names: load.NewNames(prebuilt), window: make(chan struct{}, inFlight), ran: make(chan error, 1),
			pubsub: gochannel.NewGoChannel(gochannel.Config{OutputChannelBuffer: inFlight}, watermill.NopLogger{}),
		}
		w.publisher = w.pubsub
		var err error
		if w.router, err = message.NewRouter(message.RouterConfig{CloseTimeout: 10 * time.Second}, watermill.NopLogger{}); err != nil {
			return nil, err
		}
		if measured {
			if err := w.measure(); err != nil {
				return nil, errors.Join(err, w.telemetry.off())
			}
		}
		retry := middleware.Retry{MaxRetries: 3, InitialInterval: 100 * time.Millisecond, Logger: watermill.NopLogger{}}
		w.router.AddMiddleware(retry.Middleware)
		w.router.AddConsumerHandler("count", topic, w.pubsub, func(*message.Message) error {
			<-w.window
			w.Add()
			return nil
		})
		go func() { w.ran <- w.router.Run(context.WithoutCancel(ctx)) }()
		select {
		case <-w.router.Running():
			return w, nil
		case err := <-w.ran:
			return nil, errors.Join(err, w.telemetry.off(), w.pubsub.Close())
		}
	}
}

// measure adds the metrics, as Watermill's documentation does.
func (w *watermillPath) measure() (err error) {
	registry := prometheus.NewRegistry()
	builder := metrics.NewPrometheusMetricsBuilder(registry, "", "")
	builder.AddPrometheusRouterMetrics(w.router)
	w.publisher, err = builder.DecoratePublisher(w.pubsub)
	w.telemetry.readAgainAndAgain(func(context.Context) error {
		_, err := registry.Gather()
		return err
	})
	return err
}

// Run publishes n messages. They are made before they are published: with the decorator a message
// is told that it was published.
func (w *watermillPath) Run(ctx context.Context, n int) error {
	w.Expect(n)
	for i := range n {
		w.window <- struct{}{}
		if err := w.publisher.Publish(topic, w.message(i)); err != nil {
			return err
		}
	}
	return w.Wait(ctx)
}

func (w *watermillPath) message(i int) *message.Message {
	id, _, data := w.names.At(i % prebuilt)
	m := message.NewMessage(id, data)
	m.Metadata.Set("source", load.Source)
	m.Metadata.Set("type", load.Type)
	m.Metadata.Set("subject", load.Subject)
	m.Metadata.Set("datacontenttype", load.ContentType)
	return m
}

// Close stops the Router, the telemetry and the Pub/Sub.
func (w *watermillPath) Close() error {
	return errors.Join(w.router.Close(), <-w.ran, w.telemetry.off(), w.pubsub.Close())
}
