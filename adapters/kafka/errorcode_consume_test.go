package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// reader receives from a stream and settles at once.
type reader struct {
	stream leat.Stream
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu    sync.Mutex
	ids   []string // in the order of delivery
	ended error
	came  chan struct{}
}

func read(s leat.Stream) *reader {
	ctx, cancel := context.WithCancel(context.Background())
	r := &reader{stream: s, cancel: cancel, came: make(chan struct{}, 1)}
	r.wg.Go(func() {
		into := make([]leat.Delivery, 16)
		for {
			n, err := s.Receive(ctx, into)
			r.mu.Lock()
			for i := range into[:n] {
				r.ids = append(r.ids, into[i].Event.ID())
				s.Settle(&into[i], leat.Settlement{Action: leat.Ack})
			}
			r.ended = err
			r.mu.Unlock()
			select {
			case r.came <- struct{}{}:
			default:
			}
			if err != nil {
				return
			}
		}
	})
	return r
}

func (r *reader) stop() {
	r.cancel()
	r.wg.Wait()
}

// until waits for the ids, in whatever order and how often.
func (r *reader) until(d time.Duration, ids ...string) error {
	timeout := time.After(d)
	for {
		r.mu.Lock()
		got, ended := slices.Clone(r.ids), r.ended
		r.mu.Unlock()
		if !slices.ContainsFunc(ids, func(id string) bool { return !slices.Contains(got, id) }) {
			return nil
		}
		if ended != nil {
			return fmt.Errorf("the stream ended: %w", ended)
		}
		select {
		case <-r.came:
		case <-timeout:
			return fmt.Errorf("received %v, should be %v: %w (health: %w)", got, ids, errPatience, r.stream.(leat.HealthReporter).Health())
		}
	}
}

// await waits until check returns nil.
func await(d time.Duration, check func() error) error {
	deadline := time.After(d)
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-deadline:
			return fmt.Errorf("after %v: %w", d, err)
		}
	}
}

// committed waits until a group has committed an offset of partition 0.
func (f *fake) committed(group, topic string, offset int64) error {
	return await(10*time.Second, func() error {
		info := f.GroupInfo(group)
		if info == nil {
			return errors.New("there is no group")
		}
		if at := info.Commits[topic][0].Offset; at != offset {
			return fmt.Errorf("the group has committed %d, should be %d", at, offset)
		}
		return nil
	})
}

// consumeRequests are the requests of a consumer that are answered with errors. atStart says that
// the error is there before Subscribe.
var consumeRequests = []struct {
	key     kmsg.Key
	atStart bool
}{
	{key: kmsg.Fetch}, {key: kmsg.OffsetCommit}, {key: kmsg.Heartbeat}, {key: kmsg.JoinGroup, atStart: true},
	{key: kmsg.SyncGroup, atStart: true}, {key: kmsg.OffsetFetch, atStart: true}, {key: kmsg.FindCoordinator, atStart: true},
	{key: kmsg.ListOffsets}, {key: kmsg.Metadata}, {key: kmsg.ConsumerGroupHeartbeat},
}

// TestConsumeErrorCodes answers one request of a consumer with an error code. Whatever it is, the
// stream goes on, nothing is lost, the group's offset moves, and health is good in the end.
func TestConsumeErrorCodes(t *testing.T) {
	t.Parallel()
	for _, r := range consumeRequests {
		t.Run(r.key.Name(), func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			codes := slices.DeleteFunc(kafkaErrors(), func(c *kerr.Error) bool { return !long() && !likely(c) || ends(c) })
			table(t, codes, codeName, func(code *kerr.Error) error { return f.consumeOnce(r.key, r.atStart, code) })
		})
	}
}

// ends are the codes that end the stream of a group: see TestRefusedOptionsEndTheStream.
func ends(err *kerr.Error) bool {
	return err == kerr.InvalidSessionTimeout || err == kerr.InvalidGroupID || err == kerr.UnsupportedAssignor
}

// likely are the codes that a Kafka may well answer a consumer with; the others take long together.
func likely(err *kerr.Error) bool {
	return slices.Contains([]*kerr.Error{
		kerr.UnknownServerError, kerr.OffsetOutOfRange, kerr.CorruptMessage, kerr.UnknownTopicOrPartition, kerr.LeaderNotAvailable,
		kerr.NotLeaderForPartition, kerr.RequestTimedOut, kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable,
		kerr.NotCoordinator, kerr.IllegalGeneration, kerr.InconsistentGroupProtocol, kerr.UnknownMemberID, kerr.RebalanceInProgress,
		kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.UnsupportedVersion, kerr.KafkaStorageError,
		kerr.FetchSessionIDNotFound, kerr.FencedLeaderEpoch, kerr.MemberIDRequired, kerr.GroupMaxSizeReached, kerr.FencedInstanceID,
		kerr.UnstableOffsetCommit, kerr.ThrottlingQuotaExceeded, kerr.UnknownTopicID, kerr.FencedMemberEpoch, kerr.StaleMemberEpoch,
	}, err)
}

func (f *fake) consumeOnce(key kmsg.Key, atStart bool, code *kerr.Error) (err error) {
	topic, err := f.topicFor("consume", code)
	if err != nil {
		return err
	}
	group := "group-" + topic
	o := quick(f.ListenAddrs()...)
	if key == kmsg.ConsumerGroupHeartbeat {
		o.Protocol = kafka.ProtocolConsumer
	}
	b, err := kafka.New(&o)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	if err := publishOne(b, topic, event("0", "k"), 10*time.Second); err != nil {
		return err
	}
	fault := kfake.Fault{Keys: []kmsg.Key{key}, Err: code}
	switch key {
	case kmsg.Fetch, kmsg.ListOffsets, kmsg.Metadata:
		fault.Topic = topic
	default:
		fault.Group = group
	}
	var h *kfake.FaultHandle
	if atStart {
		h = f.Fault(fault)
	}
	s, err := subscribeStubbornly(b, leat.Subscription{Topic: topic, Group: group})
	if err != nil {
		return err
	}
	r := read(s)
	defer r.stop()
	if err := r.until(20*time.Second, "0"); err != nil {
		return err
	}
	if !atStart {
		h = f.Fault(fault)
	}
	for _, id := range []string{"1", "2"} {
		if err := publishOne(b, topic, event(id, "k"), 20*time.Second); err != nil {
			return err
		}
	}
	if key == kmsg.Heartbeat || key == kmsg.ConsumerGroupHeartbeat {
		if err := hit(h); err != nil {
			return err
		}
	}
	if err := r.until(20*time.Second, "1", "2"); err != nil {
		return err
	}
	if err := f.committed(group, topic, 3); err != nil {
		return fmt.Errorf("%w (health: %w)", err, b.Health())
	}
	if h.Hits() == 0 && key != kmsg.ListOffsets && key != kmsg.Metadata { // which are not sent here each time
		return errors.New("the fault was not met")
	}
	if err := r.inOrder(); err != nil {
		return err
	}
	if key == kmsg.Fetch && code == kerr.OffsetOutOfRange {
		return nil // health shows a loss of data for some minutes
	}
	return await(15*time.Second, func() error { return cmpOr(health(s), b.Health()) })
}

// inOrder checks that each event came after the earlier ones; what is delivered again may repeat
// them.
func (r *reader) inOrder() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var first []string
	for _, id := range r.ids {
		if !slices.Contains(first, id) {
			first = append(first, id)
		}
	}
	if !slices.IsSorted(first) {
		return fmt.Errorf("received out of order: %v", r.ids)
	}
	return nil
}

func hit(h *kfake.FaultHandle) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return h.Wait(ctx, 1)
}

// subscribeStubbornly subscribes again when that failed: a fault may hit the subscribe itself,
// which must say so with an Error then.
func subscribeStubbornly(b leat.Broker, sub leat.Subscription) (leat.Stream, error) {
	var failed error
	for range 3 {
		s, err := b.Subscribe(context.Background(), sub)
		if err == nil {
			return s, nil
		}
		if e, ok := errors.AsType[*leat.Error](err); !ok || e.Code == leat.CodeInternal || e.Code == leat.CodeCanceled {
			return nil, fmt.Errorf("subscribe returned no error with a code that fits: %w", err)
		}
		failed = err
	}
	return nil, failed
}
