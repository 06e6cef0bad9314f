package main

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/middleware"
)

// The services. Each consumes the topic in a group of its own, so that each gets every event.
const (
	serviceIssues        = "issues"
	serviceAudit         = "audit"
	serviceNotifications = "notifications"
)

func serviceNames() []string { return []string{serviceIssues, serviceAudit, serviceNotifications} }

// service handles the events of the topic.
type service interface {
	leat.Handler
	// wants tells the events that the service handles from those that it skips.
	wants(eventType string) bool
	// summary is one line on what the service made of the events.
	summary() string
}

// newService returns the service of that name. Audit writes to auditTo.
func newService(name, topic string, auditTo io.Writer) service {
	switch name {
	case serviceIssues:
		return newIssueDesk(topic)
	case serviceAudit:
		return &audit{w: auditTo}
	default:
		return &notifications{}
	}
}

// worker is a service together with the consumer that runs it.
type worker struct {
	name     string
	service  service
	sub      leat.Subscription
	consumer *leat.Consumer
}

// newWorker connects a service to the broker: retries, a limit to each attempt, and a poison queue
// for what does not succeed.
func newWorker(name string, s service, broker leat.Broker, producer *leat.Producer, l *ledger, cfg *config, log *slog.Logger) *worker {
	w := &worker{name: name, service: s, sub: leat.Subscription{Topic: cfg.topic, Group: name}}
	chain := []leat.Middleware{
		w.record(l),
		middleware.Retry(&middleware.RetryOptions{MaxAttempts: 4, InitialDelay: 10 * time.Millisecond}),
		middleware.Timeout(10 * time.Second),
	}
	if log != nil {
		chain = append([]leat.Middleware{middleware.Logging(log)}, chain...)
	}
	w.consumer = leat.NewConsumer(broker, w.sub, s, &leat.ConsumerOptions{
		Concurrency:     32,
		Middleware:      chain,
		PoisonQueue:     middleware.PoisonQueue(producer, nil),
		ShutdownTimeout: 10 * time.Second,
		Logger:          log,
	})
	return w
}

// record notes the outcome of every attempt, before the broker learns of it: a process that is
// killed in between handles the event twice, and the ledger says so.
func (w *worker) record(l *ledger) leat.Middleware {
	return func(next leat.Handler) leat.Handler {
		return leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
			err := next.Handle(ctx, e)
			if ctx.Err() != nil && err != nil {
				return err // the consumer stops, or lost the event: that is no failure
			}
			info, _ := leat.InfoFrom(ctx)
			f := fact{Kind: factHandled, Service: w.name, ID: e.ID(), Type: e.Type(), Attempt: info.Attempt, Digest: digest(e.DataString())}
			switch {
			case err != nil:
				f.Kind, f.Reason = factFailed, err.Error()
			case !w.service.wants(e.Type()):
				f.Kind = factSkipped
			}
			l.record(f)
			return err
		})
	}
}
