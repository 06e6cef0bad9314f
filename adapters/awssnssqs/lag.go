package awssnssqs

import (
	"cmp"
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
	for _, sub.Unordered = range [...]bool{false, true} {
		p, err := b.planOf(sub)
		if err == nil && (len(lag.Parts) == 0 || lag.Parts[0].Name != p.queue) {
			err = b.addPart(ctx, p, &lag)
		}
		if err != nil && codeOf(err) != leat.CodeNotFound && codeOf(err) != leat.CodeUnsupported {
			return leat.Lag{}, err
		}
		absent = cmp.Or(err, absent)
	}
	if len(lag.Parts) == 0 {
		return leat.Lag{}, absent
	}
	if lag.Events > 0 {
		lag.Oldest = leat.LagUnknown
	}
	return lag, nil
}

// addPart adds the lag of a queue.
func (b *Broker) addPart(ctx context.Context, p *plan, lag *leat.Lag) error {
	q, attributes, err := b.look(ctx, p)
	if err != nil {
		return err
	}
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
	lag.Parts, lag.Events = append(lag.Parts, part), lag.Events+part.Events
	return nil
}
