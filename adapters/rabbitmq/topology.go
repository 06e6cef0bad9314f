package rabbitmq

import (
	"github.com/leatgo/leat"
	amqp "github.com/rabbitmq/amqp091-go"
)

// Exchange is what a topic is on the broker, for [Options].Exchange.
type Exchange struct {
	// Name is the exchange's name, the topic's by default. "" is RabbitMQ's default exchange, which routes to the queue that the routing key
	// names.
	Name string
	// Kind is "topic" by default, or "direct", "fanout", "headers" or what a plugin adds.
	Kind string
	// Durable, true by default, keeps the exchange over a restart of the broker. Without it, published events may find no queue.
	Durable bool
	// AutoDelete and Internal are RabbitMQ's, false by default.
	AutoDelete, Internal bool
	// Arguments are RabbitMQ's, such as "alternate-exchange". Nil by default.
	Arguments amqp.Table
	// Existing uses the exchange as it is: it is never created, and nothing is verified but that it is there.
	Existing bool
}

// Queue is what a group, or a broadcast, is on the broker, for [Options].Queue.
type Queue struct {
	// Name is "topic.group" by default. For a broadcast it is RabbitMQ's to know and begins with what stands here.
	Name string
	// Durable keeps the queue over a restart of the broker.
	Durable bool
	// Exclusive belongs to a connection and ends with it.
	Exclusive bool
	// Arguments are RabbitMQ's: its type, its order ("x-single-active-consumer"), its limits. What a queue can hold is told from them,
	// also of one that exists: so they should be those that it has.
	Arguments amqp.Table
	// Keys are the routing keys by which it is bound to the exchange, "#" by default. Empty, it is not bound.
	Keys []string
	// DeadLetterQueue is created beside it, unless it is "". It is Name with ".dead" behind it by default, and "" for a broadcast and a
	// classic queue.
	DeadLetterQueue string
	// Existing uses the queue as it is: neither it, its bindings nor its dead-letter queue are created, and nothing is verified but
	// that it is there.
	Existing bool
}

// topology is the exchange and queue of a subscription, as [Options] say.
type topology struct {
	sub      leat.Subscription
	exchange Exchange
	queue    Queue
}

// topologyOf returns the topology of a subscription. For a broadcast, each call makes up another name for the queue: it is called again
// for each connection. The error is an [*leat.Error] with [leat.CodeUnsupported] where the queue cannot hold what is asked for,
// or [leat.CodeInvalid].
func (b *Broker) topologyOf(sub leat.Subscription) (topology, error) { return topology{}, nil }

// exchangeOf returns the exchange of a topic.
func (b *Broker) exchangeOf(topic string) (Exchange, error) { return Exchange{Name: topic}, nil }

// capabilities returns what a stream of the queue holds, but for LongestDelay, which is the stream's to say.
func (t *topology) capabilities(o *Options) leat.Capabilities { return leat.Capabilities{} }

// quorum reports whether the queue counts deliveries.
func (t *topology) quorum() bool { return false }

// declareExchange makes sure that the exchange of a topic exists, as o.Provision says. After an error the channel is closed.
func (x *Exchange) declareExchange(ch *amqp.Channel, p Provision) error { return nil }

// declare makes sure that exchange, queue and bindings exist, as p says: ProvisionCreate declares them, the others only look whether
// they are there. Subscribe calls it, and again after each reconnect, since what was there may have been deleted meanwhile. A broadcast's
// queue is always created. After an error the channel is closed; the error is an [*leat.Error] or a lost connection's.
func (t *topology) declare(ch *amqp.Channel, p Provision) error { return nil }
