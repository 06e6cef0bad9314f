package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/leatgo/leat"
)

// poisonReader reads the poison topic of every service and notes what it finds.
type poisonReader struct {
	ledger *ledger
}

// newPoisonConsumers returns one consumer for each poison topic.
func newPoisonConsumers(broker leat.Broker, l *ledger, topic string, log *slog.Logger) []*leat.Consumer {
	reader := &poisonReader{ledger: l}
	names := serviceNames()
	consumers := make([]*leat.Consumer, 0, len(names))
	for _, name := range names {
		sub := leat.ReplayOf(leat.Subscription{Topic: topic, Group: name})
		consumers = append(consumers, leat.NewConsumer(broker, sub, reader, &leat.ConsumerOptions{Logger: log}))
	}
	return consumers
}

// Handle notes one poisoned event under the id that its publisher gave it, with the digest of what
// was published.
func (r *poisonReader) Handle(_ context.Context, e leat.Event) error {
	p, err := leat.PoisonedFrom(e)
	if err != nil {
		return fmt.Errorf("poison queue: %w", err)
	}
	f := fact{
		Kind:    factPoisoned,
		Service: p.Info.Group,
		ID:      e.ID(),
		Type:    e.Type(),
		Attempt: p.Info.Attempt,
		Digest:  digest(e.DataString()),
		Reason:  p.Reason.Error(),
	}
	if p.Malformed != nil {
		f.ID, f.Digest = malformedID(p.Malformed.Body), digest(string(p.Malformed.Body))
	}
	r.ledger.record(f)
	return nil
}
