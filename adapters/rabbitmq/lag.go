package rabbitmq

import (
	"context"

	"github.com/leatgo/leat"
	amqp "github.com/rabbitmq/amqp091-go"
)

// Lag is how far a group is behind.
type Lag struct {
	// Queue is the group's queue.
	Queue string
	// Ready is how many messages wait in it. Those that consumers hold and have not settled are not counted, nor those in delay queues.
	Ready int
	// Consumers is how many consumers it has, in all processes. Of those that keep order, a quorum queue only tells the active one; a classic
	// one tells those that stand by, too.
	Consumers int
	// DeadLetters is how many messages its dead-letter queue has, 0 where there is none.
	DeadLetters int
}

// Lag returns how far a group is behind. It asks the broker, and needs no stream and no permission. The error is an [*leat.Error].
func (b *Broker) Lag(ctx context.Context, topic, group string) (Lag, error) {
	sub := leat.Subscription{Topic: topic, Group: group, Unordered: true} // the name is the same
	if err := sub.Validate(); err != nil {
		return Lag{}, fail(ctx, "lag", topic, err)
	}
	if err := b.refusal(ctx, "lag", topic); err != nil {
		return Lag{}, err
	}
	t, err := b.topologyOf(sub)
	if err != nil {
		return Lag{}, fail(ctx, "lag", topic, err)
	}
	caller := ctx
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	lag := Lag{Queue: t.queue.Name}
	err = b.withChannel(ctx, "lag", topic, func(ch *amqp.Channel) error {
		q, err := ch.QueueDeclarePassive(t.queue.Name, t.queue.Durable, false, false, false, nil)
		if err != nil {
			return explain(topic, "queue", t.queue.Name, err)
		}
		lag.Ready, lag.Consumers = q.Messages, q.Consumers
		if t.queue.DeadLetterQueue == "" {
			return nil
		}
		q, err = ch.QueueDeclarePassive(t.queue.DeadLetterQueue, true, false, false, false, nil)
		if err != nil {
			return explain(topic, "queue", t.queue.DeadLetterQueue, err)
		}
		lag.DeadLetters = q.Messages
		return nil
	})
	if err != nil {
		return Lag{}, fail(caller, "lag", topic, err)
	}
	return lag, nil
}
