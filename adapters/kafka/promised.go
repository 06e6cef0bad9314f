package kafka

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// promiseEvery is how often a member without partitions asks whether it is to get some.
const promiseEvery = 2 * time.Second

// watchPromise asks, while the stream has no partitions, whether the cluster means to give it some,
// which it does with [ProtocolConsumer] as soon as another member has given them up. With the
// classic protocol the group's answer waits for that.
func (s *Stream) watchPromise() {
	s.mu.Lock()
	none := len(s.tenures) == 0
	s.mu.Unlock()
	if !none {
		s.presence.promised(false)
		return
	}
	ctx, cancel := s.broker.bounded(s.client.Context())
	defer cancel()
	if some, err := s.promise(ctx); err == nil { // else health knows of the connection
		s.presence.promised(some)
	}
}

// promise reports whether the cluster means to give this member partitions.
func (s *Stream) promise(ctx context.Context) (bool, error) {
	id, _ := s.client.GroupMetadata()
	request := kmsg.NewPtrConsumerGroupDescribeRequest()
	request.Groups = []string{s.sub.Group}
	answer, err := request.RequestWith(ctx, s.broker.client)
	if err != nil {
		return false, err
	}
	for _, group := range answer.Groups {
		if err := kerr.ErrorForCode(group.ErrorCode); err != nil {
			return false, err
		}
		for _, m := range group.Members {
			if m.MemberID == id {
				return len(m.TargetAssignment.TopicPartitions) > 0, nil
			}
		}
	}
	return false, nil
}
