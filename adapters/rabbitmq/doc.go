// Package rabbitmq lets Leat publish to and consume from RabbitMQ 3.10 or later, on amqp091-go:
//
//	broker, err := rabbitmq.New(&rabbitmq.Options{Hosts: []string{"localhost:5672"}})
//	if err != nil {
//		return err
//	}
//	defer broker.Close()
//	producer := leat.NewProducer(broker, nil)
//
// A topic is a durable topic exchange. A group is a durable quorum queue, "topic.group", that is
// bound to it and has a dead-letter queue beside it. The routing key is the event's type. Order by
// key is kept by one active consumer for each queue, while the others of the group stand by. Events
// are messages in CloudEvents binary mode: attributes in headers "ce-…", the data as the body.
//
// Every message is persistent, mandatory and confirmed. New does not connect; the first call that
// needs the broker does. See docs/rabbitmq.md.
package rabbitmq
