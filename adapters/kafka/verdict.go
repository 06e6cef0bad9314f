package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/leatgo/leat"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Most errors of a group pass when somebody mends the cluster, grants a permission or stops another
// member, so the client tries again and health says what is wrong. What follows are those that
// follow from this client's own options: they end the stream.

// OnGroupManageError is called by the client when the session of the group has failed, before it
// tries again.
func (s *Stream) OnGroupManageError(err error) {
	fatal := s.verdict(err)
	if fatal == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fatal == nil {
		s.fatal = &leat.Error{Op: "receive", Topic: s.sub.Topic, Code: codeOf(err), Err: fatal}
		s.cancel() // which ends the client's attempts
		s.wake()
	}
}

// verdict returns why the stream is over after an error of the group, nil when it is not.
func (s *Stream) verdict(err error) error {
	switch {
	case errors.Is(err, kerr.FencedInstanceID) && s.member > 0:
		// Joining again would throw the other out, which would join again, and so on.
		return fmt.Errorf("group %s has another member with the same InstanceID, which has taken over: %w", s.sub.Group, err)
	case errors.Is(err, kerr.InvalidSessionTimeout):
		return fmt.Errorf("the cluster does not take a SessionTimeout of %v; %s: %w", s.broker.o.SessionTimeout, s.broker.sessionLimits(), err)
	case errors.Is(err, kerr.InvalidGroupID):
		return fmt.Errorf("the cluster does not take the name of group %s: %w", s.sub.Group, err)
	case errors.Is(err, kerr.UnsupportedAssignor):
		return fmt.Errorf("the cluster does not have the assignor that group %s is to use (group.consumer.assignors): %w", s.sub.Group, err)
	}
	return nil
}

// limitsTimeout is how long the cluster may take to tell the limits of a SessionTimeout.
const limitsTimeout = 2 * time.Second

// sessionLimits says which session timeouts the cluster takes. A client may not be allowed to ask.
func (b *Broker) sessionLimits() string {
	const least, most = "group.min.session.timeout.ms", "group.max.session.timeout.ms"
	ctx, cancel := context.WithTimeout(context.Background(), limitsTimeout)
	defer cancel()
	values, err := within(ctx, func() (map[string]string, error) {
		brokers, err := b.admin.ListBrokers(ctx)
		if err != nil || len(brokers) == 0 {
			return nil, err
		}
		described, err := b.admin.DescribeBrokerConfigs(ctx, brokers[0].NodeID)
		values := map[string]string{}
		for _, resource := range described {
			for _, c := range resource.Configs {
				values[c.Key] = c.MaybeValue()
			}
		}
		return values, err
	})
	if err != nil || values[least] == "" || values[most] == "" {
		return fmt.Sprintf("its limits are %s (6,000 by default) and %s (1,800,000)", least, most)
	}
	return fmt.Sprintf("it takes %s ms (%s) to %s ms (%s)", values[least], least, values[most], most)
}

// canProtocol returns an error where the cluster does not have the Protocol of groups that is asked
// for: the client would go over to the other one without a word.
func (b *Broker) canProtocol(ctx context.Context) error {
	if b.o.Protocol != ProtocolConsumer {
		return nil
	}
	versions, err := retry(ctx, func() (kadm.BrokersApiVersions, error) { return b.admin.ApiVersions(ctx) })
	if err != nil {
		return err
	}
	for _, v := range versions.Sorted() {
		if newest, ok := v.KeyMaxVersion(int16(kmsg.ConsumerGroupHeartbeat)); v.Err == nil && (!ok || newest < 1) {
			return &leat.Error{Code: leat.CodeUnsupported, Err: fmt.Errorf(
				"broker %d does not have ProtocolConsumer, which needs Kafka 4.0; use ProtocolClassic", v.NodeID)}
		}
	}
	return nil
}
