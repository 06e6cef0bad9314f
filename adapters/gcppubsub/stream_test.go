package gcppubsub_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/leatgo/leat/adapters/gcppubsub"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// TestGiveBacksInParts keep their order: where one request of several fails, later ones wait.
func TestGiveBacksInParts(t *testing.T) {
	t.Parallel()
	const events = 2000
	var mu sync.Mutex
	var back []string
	failed, sent := false, make(chan struct{})
	f := &stub{pull: func(s *pulling, _ *pb.StreamingPullRequest) error {
		for i := range events {
			id := fmt.Sprintf("%0500d", i) // so that a request has no room for all
			if err := s.deliver(message(id, fmt.Sprint(i), "k")); err != nil {
				return err
			}
		}
		close(sent)
		return s.serve(nil)
	}, settle: func(ids []string, deadline int32) error {
		mu.Lock()
		defer mu.Unlock()
		if deadline != 0 {
			return nil
		}
		if !failed {
			failed = true
			return status.Error(codes.Unavailable, "once")
		}
		back = append(back, ids...)
		return nil
	}}
	sub := billing()
	sub.MaxInFlight = events
	s := startStub(t, f, sub, gcppubsub.Options{})
	<-sent
	held := func() bool { n, _ := s.(*gcppubsub.Stream).Room(); return n == 0 }
	require.Eventually(t, held, brokertest.Patience, brokertest.Patience/3000)
	require.NoError(t, s.Close(t.Context()))
	assert.Len(t, back, events)
	assert.True(t, slices.IsSorted(back))
}
