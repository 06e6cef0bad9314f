package awssnssqs

import (
	"context"
	"strconv"

	"github.com/leatgo/leat"
)

var _ leat.LagReporter = (*Broker)(nil)

// Lag implements [leat.LagReporter]. It needs the permission sqs:GetQueueAttributes, and
// sqs:GetQueueUrl for a queue that this Broker has not declared. Its parts are the group's queues:
// one, or two where the group was once ordered and once not. SQS counts approximately, up to a
// minute late, and does not tell how old the oldest message is, so Oldest is unknown. The details
// are:
//
//   - "visible": how many messages wait in the queue.
//   - "not_visible": how many were received and not deleted.
//   - "delayed": how many were sent with a delay that is not over.
//   - "max_receive_count": after how many deliveries a redrive policy takes a message away; it is not
//     there without one.
//
// The error is an [*leat.Error].
func (b *Broker) Lag(ctx context.Context, topic, group string) (leat.Lag, error) {
	sub := leat.Subscription{Topic: topic, Group: group}
	if err := sub.Validate(); err != nil {
		return leat.Lag{}, fail(ctx, "lag", topic, err)
	}
	if err := b.life.Refuse(ctx, "lag", topic); err != nil {
		return leat.Lag{}, err
	}
	lag, err := b.lag(ctx, sub)
	if err != nil {
		return leat.Lag{}, fail(ctx, "lag", topic, err)
	}
	return lag, nil
}

func (b *Broker) lag(ctx context.Context, sub leat.Subscription) (leat.Lag, error) {
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	lag := leat.Lag{Topic: sub.Topic, Group: sub.Group}
	var absent error
	for _, unordered := range [...]bool{false, true} {
		sub.Unordered = unordered
		p, err := b.planOf(sub)
		if codeOf(err) == leat.CodeUnsupported && err != nil {
			absent = err
			continue
		}
		if len(lag.Parts) > 0 && lag.Parts[0].Name == p.queue {
			continue
		}
		q, attributes, err := b.look(ctx, p)
		if err != nil {
			if absent = err; codeOf(err) != leat.CodeNotFound {
				return leat.Lag{}, err
			}
			continue
		}
		part := partOf(&q, attributes)
		lag.Parts = append(lag.Parts, part)
		lag.Events += part.Events
	}
	if len(lag.Parts) == 0 {
		return leat.Lag{}, absent
	}
	if lag.Events > 0 {
		lag.Oldest = leat.LagUnknown
	}
	return lag, nil
}

// partOf returns the lag of a queue.
func partOf(q *queue, attributes map[string]string) leat.LagPart {
	part := leat.LagPart{Name: q.name, Details: map[string]int64{}}
	for _, count := range [...]struct{ detail, attribute string }{
		{"visible", "ApproximateNumberOfMessages"}, {"not_visible", "ApproximateNumberOfMessagesNotVisible"},
		{"delayed", "ApproximateNumberOfMessagesDelayed"},
	} {
		if n, err := strconv.ParseInt(attributes[count.attribute], 10, 64); err == nil {
			part.Details[count.detail] = n
			part.Events += n
		}
	}
	if q.redrives > 0 {
		part.Details["max_receive_count"] = int64(q.redrives)
	}
	return part
}
