package nats

import (
	"context"
	"time"

	"github.com/leatgo/leat"
	"github.com/nats-io/nats.go/jetstream"
)

// Lag implements [leat.LagReporter]. Its part is the group's consumer, and Events what the consumer
// has not delivered and what it waits for. The details are:
//
//   - "num_pending": how many messages were not delivered.
//   - "num_ack_pending": how many were delivered and not settled.
//   - "num_redelivered": how many of these were delivered more than once.
//   - "num_waiting": how many requests of streams wait for messages.
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
	lag, err := ask(ctx, b, func(ctx context.Context, js jetstream.JetStream) (leat.Lag, error) {
		return b.lag(ctx, js, sub)
	})
	if err != nil {
		return leat.Lag{}, fail(ctx, "lag", topic, err)
	}
	return lag, nil
}

func (b *Broker) lag(
	ctx context.Context, js jetstream.JetStream, sub leat.Subscription,
) (leat.Lag, error) {
	t := b.topicOf(sub.Topic)
	c, err := js.Consumer(ctx, t.stream, b.consumerConfig(sub, nil).Durable)
	if err != nil {
		return leat.Lag{}, err
	}
	i := c.CachedInfo()
	lag := leat.Lag{Topic: sub.Topic, Group: sub.Group, Events: int64(i.NumPending) + int64(i.NumAckPending)}
	lag.Parts = []leat.LagPart{{Name: i.Name, Events: lag.Events, Details: map[string]int64{
		"num_pending": int64(i.NumPending), "num_ack_pending": int64(i.NumAckPending),
		"num_redelivered": int64(i.NumRedelivered), "num_waiting": int64(i.NumWaiting),
	}}}
	if lag.Events == 0 {
		return lag, nil
	}
	lag.Oldest = leat.LagUnknown
	s, err := js.Stream(ctx, t.stream)
	if err != nil {
		return leat.Lag{}, err
	}
	first := max(i.AckFloor.Stream+1, s.CachedInfo().State.FirstSeq)
	var next []jetstream.GetMsgOpt
	if subject := i.Config.FilterSubject; subject != "" {
		next = append(next, jetstream.WithGetMsgSubject(subject)) // others are not the group's
	}
	if m, err := s.GetMsg(ctx, first, next...); err == nil { // otherwise it was deleted
		lag.Oldest = max(time.Since(m.Time), 0)
	}
	return lag, nil
}
