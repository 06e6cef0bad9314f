package rabbitmq

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/rabbit"
	amqp "github.com/rabbitmq/amqp091-go"
)

// Exchange is what a topic is on the broker, for [Options].Exchange.
type Exchange struct {
	// Name is the exchange's name, the topic's by default. "" is RabbitMQ's default exchange, which
	// routes to the queue that the routing key names.
	Name string
	// Kind is "topic" by default, or "direct", "fanout", "headers" or what a plugin adds.
	Kind string
	// Durable, true by default, keeps the exchange over a restart of the broker. Without it,
	// published events may find no queue.
	Durable bool
	// AutoDelete and Internal are RabbitMQ's, false by default.
	AutoDelete, Internal bool
	// Arguments are RabbitMQ's, such as "alternate-exchange". Nil by default.
	Arguments amqp.Table
	// Existing uses the exchange as it is: it is never created, and only looked for.
	Existing bool
}

// Queue is what a group, or a broadcast, is on the broker, for [Options].Queue.
type Queue struct {
	// Name is "topic.group" by default, or "topic:group" where the group has a dot: so no two
	// groups have the same queue. For a broadcast it is "topic:broadcast:", and a unique end is
	// added to it.
	Name string
	// Durable keeps the queue over a restart of the broker. It is true by default, and false for a
	// broadcast.
	Durable bool
	// Exclusive queues belong to a connection and end with it. It is false by default, and always
	// true for a broadcast.
	Exclusive bool
	// Arguments are RabbitMQ's: its type, its order ("x-single-active-consumer"), its limits. What
	// the queue can hold is told from them. For one that is used as it is, they must be those that
	// it has.
	Arguments amqp.Table
	// Keys are the routing keys by which it is bound to the exchange, "#" by default. Without any
	// it is not bound.
	Keys []string
	// DeadLetterQueue is created beside it, unless it is "", and takes its dead letters, unless
	// Arguments have "x-dead-letter-exchange". By default it is "topic.group:dead", and "" where
	// they have, for a classic queue, a broadcast, and a queue that is used as it is.
	DeadLetterQueue string
	// Existing uses the queue as it is: neither it, its bindings nor its dead-letter queue are
	// created, and it is only looked for. A broadcast has no existing queue.
	Existing bool
}

const (
	allKeys       = "#"
	broadcastName = ":broadcast:"
)

// topology is the exchange and queue of a subscription, as [Options] say.
type topology struct {
	sub      leat.Subscription
	exchange Exchange
	queue    Queue
	limit    int // of the dead-letter queue
}

// topologyOf returns the topology of a subscription. For a broadcast, each call makes up another
// name for the queue: it is called again for each connection. The error is an [*leat.Error] with
// [leat.CodeUnsupported] where the queue cannot hold what is asked for, or [leat.CodeInvalid].
func (b *Broker) topologyOf(sub leat.Subscription) (topology, error) {
	exchange, err := b.exchangeOf(sub.Topic)
	if err != nil {
		return topology{}, err
	}
	t := topology{sub: sub, exchange: exchange, limit: b.o.DeliveryLimit}
	if sub.Broadcast {
		t.queue = Queue{Name: sub.Topic + broadcastName, Arguments: amqp.Table{rabbit.ArgType: amqp.QueueTypeClassic}, Keys: []string{allKeys}}
	} else {
		t.queue = b.o.groupQueue(sub)
	}
	if b.o.Queue != nil {
		b.o.Queue(sub, &t.queue)
	}
	if sub.Broadcast {
		t.queue.Name += rand.Text()
		t.queue.Exclusive, t.queue.Existing = true, false
	}
	t.queue.finish(rabbit.QueueName(sub.Topic, sub.Group) + rabbit.DeadSuffix)
	if err := t.check(); err != nil {
		return topology{}, err
	}
	return t, nil
}

// groupQueue is the queue of a group, before Options.Queue changes it.
func (o *Options) groupQueue(sub leat.Subscription) Queue {
	q := Queue{Name: rabbit.QueueName(sub.Topic, sub.Group), Durable: true, Keys: []string{allKeys}}
	single, limit := !sub.Unordered, o.DeliveryLimit
	if sub.Group == leat.ReplayGroup { // see turns
		single, limit = false, max(limit, replayLimit)
	}
	if o.QueueType == QueueQuorum {
		q.Arguments, q.DeadLetterQueue = rabbit.GroupArguments(limit, single), q.Name+rabbit.DeadSuffix
		return q
	}
	q.Arguments = amqp.Table{rabbit.ArgType: amqp.QueueTypeClassic}
	if single {
		q.Arguments[rabbit.ArgSingle] = true
	}
	return q
}

// finish settles what depends on whether Options.Queue has changed the queue. byDefault is the
// dead-letter queue of one that it has not.
func (q *Queue) finish(byDefault string) {
	_, given := q.Arguments[rabbit.ArgDeadTo]
	if (given || q.Existing) && q.DeadLetterQueue == byDefault {
		q.DeadLetterQueue = ""
	}
	if given || q.Existing || q.DeadLetterQueue == "" {
		return
	}
	own := amqp.Table{rabbit.ArgDeadTo: "", rabbit.ArgDeadKey: q.DeadLetterQueue}
	maps.Copy(own, q.Arguments) // which may belong to Options.Queue
	q.Arguments = own
}

// exchangeOf returns the exchange of a topic.
func (b *Broker) exchangeOf(topic string) (Exchange, error) {
	x := Exchange{Name: topic, Kind: amqp.ExchangeTopic, Durable: true}
	if b.o.Exchange != nil {
		own := x // which escapes, unlike x: every publish comes here
		b.o.Exchange(topic, &own)
		x = own
	}
	if err := rabbit.CheckName("exchange", x.Name); err != nil {
		return Exchange{}, topologyError(topic, leat.CodeInvalid, "%w, or set Options.Exchange", err)
	}
	if err := x.Arguments.Validate(); err != nil {
		return Exchange{}, topologyError(topic, leat.CodeInvalid, "Arguments of the exchange %q: %w", x.Name, err)
	}
	return x, nil
}

// check returns what is wrong with the queue, or what it cannot hold.
func (t *topology) check() error {
	q, topic := &t.queue, t.sub.Topic
	for _, name := range []string{q.Name, q.DeadLetterQueue} {
		if err := rabbit.CheckName("queue", name); err != nil {
			return topologyError(topic, leat.CodeInvalid, "%w, or set Options.Queue", err)
		}
	}
	if q.Name == "" {
		return topologyError(topic, leat.CodeInvalid, "the queue has no name")
	}
	if err := q.Arguments.Validate(); err != nil {
		return topologyError(topic, leat.CodeInvalid, "Arguments of the queue %q: %w", q.Name, err)
	}
	if q.Arguments[rabbit.ArgType] == amqp.QueueTypeStream {
		return topologyError(topic, leat.CodeUnsupported,
			"the queue %q is a stream, which cannot be consumed as a queue; use a quorum or a classic queue", q.Name)
	}
	if !t.sub.Broadcast && !t.sub.Unordered && !t.single() && !t.turns() {
		return t.unordered(nil)
	}
	return nil
}

// unordered is the error of a subscription that asks for order and whose queue cannot hold it.
func (t *topology) unordered(cause error) error {
	text := fmt.Errorf("the queue %q has not %s, so it cannot keep the order by key; set Subscription.Unordered, or use a queue that has it",
		t.queue.Name, rabbit.ArgSingle)
	if cause != nil {
		text = fmt.Errorf("%w: %w", text, cause)
	}
	return topologyError(t.sub.Topic, leat.CodeUnsupported, "%w", text)
}

// ordered is the error of a subscription that gives up order and whose queue exists and keeps it.
// Leat itself makes such a queue: for a group that was ordered once, and for the group that reads
// the poison queue of one.
func (t *topology) ordered(cause error) error {
	text := "subscribe without Unordered; or handle what the queue has, delete it while no consumer is connected, and declare it again"
	if t.sub.Group == leat.ReplayGroup {
		text = "an older version of Leat has declared it: replay with that until it is empty, delete it, and start the consumer again"
	}
	return topologyError(t.sub.Topic, leat.CodeUnsupported, "the queue %q has %s, so it keeps order, which the subscription gives up; %s: %w",
		t.queue.Name, rabbit.ArgSingle, text, cause)
}

// single reports whether one consumer of the queue at a time gets messages.
func (t *topology) single() bool {
	single, _ := t.queue.Arguments[rabbit.ArgSingle].(bool)
	return single
}

// quorum reports whether the queue counts deliveries.
func (t *topology) quorum() bool { return t.queue.Arguments[rabbit.ArgType] == amqp.QueueTypeQuorum }

// rejects reports whether what is rejected is sure to be in a dead-letter queue: it is the
// adapter's own, and the broker keeps the message until that has it. Otherwise RabbitMQ may drop
// it. That the queue has these arguments is only known where the adapter declares it.
func (t *topology) rejects() bool {
	q := &t.queue
	return t.quorum() && !q.Existing && q.DeadLetterQueue != "" &&
		q.Arguments[rabbit.ArgDeadTo] == "" && q.Arguments[rabbit.ArgDeadKey] == q.DeadLetterQueue &&
		q.Arguments[rabbit.ArgDeadHow] == rabbit.AtLeastOnce && q.Arguments[rabbit.ArgOverflow] == amqp.QueueOverflowRejectPublish
}

// capabilities returns what a stream of the queue holds, but for LongestDelay, which is the
// stream's to say.
func (t *topology) capabilities(o *Options) leat.Capabilities {
	c := leat.Capabilities{
		Durable: t.queue.Durable, DeliveryCount: t.quorum(), NativeReject: o.Provision == ProvisionCreate && t.rejects(),
		Broadcast: t.sub.Broadcast, LongestHold: o.RecycleAfter,
	}
	switch {
	case t.sub.Broadcast:
		c.Order = leat.OrderPerStream
	case t.single():
		c.Order, c.Standby = leat.OrderPerGroup, true
	case t.turns():
		c.Standby = true
		if !t.sub.Unordered {
			c.Order = leat.OrderPerGroup
		}
	}
	return c
}

// predeclared reports whether the exchange is RabbitMQ's own, which can be used and not be
// declared.
func (x *Exchange) predeclared() bool { return x.Name == "" || strings.HasPrefix(x.Name, "amq.") }

func topologyError(topic string, code leat.Code, format string, args ...any) error {
	return &leat.Error{Op: "declare", Topic: topic, Code: code, Err: fmt.Errorf(format, args...)}
}

// explain makes the error of a declaration.
func explain(topic, what, name string, err error) error {
	err = discreet(err)
	code := codeOf(err)
	advice := ""
	amqpErr, _ := errors.AsType[*amqp.Error](err)
	switch {
	case code == leat.CodePermissionDenied:
		advice = "; docs/rabbitmq.md lists the permissions, and ProvisionOff (provision=off) needs the fewest"
	case code == leat.CodeNotFound:
		advice = "; declare a subscription of it (leat.Declare, or leat.Run, which does) with ProvisionCreate (provision=create), or create it"
	case amqpErr != nil && amqpErr.Code == amqp.PreconditionFailed:
		advice = "; it exists in another form: set Options." + strings.ToUpper(what[:1]) + what[1:] + " to what it is, or delete it"
		if differs := differing(amqpErr.Reason); differs != "" {
			what = "the argument " + differs + " of the " + what
		}
	}
	return topologyError(topic, code, "%s %q: %w%s", what, name, err, advice)
}

// differing returns the argument that a PRECONDITION_FAILED names, such as "inequivalent arg
// 'x-max-length' for queue …", or "".
func differing(reason string) string {
	_, rest, found := strings.Cut(reason, "inequivalent arg '")
	name, _, closed := strings.Cut(rest, "'")
	if !found || !closed {
		return ""
	}
	return name
}
