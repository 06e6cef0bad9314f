// Package nats lets Leat publish to and consume from NATS JetStream, of nats-server 2.11 or later,
// on nats.go:
//
//	broker, err := nats.New(&nats.Options{Hosts: []string{"localhost:4222"}})
//	if err != nil {
//		return err
//	}
//	defer broker.Close()
//	producer := leat.NewProducer(broker, nil)
//
// A topic is a stream with one subject, "leat.<topic>". A group is a durable pull consumer of it.
// Events are messages in CloudEvents binary mode: attributes in headers "ce-…", percent-encoded,
// the data as the payload.
//
// Order by key is kept for the whole group by one active stream, to which the consumer is pinned,
// while the others stand by. A stream that takes over delivers nothing before it has all that its
// predecessor left. A group that is [leat.Subscription].Unordered has no pin, and its streams share
// the events.
//
// New does not wait for a connection. See docs/nats.md.
package nats
