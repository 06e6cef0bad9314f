package main

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"

	"github.com/leatgo/leat"
)

// replayGroup is the group that a Consumer with a poison queue declares on its poison topic, so that what is poisoned is kept until
// somebody reads it.
const replayGroup = "replay"

// malformedType is the type of an event that stands for a delivery that was no CloudEvent.
const malformedType = "leat.malformed.v1"

// poisonReader reads the poison topic of every service and notes what it finds.
type poisonReader struct {
	ledger *ledger
}

// newPoisonConsumers returns one consumer for each poison topic.
func newPoisonConsumers(broker leat.Broker, l *ledger, topic string, log *slog.Logger) ([]*leat.Consumer, []leat.Subscription) {
	reader := &poisonReader{ledger: l}
	names := serviceNames()
	consumers, subs := make([]*leat.Consumer, 0, len(names)), make([]leat.Subscription, 0, len(names))
	for _, name := range names {
		sub := leat.Subscription{Topic: leat.PoisonTopic(topic, name), Group: replayGroup}
		subs = append(subs, sub)
		consumers = append(consumers, leat.NewConsumer(broker, sub, reader, &leat.ConsumerOptions{Logger: log}))
	}
	return consumers, subs
}

// Handle notes one poisoned event under the id that its publisher gave it. The data is that of the original.
func (r *poisonReader) Handle(_ context.Context, e leat.Event) error {
	f := fact{
		Kind:    factPoisoned,
		Service: extension(e, "leatgroup"),
		ID:      e.ID(),
		Type:    e.Type(),
		Digest:  digest(e.DataString()),
		Reason:  extension(e, "leatreason"),
	}
	f.Attempt, _ = strconv.Atoi(extension(e, "leatattempts"))
	if e.Type() == malformedType {
		m, err := leat.MalformedFrom(e)
		if err != nil {
			return fmt.Errorf("poisoned event %s: %w", e.ID(), err)
		}
		f.ID, f.Digest = malformedID(m.Body), digest(string(m.Body))
	}
	r.ledger.record(f)
	return nil
}

func extension(e leat.Event, name string) string {
	value, ok := e.Extension(name)
	if !ok {
		return ""
	}
	return fmt.Sprint(value)
}
