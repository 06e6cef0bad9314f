package rabbitmq

import (
	"context"
	"errors"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
	"github.com/leatgo/leat/internal/rabbit"
	amqp "github.com/rabbitmq/amqp091-go"
)

// Declare implements [leat.Declarer] as [Options].Provision says. The error has [leat.CodeNotFound]
// for what does not exist, [leat.CodeConflict] for what exists in another form,
// [leat.CodeUnsupported] for a queue that cannot keep the order that is asked for, and
// [leat.CodePermissionDenied]; several are joined.
func (b *Broker) Declare(ctx context.Context, subs ...leat.Subscription) error {
	if err := b.life.RefuseDeclare(ctx, subs...); err != nil {
		return err
	}
	caller := ctx
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	var errs []error
	for _, sub := range subs {
		t, err := b.declaredOf(sub)
		if err == nil && b.o.Provision != ProvisionOff {
			err = b.declareAndAdopt(ctx, caller, &t)
		}
		if err != nil {
			errs = append(errs, fail(caller, "declare", sub.Topic, err))
		}
	}
	return fault.Join(errs...)
}

// declaredOf returns what is to be declared: of a topic alone, the exchange.
func (b *Broker) declaredOf(sub leat.Subscription) (topology, error) {
	if sub.Group != "" || sub.Broadcast {
		return b.topologyOf(sub)
	}
	exchange, err := b.exchangeOf(sub.Topic)
	return topology{sub: sub, exchange: exchange}, err
}

// declareAndAdopt declares a topology and moves what was kept for it. That has the caller's time,
// because there may be much of it.
func (b *Broker) declareAndAdopt(ctx, caller context.Context, t *topology) error {
	err := b.adopt(caller, t)
	if err == nil {
		err = b.declareOne(ctx, t)
	}
	if err == nil {
		err = b.adopt(caller, t)
	}
	return err
}

func (b *Broker) declareOne(ctx context.Context, t *topology) error {
	err := b.request(ctx, func(ch *amqp.Channel) error {
		if t.sub.Group == "" { // the queue of a broadcast comes with its stream
			return b.o.declareExchange(ch, t.sub.Topic, &t.exchange)
		}
		return t.declare(ch, &b.o)
	})
	if err == nil && b.o.Provision == ProvisionVerify {
		err = b.verify(ctx, t)
	}
	return err
}

// declareExchange makes sure that the exchange of a topic exists, as Provision says. After an error
// the channel is closed.
func (o *Options) declareExchange(ch *amqp.Channel, topic string, x *Exchange) error {
	arguments := x.Arguments
	var err error
	if o.keeps(x) {
		if arguments, err = o.declareUnrouted(ch, topic, x); err != nil {
			return err
		}
	}
	switch {
	case x.Name == "":
		return nil
	case x.Existing, x.predeclared(), o.Provision != ProvisionCreate:
		err = ch.ExchangeDeclarePassive(x.Name, x.Kind, x.Durable, x.AutoDelete, x.Internal, false, nil)
	default:
		err = ch.ExchangeDeclare(x.Name, x.Kind, x.Durable, x.AutoDelete, x.Internal, false, arguments)
	}
	if err != nil {
		return explain(topic, "exchange", x.Name, err)
	}
	return nil
}

// declare makes sure that exchange, queue and bindings exist, as o says: ProvisionCreate declares
// them, the others only look whether they are there. Subscribe calls it, and again after each
// reconnect, since what was there may have been deleted meanwhile. A broadcast's queue is always
// created. After an error the channel is closed; the error is an [*leat.Error].
func (t *topology) declare(ch *amqp.Channel, o *Options) error {
	if err := o.declareExchange(ch, t.sub.Topic, &t.exchange); err != nil {
		return err
	}
	q := &t.queue
	if q.Existing || o.Provision != ProvisionCreate && !t.sub.Broadcast {
		_, err := t.look(ch, q.Name, q.Durable)
		return err
	}
	if err := t.declareQueue(ch); err != nil {
		return err
	}
	return t.bind(ch)
}

// declareQueue creates the queue and its dead-letter queue.
func (t *topology) declareQueue(ch *amqp.Channel) error {
	q, topic := &t.queue, t.sub.Topic
	if q.DeadLetterQueue != "" { // first: a queue may not dead-letter into one that is not there
		if _, err := ch.QueueDeclare(q.DeadLetterQueue, true, false, false, false, rabbit.DeadLetterArguments(t.limit)); err != nil {
			return explain(topic, "queue", q.DeadLetterQueue, err)
		}
	}
	if _, err := ch.QueueDeclare(q.Name, q.Durable, false, q.Exclusive, false, q.Arguments); err != nil {
		return t.explainQueue(err)
	}
	return nil
}

// look asks for a queue that is there.
func (t *topology) look(ch *amqp.Channel, name string, durable bool) (amqp.Queue, error) {
	q, err := ch.QueueDeclarePassive(name, durable, false, t.queue.Exclusive, false, nil)
	if err != nil {
		err = explain(t.sub.Topic, "queue", name, err)
	}
	return q, err
}

// explainQueue is explain for the subscription's own queue: where that exists and cannot keep
// order, or keeps order that is to be given up, the subscription cannot be held.
func (t *topology) explainQueue(err error) error {
	amqpErr, ok := errors.AsType[*amqp.Error](err)
	if ok && amqpErr.Code == amqp.PreconditionFailed && differing(amqpErr.Reason) == rabbit.ArgSingle {
		if t.single() {
			return t.unordered(err)
		}
		return t.ordered(err)
	}
	return explain(t.sub.Topic, "queue", t.queue.Name, err)
}

func (t *topology) bind(ch *amqp.Channel) error {
	if t.exchange.Name == "" { // to which every queue is bound by its name
		return nil
	}
	for _, key := range t.queue.Keys {
		if err := ch.QueueBind(t.queue.Name, key, t.exchange.Name, false, nil); err != nil {
			return explain(t.sub.Topic, "queue", t.queue.Name, err)
		}
	}
	return nil
}
