// Package amqp is Leat over watermill-amqp, configured so that it loses nothing. It is for services
// that have to stay with watermill-amqp; for all others, adapters/rabbitmq is the better way to
// RabbitMQ: it confirms and handles many events of a queue at a time.
//
//	broker, err := amqp.New(&amqp.Options{URL: "amqp://guest:guest@localhost:5672/"})
//
// Exchanges are those of watermill-amqp's durable Pub/Sub: a durable fanout exchange with the name
// of the topic. A group is a durable quorum queue that is bound to it, "topic.group", with a
// dead-letter queue beside it; it is as adapters/rabbitmq declares it.
//
// What differs from watermill-amqp's own defaults: publishes are confirmed and mandatory, so that a
// message that no queue takes is an error; one active consumer of a queue keeps the order; a nacked
// message comes again after a delay; a message of any form becomes one of Watermill, so that none
// is given back and delivered again for ever; a handler whose channel was lost is told.
//
// The package uses the connections, the configuration and the topology of watermill-amqp, and
// channels of its own instead of its Publisher and Subscriber: a pool of watermill-amqp may block
// for ever when one of its channels has failed.
//
// What cannot be configured: one message of a queue is handled at a time, and a publish waits for
// its confirm without an end while the broker stays connected and does not answer, as it does when
// it is out of memory or disk space; Close ends that.
package amqp
