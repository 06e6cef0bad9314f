package gcppubsub_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/gcppubsub"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// fates are what a server with exactly-once delivery says of ack ids.
type fates struct {
	mu   sync.Mutex
	acks map[string]int // requests with the id
}

// settle refuses ids by their names.
func (f *fates) settle(ids []string, deadline int32) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	what := &errdetails.ErrorInfo{Metadata: map[string]string{}}
	for _, id := range ids {
		if deadline < 0 {
			f.acks[id]++
		}
		switch {
		case id == "slow" && deadline > 0, id == "late" && deadline < 0:
			what.Metadata[id] = "PERMANENT_FAILURE_INVALID_ACK_ID"
		case id == "odd" && deadline < 0:
			what.Metadata[id] = "PERMANENT_FAILURE_OTHER"
		case id == "busy" && deadline < 0 && f.acks[id] == 1:
			what.Metadata[id] = "TRANSIENT_FAILURE_SERVICE_UNAVAILABLE"
		}
	}
	if len(what.GetMetadata()) == 0 {
		return nil
	}
	s, err := status.New(codes.FailedPrecondition, "some ids").WithDetails(what)
	if err != nil {
		return err
	}
	return s.Err()
}

// TestExactlyOnceResults: each ack, and each extension, has a result of its own. A lost lease is
// told, what may succeed later is repeated, and the rest is told once.
func TestExactlyOnceResults(t *testing.T) {
	t.Parallel()
	f, names := &fates{acks: map[string]int{}}, []string{"fine", "busy", "late", "odd", "slow"}
	var pulls atomic.Int32
	s := startStub(t, &stub{pull: func(s *pulling, _ *pb.StreamingPullRequest) error {
		if pulls.Add(1) == 1 {
			for _, name := range names {
				if err := s.deliver(message(name, name, name)); err != nil {
					return err
				}
			}
		}
		return s.serve(nil)
	}, settle: f.settle}, billing(), gcppubsub.Options{ExactlyOnce: true})
	var mu sync.Mutex
	ended := map[string]leat.Code{}
	all := take(t, s, len(names))
	for _, d := range all {
		d.Lease.Attach(func(release func()) { release() }, func(cause error) {
			mu.Lock()
			defer mu.Unlock()
			ended[d.Event.ID()] = leat.CodeOf(cause)
		})
	}
	ack(s, all[:4])
	require.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(ended) == len(names)
	}, brokertest.Patience, time.Millisecond)
	require.NoError(t, s.Close(t.Context()))
	none := leat.CodeOf(nil)
	assert.Equal(t, map[string]leat.Code{
		"fine": none, "busy": none, "late": leat.CodeLeaseLost, "odd": leat.CodeLeaseLost, "slow": leat.CodeLeaseLost,
	}, ended)
	assert.Equal(t, map[string]int{"fine": 1, "busy": 2, "late": 1, "odd": 1}, f.acks)
}

// TestConfirmationsOnAPull are about acks that were sent on the pull. The adapter sends none there,
// so they change nothing.
func TestConfirmationsOnAPull(t *testing.T) {
	t.Parallel()
	var acked atomic.Int32
	s := startStub(t, &stub{pull: func(s *pulling, _ *pb.StreamingPullRequest) error {
		ids := []string{"m"}
		for _, r := range []*pb.StreamingPullResponse{
			{ReceivedMessages: []*pb.ReceivedMessage{message("m", "m", "k")}},
			{AcknowledgeConfirmation: &pb.StreamingPullResponse_AcknowledgeConfirmation{
				AckIds: ids, InvalidAckIds: ids, UnorderedAckIds: ids, TemporaryFailedAckIds: ids,
			}},
			{ModifyAckDeadlineConfirmation: &pb.StreamingPullResponse_ModifyAckDeadlineConfirmation{
				AckIds: ids, InvalidAckIds: ids, TemporaryFailedAckIds: ids,
			}},
			{ReceivedMessages: []*pb.ReceivedMessage{message("n", "n", "k")}}, // it comes when the others have
		} {
			if err := s.Send(r); err != nil {
				return err
			}
		}
		return s.serve(nil)
	}, settle: func(ids []string, deadline int32) error {
		if deadline < 0 {
			acked.Add(int32(len(ids)))
		}
		return nil
	}}, billing(), gcppubsub.Options{ExactlyOnce: true})
	all := take(t, s, 2)
	assert.False(t, all[0].Lease.Ended())
	ack(s, all)
	require.NoError(t, s.Close(context.Background()))
	assert.EqualValues(t, 2, acked.Load())
}
