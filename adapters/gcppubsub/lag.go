package gcppubsub

import (
	"context"
	"errors"

	"github.com/leatgo/leat"
)

var _ leat.LagReporter = (*Broker)(nil)

// Lag implements [leat.LagReporter]. Pub/Sub tells nobody how far a subscription is behind, except
// for its monitoring, so a subscription that exists is an error with [leat.CodeUnsupported], which
// names the metrics to look at. The error is an [*leat.Error].
func (b *Broker) Lag(ctx context.Context, topic, group string) (leat.Lag, error) {
	sub := leat.Subscription{Topic: topic, Group: group}
	err := sub.Validate()
	if err == nil {
		err = b.life.Refuse(ctx, "lag", topic)
	}
	if err == nil {
		request, cancel := b.bounded(ctx)
		defer cancel()
		p := b.planOf(sub)
		if _, err = b.look(request, p); err != nil {
			err = at("the subscription", p.path, err)
		} else {
			err = errLag
		}
	}
	return leat.Lag{}, fail(ctx, "lag", topic, err)
}

var errLag error = &leat.Error{Code: leat.CodeUnsupported, Err: errors.New("Pub/Sub has no call for it; look at the metrics " +
	"subscription/num_unacked_messages_by_region and subscription/oldest_unacked_message_age of Cloud Monitoring")}

var errNoGroup error = &leat.Error{Code: leat.CodeUnsupported, Err: errors.New("a broadcast has no group")}
