package awssnssqs

import (
	"context"

	"github.com/leatgo/leat"
)

// target is where the events of a topic go.
type target struct {
	id   string // the ARN of the SNS topic, or the URL of the queue in ModeSQS
	fifo bool
}

// queue is where the events of a group come from.
type queue struct {
	url      string
	name     string
	fifo     bool
	redrives int // maxReceiveCount of its redrive policy; 0 without one
}

// target finds where the events of a topic go, and remembers it. The error is one of the SDK, or an
// [*leat.Error].
func (b *Broker) target(ctx context.Context, topic string) (target, error) {
	return target{}, nil
}

// forget lets the next publish look for the target of a topic again: it does not exist any more.
func (b *Broker) forget(topic string) { b.topics.Delete(topic) }

// provision does for a subscription what the Provision option says, and returns its queue. The
// error is one of the SDK, or an [*leat.Error].
func (b *Broker) provision(ctx context.Context, sub leat.Subscription) (queue, error) {
	return queue{}, nil
}
