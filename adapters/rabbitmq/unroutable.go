package rabbitmq

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/lifecycle"
	"github.com/leatgo/leat/internal/rabbit"
	amqp "github.com/rabbitmq/amqp091-go"
)

// Unroutable says what becomes of an event that no queue takes, because no group of its topic is
// declared yet.
type Unroutable uint8

// What becomes of an event without a queue.
const (
	// UnroutableRefuse refuses it with [leat.CodeNotFound]. It is the default.
	UnroutableRefuse Unroutable = iota
	// UnroutableDrop reports it as published, and RabbitMQ drops it.
	UnroutableDrop
	// UnroutableKeep keeps it in the queue "topic:unrouted", by RabbitMQ's alternate exchange,
	// until a group of the topic is declared. The first such group gets what was kept, in order,
	// before it gets anything else. An event that is published in the very moment in which the
	// group is declared may come after later ones of its key. Groups that are bound with keys of
	// their own (Queue.Keys) get nothing of it.
	//
	// RabbitMQ fixes the alternate exchange when it creates the exchange. So all programs that
	// declare the topic need this setting, and an exchange that was created without it has to be
	// deleted once. It has no effect on exchanges with Existing or an alternate exchange of their
	// own.
	UnroutableKeep
)

const (
	argAlternate = "alternate-exchange"
	// unroutedSuffix ends the name of the alternate exchange of a topic, and of its queue.
	unroutedSuffix = ":unrouted"
	// adoptSuffix ends the name of the exchange through which a group gets what was kept: through
	// the default exchange a message would lose its routing key.
	adoptSuffix = ":adopt"
	// lockSuffix ends the name of the queue whose consumer is the one that moves.
	lockSuffix = ":lock"
	// adoptPause is the time between two looks whether another process still moves.
	adoptPause = 50 * time.Millisecond
	// mostNacks is how often in a row a nack is waited for, and moved again what was not
	// acknowledged.
	mostNacks = 5
	// adoptBatch is how many kept messages are moved at a time.
	adoptBatch = 200
	// adoptTag names the consumer that takes them.
	adoptTag = "leat-adopt"
	// adoptSilence is how long one that was counted may not come.
	adoptSilence = 2 * time.Second
)

// keeps reports whether what no queue of an exchange takes is kept.
func (o *Options) keeps(x *Exchange) bool {
	_, own := x.Arguments[argAlternate]
	return o.Unroutable == UnroutableKeep && o.Provision == ProvisionCreate && !own && !x.Existing && !x.predeclared()
}

// declareUnrouted creates what keeps the events that no queue of x takes, before x names it, and
// returns the arguments of x with it.
func (o *Options) declareUnrouted(ch *amqp.Channel, topic string, x *Exchange) (amqp.Table, error) {
	name := x.Name + unroutedSuffix
	if err := rabbit.CheckName("queue that keeps unroutable events", name); err != nil {
		return nil, topologyError(topic, leat.CodeInvalid, "%w", err)
	}
	if err := ch.ExchangeDeclare(name, amqp.ExchangeFanout, true, false, false, false, nil); err != nil {
		return nil, explain(topic, "exchange", name, err)
	}
	if _, err := ch.QueueDeclare(name, true, false, false, false, rabbit.DeadLetterArguments(o.DeliveryLimit)); err != nil {
		return nil, explain(topic, "queue", name, err)
	}
	if err := ch.QueueBind(name, "", name, false, nil); err != nil {
		return nil, explain(topic, "queue", name, err)
	}
	arguments := amqp.Table{argAlternate: name}
	maps.Copy(arguments, x.Arguments)
	return arguments, nil
}

// adopt moves what was kept for the first group of a topic into the group's queue. Declare calls it
// before it binds the queue, so that what was kept comes first, and again afterwards, for what was
// published meanwhile. A stream calls it when it connects, since somebody may have deleted the
// queue. It waits while another process moves: to bind the queue before that is done would let
// newer events in.
func (b *Broker) adopt(ctx context.Context, t *topology) error {
	q := &t.queue
	if !b.o.keeps(&t.exchange) || t.sub.Group == "" || q.Existing || !slices.Equal(q.Keys, []string{allKeys}) {
		return nil
	}
	for nacks := 0; ; {
		err := b.request(ctx, func(ch *amqp.Channel) error { return t.adopt(ctx, ch) })
		amqpErr, ok := errors.AsType[*amqp.Error](err)
		switch {
		case errors.Is(err, errNothingKept):
			return nil
		case errors.Is(err, errNack) && nacks < mostNacks: // a quorum queue that was just declared may have no leader yet
			if nacks++; !lifecycle.Sleep(ctx, time.Duration(nacks)*adoptPause) {
				return err
			}
		case !ok || amqpErr.Code != amqp.NotFound && !strings.Contains(amqpErr.Reason, "in exclusive use"):
			return err
		case !lifecycle.Sleep(ctx, adoptPause): // the lock is taken, or was just given back
			return context.Cause(ctx)
		}
	}
}

var errNothingKept = errors.New("there is no queue that keeps events")

// adopt moves, on a channel of its own, until nothing is left.
func (t *topology) adopt(ctx context.Context, ch *amqp.Channel) error {
	kept := t.exchange.Name + unroutedSuffix
	if _, err := ch.QueueDeclarePassive(kept, true, false, false, false, nil); err != nil {
		if amqpErr, ok := errors.AsType[*amqp.Error](err); ok && amqpErr.Code == amqp.NotFound {
			return errNothingKept
		}
		return explain(t.sub.Topic, "queue", kept, err)
	}
	if err := t.declareQueue(ch); err != nil {
		return err
	}
	// The lock is the exclusive consumer of a queue that is gone when the channel is: two processes
	// that move would mix the order. RabbitMQ 4.3 takes no such queue that is not durable.
	lock := kept + lockSuffix
	if _, err := ch.QueueDeclare(lock, true, true, false, false, amqp.Table{rabbit.ArgType: amqp.QueueTypeClassic}); err != nil {
		return explain(t.sub.Topic, "queue", lock, err)
	}
	if _, err := ch.Consume(lock, consumerTag, true, true, false, false, nil); err != nil {
		return err
	}
	through := t.queue.Name + adoptSuffix
	if err := ch.ExchangeDeclare(through, amqp.ExchangeFanout, false, false, false, false, nil); err != nil {
		return explain(t.sub.Topic, "exchange", through, err)
	}
	if err := ch.QueueBind(t.queue.Name, "", through, false, nil); err != nil {
		return explain(t.sub.Topic, "queue", t.queue.Name, err)
	}
	if err := ch.Confirm(false); err != nil {
		return err
	}
	for {
		moved, err := move(ctx, ch, kept, through)
		if err != nil {
			return err
		}
		if moved == 0 {
			return ch.ExchangeDelete(through, false, false)
		}
	}
}

// move publishes messages of a queue to an exchange, at most adoptBatch, and acknowledges them when
// the broker has confirmed all: after a crash between the two they are there twice.
func move(ctx context.Context, ch *amqp.Channel, queue, exchange string) (moved int, err error) {
	state, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
	if err != nil || state.Messages == 0 {
		return 0, err
	}
	// The prefetch is what is moved, and the consumer ends before the acknowledgement: so nothing
	// else is taken, which would go back out of order.
	count := min(state.Messages, adoptBatch)
	if err := ch.Qos(count, 0, false); err != nil {
		return 0, err
	}
	messages, err := ch.Consume(queue, adoptTag, false, false, false, false, nil)
	if err != nil {
		return 0, err
	}
	var confirms []*amqp.DeferredConfirmation
	var last uint64
	publish := func(m *amqp.Delivery) error {
		confirm, err := republish(ch, exchange, m)
		confirms, last = append(confirms, confirm), m.DeliveryTag
		return err
	}
	for silence := false; len(confirms) < count && !silence; {
		select {
		case m, open := <-messages:
			if !open {
				return 0, errLost
			}
			if err := publish(&m); err != nil {
				return 0, err
			}
		case <-time.After(adoptSilence): // somebody has purged the queue
			silence = true
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	if err := ch.Cancel(adoptTag, false); err != nil {
		return 0, err
	}
	for m := range messages { // what came after a silence
		if err := publish(&m); err != nil {
			return 0, err
		}
	}
	if len(confirms) == 0 {
		return 0, nil
	}
	for _, confirm := range confirms {
		switch acked, err := confirm.WaitContext(ctx); {
		case err != nil:
			return 0, err
		case !acked && ch.IsClosed(): // which says no to all
			return 0, errLost
		case !acked:
			return 0, &leat.Error{Op: "declare", Code: leat.CodeUnknown, Err: errNack}
		}
	}
	return len(confirms), ch.Ack(last, true)
}

// republish publishes a message as it came.
func republish(ch *amqp.Channel, exchange string, m *amqp.Delivery) (*amqp.DeferredConfirmation, error) {
	delete(m.Headers, "x-delivery-count") // the new queue counts anew
	return ch.PublishWithDeferredConfirm(exchange, m.RoutingKey, true, false, amqp.Publishing{
		Headers: m.Headers, ContentType: m.ContentType, ContentEncoding: m.ContentEncoding, DeliveryMode: m.DeliveryMode,
		Priority: m.Priority, CorrelationId: m.CorrelationId, ReplyTo: m.ReplyTo, Expiration: m.Expiration, MessageId: m.MessageId,
		Timestamp: m.Timestamp, Type: m.Type, AppId: m.AppId, Body: m.Body,
	})
}
