package rabbitmq

import (
	"context"

	"github.com/leatgo/leat"
	amqp "github.com/rabbitmq/amqp091-go"
)

var _ leat.LagReporter = (*Broker)(nil)

// Lag implements [leat.LagReporter]. It needs no permission. Its part is the group's queue, and
// Events the messages that wait in it: RabbitMQ does not tell by AMQP how many consumers hold, nor
// how old the first one is, so AtLeast is true and Oldest unknown. Those in delay queues are not
// counted either. The details are:
//
//   - "ready": how many messages wait in the queue.
//   - "consumers": how many consumers it has, in all processes. Of those that keep order, a quorum queue only tells the active one; a
//     classic one tells those that stand by, too.
//   - "dead_letters": how many messages its dead-letter queue has; it is not there where there is no such queue.
//
// The error is an [*leat.Error].
func (b *Broker) Lag(ctx context.Context, topic, group string) (leat.Lag, error) {
	sub := leat.Subscription{Topic: topic, Group: group, Unordered: true} // the name is the same
	if err := sub.Validate(); err != nil {
		return leat.Lag{}, fail(ctx, "lag", topic, err)
	}
	if err := b.life.Refuse(ctx, "lag", topic); err != nil {
		return leat.Lag{}, err
	}
	t, err := b.topologyOf(sub)
	if err != nil {
		return leat.Lag{}, fail(ctx, "lag", topic, err)
	}
	caller := ctx
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	part := leat.LagPart{Name: t.queue.Name, Details: map[string]int64{}}
	err = b.request(ctx, func(ch *amqp.Channel) error {
		q, err := t.look(ch, t.queue.Name, t.queue.Durable)
		part.Events = int64(q.Messages)
		part.Details["ready"], part.Details["consumers"] = part.Events, int64(q.Consumers)
		if dead := t.queue.DeadLetterQueue; err == nil && dead != "" {
			q, err = t.look(ch, dead, true)
			part.Details["dead_letters"] = int64(q.Messages)
		}
		return err
	})
	if err != nil {
		return leat.Lag{}, fail(caller, "lag", topic, err)
	}
	lag := leat.Lag{
		Topic: topic, Group: group, Events: part.Events, AtLeast: true, Oldest: leat.LagUnknown, Parts: []leat.LagPart{part},
	}
	return lag, nil
}
