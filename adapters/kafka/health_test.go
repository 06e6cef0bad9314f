package kafka_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// lasting is an error that a request of a consumer is answered with until somebody repairs it, and
// the code that health shows.
type lasting struct {
	key    kmsg.Key
	err    *kerr.Error
	code   leat.Code
	rejoin bool // the request is sent by a member that joins
}

func (l lasting) name() string { return l.key.Name() + " " + l.err.Message }

// TestHealthShowsLastingErrors answers a consumer with an error for as long as it takes: health
// shows it, and not any more when it is over; then the stream goes on where it was.
func TestHealthShowsLastingErrors(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	table(t, []lasting{
		{kmsg.Fetch, kerr.TopicAuthorizationFailed, leat.CodePermissionDenied, false},
		{kmsg.Fetch, kerr.KafkaStorageError, leat.CodeUnavailable, false},
		{kmsg.Fetch, kerr.UnknownServerError, leat.CodeUnavailable, false},
		{kmsg.OffsetCommit, kerr.GroupAuthorizationFailed, leat.CodePermissionDenied, false},
		{kmsg.OffsetCommit, kerr.CoordinatorNotAvailable, leat.CodeUnavailable, false},
		{kmsg.OffsetCommit, kerr.OffsetMetadataTooLarge, leat.CodeUnavailable, false},
		{kmsg.Heartbeat, kerr.GroupAuthorizationFailed, leat.CodePermissionDenied, false},
		{kmsg.JoinGroup, kerr.GroupMaxSizeReached, leat.CodeExhausted, true},
		{kmsg.JoinGroup, kerr.InconsistentGroupProtocol, leat.CodeUnsupported, true},
		{kmsg.JoinGroup, kerr.CoordinatorLoadInProgress, leat.CodeUnavailable, true},
		{kmsg.SyncGroup, kerr.GroupAuthorizationFailed, leat.CodePermissionDenied, true},
		{kmsg.OffsetFetch, kerr.GroupAuthorizationFailed, leat.CodePermissionDenied, true},
		{kmsg.FindCoordinator, kerr.GroupAuthorizationFailed, leat.CodePermissionDenied, true},
	}, lasting.name, f.lasts)
}

func (f *fake) lasts(l lasting) error {
	topic := fmt.Sprintf("lasting-%d-%d", l.key, l.err.Code)
	if err := f.CreateTopic(topic, 1, nil); err != nil {
		return err
	}
	o := quick(f.ListenAddrs()...)
	o.RequestTimeout = 2 * time.Second
	b, err := kafka.New(&o)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	s, err := subscribeStubbornly(b, leat.Subscription{Topic: topic, Group: topic})
	if err != nil {
		return err
	}
	r := read(s)
	defer r.stop()
	if err := publishOne(b, topic, event("0", "k"), 5*time.Second); err != nil {
		return err
	}
	if err := cmpOr(r.until(5*time.Second, "0"), f.committed(topic, topic, 1)); err != nil {
		return err
	}
	fault := kfake.Fault{Keys: []kmsg.Key{l.key}, Err: l.err, Count: -1, Group: topic}
	if l.key == kmsg.Fetch {
		fault.Group, fault.Topic = "", topic
	}
	h := f.Fault(fault)
	if l.rejoin {
		f.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.UnknownMemberID, Group: topic})
		if l.key == kmsg.FindCoordinator {
			f.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Err: kerr.NotCoordinator, Group: topic})
		}
	}
	if err := publishOne(b, topic, event("1", "k"), 5*time.Second); err != nil {
		return err
	}
	if err := await(10*time.Second, func() error { return shows(s.(leat.HealthReporter).Health(), l.code) }); err != nil {
		return err
	}
	h.Remove()
	if err := cmpOr(r.until(20*time.Second, "1"), f.committed(topic, topic, 2), r.inOrder()); err != nil {
		return err
	}
	return await(15*time.Second, func() error { return cmpOr(health(s), b.Health()) })
}

// shows returns nil when one of the errors joined in err has a code.
func shows(err error, want leat.Code) error {
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	for _, one := range all {
		if leat.CodeOf(one) == want {
			return nil
		}
	}
	return fmt.Errorf("health does not show %v: %w", want, err)
}

// cmpOr returns the first error.
func cmpOr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// TestLeaderlessPartition takes the leader of one partition of two away: the other works, both
// ways, health names the trouble, and what was published to the one without a leader is stored when
// it has one again.
func TestLeaderlessPartition(t *testing.T) {
	t.Parallel()
	f := newFake(t, kfake.SeedTopics(2, "t"))
	o := quick(f.ListenAddrs()...)
	b := open(t, o)
	s, err := b.Subscribe(t.Context(), leat.Subscription{Topic: "t", Group: "g"})
	require.NoError(t, err)
	r := read(s)
	defer r.stop()
	keys := map[int]string{} // by partition
	var ids []string
	for i := 0; len(keys) < 2; i++ {
		key, id := fmt.Sprint("key ", i), fmt.Sprint("find ", i)
		require.NoError(t, publishOne(b, "t", event(id, key), 5*time.Second))
		stored, err := stored("t", f.ListenAddrs()...)
		require.NoError(t, err)
		if count(stored[:1], id) == 1 {
			keys[0] = key
		} else {
			keys[1] = key
		}
		ids = append(ids, id)
	}
	require.NoError(t, r.until(5*time.Second, ids...))
	h := f.Fault(
		kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: "t", Partitions: []int32{0}, Err: kerr.LeaderNotAvailable, Count: -1},
		kfake.Fault{
			Keys: []kmsg.Key{kmsg.Produce, kmsg.Fetch, kmsg.ListOffsets}, Topic: "t", Partitions: []int32{0},
			Err: kerr.NotLeaderForPartition, Count: -1,
		})
	under := publish(t.Context(), b, "t", event("waits 0", keys[0]), event("goes", keys[1]), event("waits 1", keys[0]))
	require.NoError(t, r.until(5*time.Second, "goes"))
	require.NoError(t, await(12*time.Second, func() error {
		return shows(health(s), leat.CodeUnavailable)
	}))
	assert.ErrorContains(t, health(s), "partition 0")
	h.Remove()
	errs, err := under.wait(10 * time.Second)
	require.NoError(t, err)
	assert.Equal(t, []error{nil, nil, nil}, errs)
	require.NoError(t, r.until(10*time.Second, "waits 0", "waits 1"))
	require.NoError(t, await(15*time.Second, func() error { return cmpOr(health(s), b.Health()) }))
}
