package awssnssqs

import (
	"context"
	"net"
	"sync/atomic"
)

// TopicName is how SNS calls a topic.
func TopicName(topic string, fifo bool) string { return name(mostTopicName, fifo, topic) }

// QueueName is how SQS calls the queue of a topic and a group, or in ModeSQS of a topic.
func QueueName(fifo bool, of ...string) string { return name(mostQueueName, fifo, of...) }

// CountDials returns what counts the attempts to connect from now on.
func CountDials(b *Broker) func() int {
	var n atomic.Int32
	for _, d := range []*dialer{b.toSQS.dialer, b.toSNS.dialer} {
		d.mu.Lock()
		dial := d.dial
		d.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			n.Add(1)
			return dial(ctx, network, address)
		}
		d.mu.Unlock()
	}
	return func() int { return int(n.Load()) }
}

// HangDials lets all attempts to connect hang until their contexts end, and ends the connections
// that are idle.
func HangDials(b *Broker) {
	for _, s := range []*service{&b.toSQS, &b.toSNS} {
		d := s.dialer
		d.mu.Lock()
		d.dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		d.mu.Unlock()
		s.transport.CloseIdleConnections()
	}
}

// Lanes returns how many lanes there are.
func Lanes(b *Broker) int {
	b.publisher.mu.Lock()
	defer b.publisher.mu.Unlock()
	return len(b.publisher.lanes)
}
