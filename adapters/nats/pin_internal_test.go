package nats

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pendingServer is a server that waits for acks of a number of messages. It counts how often it is
// asked, and stops a stream that asks without end.
type pendingServer struct {
	pending, asked int
}

func (p *pendingServer) of(s *Stream) {
	s.b.link.isUp, s.b.link.js = true, consumers{ask: func(context.Context) *jetstream.ConsumerInfo {
		if p.asked++; p.asked > 1_000 {
			s.cancel()
		}
		return &jetstream.ConsumerInfo{
			NumAckPending:  p.pending,
			PriorityGroups: []jetstream.PriorityGroupState{{Group: pinGroup, PinnedClientID: "P"}},
		}
	}}
}

// behind returns a stream that raised its barrier a number of AckWaits ago.
func behind(t *testing.T, terms int) *Stream {
	t.Helper()
	s := streamOf(t)
	s.raise()
	since := time.Now()
	for range terms {
		since = since.Add(-s.ackWait)
	}
	s.pin.barrier.since, s.pin.barrier.raised = since, since
	return s
}

// TestAsksForTheMissingInPeace: a server that is slow to deliver again is not asked as often as it
// can answer.
func TestAsksForTheMissingInPeace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, p := behind(t, 0), &pendingServer{pending: 2}
		p.of(s)
		s.tasks.Go(s.run)
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Less(t, p.asked, 20)

		began := time.Now()
		send(s, 1, "P", "x", nil)
		send(s, 2, "P", "x", nil)
		synctest.Wait()
		assert.Nil(t, s.pin.barrier, "nothing is missing")
		assert.Zero(t, time.Since(began))
		s.cancel()
		s.tasks.Wait()
	})
}

// TestMessagesThatAreAskedForTakeNoRoom: a stream that has asked for all that it may hold is not
// full, and still waits for what is missing.
func TestMessagesThatAreAskedForTakeNoRoom(t *testing.T) {
	t.Parallel()
	s := behind(t, 3)
	(&pendingServer{pending: 2}).of(s)
	events, _, _ := s.room()
	s.pulls.open, s.pulls.events = []pull{{number: 1, asked: time.Now(), events: events, bytes: 1}}, events
	s.look()
	require.NotNil(t, s.pin.barrier, "it waits for longer when it has room")
	s.pin.barrier.raised, s.pin.barrier.next = time.Now().Add(-5*s.ackWait), time.Time{}
	s.look()
	require.Nil(t, s.pin.barrier, "it does not wait indefinitely")
}

// TestLossesBehindTheBarrier: what is lost while the barrier is up takes as long to come again as
// what was lost before.
func TestLossesBehindTheBarrier(t *testing.T) {
	t.Parallel()
	s := behind(t, 5)
	(&pendingServer{pending: 2}).of(s)
	s.raise()
	s.look()
	require.NotNil(t, s.pin.barrier)
}
