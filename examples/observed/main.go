// Command observed is a pipeline of webhooks whose metrics, traces and health can be looked at
// while it runs: real deliveries of GitHub are published at a rate, one service follows issues, and
// another one writes an audit. Some events fail at first, and some go to the poison queue.
//
//	go run ./examples/observed                                  for 3 s, then it sums up
//	go run ./examples/observed -for 0 -listen 127.0.0.1:9464    until Ctrl-C
//	go run ./examples/observed -broker kafka://localhost:9092
//	go run ./examples/observed -traces otlp                     to OTEL_EXPORTER_OTLP_ENDPOINT
//
// /metrics is for Prometheus, /livez and /readyz are for an orchestrator. docs/monitoring.md says
// what to look at, and docs/grafana has the board.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/awssnssqs"
	"github.com/leatgo/leat/adapters/gcppubsub"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/adapters/nats"
	"github.com/leatgo/leat/adapters/rabbitmq"
	"github.com/leatgo/leat/health"
	"github.com/leatgo/leat/middleware"
	leatotel "github.com/leatgo/leat/middleware/otel"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
)

// config is what the flags say.
type config struct {
	broker, listen, traces string
	runFor                 time.Duration
	rate                   int
	sampled                float64
}

func main() {
	var c config
	flag.StringVar(&c.broker, "broker", "mem://", "the URL of the broker")
	flag.StringVar(&c.listen, "listen", "127.0.0.1:0", "where to serve /metrics, /livez and /readyz")
	flag.StringVar(&c.traces, "traces", "none", "where spans go: none, stdout or otlp")
	flag.Float64Var(&c.sampled, "sampled", 0.01, "the share of traces that is kept")
	flag.DurationVar(&c.runFor, "for", 3*time.Second, "how long to run; 0 is until Ctrl-C")
	flag.IntVar(&c.rate, "rate", 500, "deliveries in a second")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, c, os.Stdout, slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})))
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "observed:", err)
		os.Exit(1)
	}
}

// run is the program.
func run(ctx context.Context, c config, out io.Writer, logger *slog.Logger) (err error) {
	if c.rate < 1 {
		return errors.New("-rate is less than 1")
	}
	broker, err := leat.Openers{
		"mem": memory.Open, "kafka": kafka.Open, "amqp": rabbitmq.Open, "nats": nats.Open, "awssnssqs": awssnssqs.Open,
		"gcppubsub": gcppubsub.Open,
	}.Open(ctx, c.broker)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, broker.Close()) }()
	providers, err := newProviders(ctx, c.traces, c.sampled, out)
	if err != nil {
		return err
	}
	telemetry, err := leatotel.New(broker, &leatotel.Options{
		TracerProvider: providers.tracers, MeterProvider: providers.meters, Histograms: &providers.histograms, Logger: logger,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, telemetry.Close()) }()

	producer := leat.NewProducer(broker, &leat.ProducerOptions{
		Source: "https://github.com/octo", Topics: []string{topic},
		Middleware: []leat.PublishMiddleware{telemetry.Publish()},
	})
	consumers := make([]*leat.Consumer, 0, len(services))
	for group, handler := range services {
		consumers = append(consumers, leat.NewConsumer(broker, leat.Subscription{Topic: topic, Group: group}, handler(), &leat.ConsumerOptions{
			Middleware: []leat.Middleware{
				telemetry.Process(), middleware.Retry(&middleware.RetryOptions{MaxAttempts: 3, InitialDelay: 50 * time.Millisecond}),
			},
			PoisonQueue: middleware.PoisonQueue(producer, nil),
			Logger:      logger,
		}))
	}
	telemetry.Watch(consumers...)
	telemetry.WatchProducers(producer)

	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(providers.registry, promhttp.HandlerOpts{}))
	mux.Handle("/", health.Handler(consumers, producer))
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }()
	defer func() { err = errors.Join(err, server.Close()) }()
	_, _ = fmt.Fprintf(out, "metrics: http://%s/metrics   health: http://%[1]s/readyz\n", listener.Addr())

	if c.runFor > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.runFor)
		defer cancel()
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return publish(ctx, producer, c.rate) })
	group.Go(func() error { return leat.Run(ctx, consumers...) })
	err = group.Wait()
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return errors.Join(err, producer.Close(closing), providers.shutdown(closing), sumUp(out, providers.registry))
}
