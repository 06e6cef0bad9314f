package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/leatgo/leat"
)

// pipeline is what all parts of the program share: a broker, a producer and a ledger.
type pipeline struct {
	cfg      *config
	out      *printer
	log      *slog.Logger
	broker   leat.Broker
	producer *leat.Producer
	account  *account
	ledger   *ledger
	auditTo  io.Writer
	close    []func() error // in the order of opening
}

// openPipeline connects to the broker. total is how many events will be published, 0 where that is
// not known.
func openPipeline(ctx context.Context, cfg *config, out *printer, stderr io.Writer, total int) (p *pipeline, err error) {
	p = &pipeline{cfg: cfg, out: out, account: newAccount(), auditTo: io.Discard}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	if cfg.verbose {
		p.log = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if err := cfg.makeDirs(); err != nil {
		return p, err
	}
	if p.ledger, err = openLedger(cfg.ledger, cfg.part, p.account.add, newProgress(out, total).watch); err != nil {
		return p, err
	}
	p.close = append(p.close, p.ledger.Close)
	if cfg.out != "" && (cfg.part == partAll || cfg.part == serviceAudit) {
		file, err := os.OpenFile(filepath.Join(cfg.out, "audit.jsonl"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
		if err != nil {
			return p, err
		}
		p.auditTo = file
		p.close = append(p.close, file.Close)
	}
	if p.broker, err = brokers.Open(ctx, cfg.broker); err != nil {
		return p, err
	}
	p.close = append(p.close, p.broker.Close)
	p.producer = leat.NewProducer(p.broker, &leat.ProducerOptions{Source: defaultSource})
	p.close = append(p.close, func() error {
		ctx, stop := context.WithTimeout(context.Background(), flushTimeout)
		defer stop()
		return p.producer.Close(ctx)
	})
	return p, nil
}

// Close closes what was opened, the last first.
func (p *pipeline) Close() error {
	var errs []error
	for _, closeOne := range slices.Backward(p.close) {
		errs = append(errs, closeOne())
	}
	p.close = nil
	return errors.Join(errs...)
}

func (p *pipeline) publisher() *publisher {
	return &publisher{broker: p.broker, producer: p.producer, topic: p.cfg.topic, ledger: p.ledger,
		prefix: p.cfg.prefix, pace: p.cfg.pace}
}

func (p *pipeline) worker(name string) *worker {
	return newWorker(name, newService(name, p.cfg.topic, p.auditTo), p.broker, p.producer, p.ledger, p.cfg, p.log)
}

// subscriptions returns those of all services: what must exist before the first event is published.
// A service declares its poison queue itself when it starts.
func subscriptions(topic string) []leat.Subscription {
	subs := make([]leat.Subscription, 0, len(serviceNames()))
	for _, name := range serviceNames() {
		subs = append(subs, leat.Subscription{Topic: topic, Group: name})
	}
	return subs
}

// settled waits until every service has settled every stored event.
func (p *pipeline) settled(ctx context.Context) error {
	for p.account.unsettled() > 0 {
		select {
		case <-p.account.changed:
		case <-ctx.Done():
			return fmt.Errorf("stopped before all was settled: %w", context.Cause(ctx))
		}
	}
	return nil
}

// brokerName is the scheme of the broker's URL. What follows it may be secret.
func (c *config) brokerName() string {
	scheme, _, _ := strings.Cut(c.broker, ":")
	return strings.ToLower(scheme) + "://"
}

// errTimeout is the cause when -timeout ends a run.
var errTimeout = errors.New("the time that -timeout allows has passed")

func (c *config) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, c.timeout, errTimeout)
}

// since rounds a duration for people.
func since(start time.Time) time.Duration { return time.Since(start).Round(10 * time.Millisecond) }
