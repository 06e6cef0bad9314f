package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/leatgo/leat"
)

// runAll runs publisher, services and poison reader in this process until every event is settled,
// and reports.
func runAll(ctx context.Context, cfg *config, out *printer, stderr io.Writer) (err error) {
	deliveries, err := cfg.deliveries()
	if err != nil {
		return err
	}
	start := time.Now()
	total := len(deliveries) * cfg.repeat
	p, err := openPipeline(ctx, cfg, out, stderr, total+1) // and the broken one
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()

	var workers []*worker
	for _, name := range serviceNames() {
		workers = append(workers, p.worker(name))
	}
	consumers := newPoisonConsumers(p.broker, p.ledger, cfg.topic, p.log)
	for _, w := range workers {
		consumers = append(consumers, w.consumer)
	}
	if err := leat.Declare(ctx, p.broker, subscriptions(cfg.topic)...); err != nil {
		return err
	}
	out.printf("%d deliveries, and one that is broken, go to topic %s on %s, for the services issues, audit and notifications\n\n",
		total, cfg.topic, cfg.brokerName())
	runErr := p.runUntilSettled(ctx, consumers, func(ctx context.Context) error {
		return p.publisher().publish(ctx, deliveries, cfg.repeat)
	})

	p.ledger.detach()
	r := newReport(cfg, p.account, findingOpen)
	r.elapsed = since(start)
	r.addWorkers(workers)
	if err := r.writeFlow(cfg.out); err != nil {
		runErr = errors.Join(runErr, err)
	}
	r.print(out)
	return errors.Join(runErr, r.verdict())
}

// runUntilSettled runs the consumers while publish publishes, until every event is settled, a
// consumer fails, the time is up or ctx ends. It returns when the consumers have drained.
func (p *pipeline) runUntilSettled(ctx context.Context, consumers []*leat.Consumer, publish func(context.Context) error) error {
	runCtx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	limited, done := p.cfg.withTimeout(runCtx)
	defer done()
	consumed := make(chan error, 1)
	go func() {
		err := leat.Run(runCtx, consumers...)
		if err != nil {
			stop(err) // so that publishing does not wait for consumers that are gone
		}
		consumed <- err
	}()
	err := publish(limited)
	if err == nil {
		err = p.settled(limited)
	}
	stop(context.Canceled)
	runErr := <-consumed
	if err != nil && errors.Is(err, runErr) {
		return err // it says why already
	}
	return errors.Join(err, runErr)
}

// runPart runs one part in this process, beside others that share the broker and the ledger folder.
func runPart(ctx context.Context, cfg *config, out *printer, stderr io.Writer) (err error) {
	p, err := openPipeline(ctx, cfg, out, stderr, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	switch cfg.part {
	case partPublish:
		return p.runPublisher(ctx)
	case partPoison:
		out.printf("reading the poison queues of %s on %s until Ctrl-C\n", cfg.topic, cfg.brokerName())
		return leat.Run(ctx, newPoisonConsumers(p.broker, p.ledger, cfg.topic, p.log)...)
	default:
		w := p.worker(cfg.part)
		out.printf("%s handles %s on %s until Ctrl-C\n", w.name, cfg.topic, cfg.brokerName())
		err := leat.Run(ctx, w.consumer)
		out.printf("%s: %s\n", w.name, w.service.summary())
		return err
	}
}

// runPublisher publishes, and declares the groups of all services first, so that the broker keeps
// the events for those that start later.
func (p *pipeline) runPublisher(ctx context.Context) error {
	deliveries, err := p.cfg.deliveries()
	if err != nil {
		return err
	}
	if err := leat.Declare(ctx, p.broker, subscriptions(p.cfg.topic)...); err != nil {
		return err
	}
	limited, stop := p.cfg.withTimeout(ctx)
	defer stop()
	err = p.publisher().publish(limited, deliveries, p.cfg.repeat)
	a := p.account
	p.out.printf("%d confirmed, %d refused, %d with unknown outcome, %d without an answer, %d unfit\n",
		a.count(outcomeOK), a.count(outcomeRefused), a.count(outcomeUnknown), a.count(""), len(a.unfit))
	return err
}

func (c *config) deliveries() ([]delivery, error) {
	files, err := deliveryFiles(c.dir)
	if err != nil {
		return nil, err
	}
	return loadDeliveries(files)
}
